// Cancelling: asking for it, and what a worker is told of it. See runtime_impl.h.
#include "client/runtime_impl.h"
#include "os/socket.h"

namespace sundog::client {

CallResult<Unit> RuntimeImpl::cancel(Entry* entry, model::CancelLevel level, uint32_t grace_ms,
                                     bool recursive) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (auto error = check_entries(std::span(&entry, 1))) return Failure{*error};
  core_.send(model::CancelTask{entry->id.task, level, recursive, grace_ms});
  return Unit{};
}

CallResult<Unit> RuntimeImpl::cancel_all(model::CancelLevel level) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  core_.send(model::CancelTask{TaskId::root_of(session_.info.job), level, true, 0});
  return Unit{};
}

bool RuntimeImpl::is_cancelled(const TaskId& task) {
  if (cancelled_running_.load(std::memory_order_relaxed) == 0) return false;
  Operation operation(this);
  for (const auto& [slot, held] : running_)
    if (held->task == task) return held->cancelled;
  return false;
}

void RuntimeImpl::on_cancel(std::function<void(const TaskId&, model::CancelLevel)> handler) {
  Lock lock(mutex_);
  cancel_handler_ = std::move(handler);
}

void RuntimeImpl::take_cancel(const model::CancelRunning& message) {
  for (const auto& [slot, held] : running_) {
    if (held->task != message.task) continue;
    if (!std::exchange(held->cancelled, true)) ++cancelled_running_;
    cancels_.push_back(message);
    os::signal_eventfd(session_.event.get());
    return;
  }
}

// On the runtime thread, without the lock: the handler may wait for the interpreter.
void RuntimeImpl::deliver_cancels() {
  std::vector<model::CancelRunning> cancels;
  std::function<void(const TaskId&, model::CancelLevel)> handler;
  {
    Lock lock(mutex_);
    cancels.swap(cancels_);
    handler = cancel_handler_;
  }
  if (!handler) return;
  for (const model::CancelRunning& cancel : cancels) handler(cancel.task, cancel.level);
}

}  // namespace sundog::client
