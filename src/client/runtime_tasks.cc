// The worker's side: tasks offered, claimed, run and answered. See runtime_impl.h.
#include <algorithm>

#include "client/copy.h"
#include "client/runtime_impl.h"
#include "shm/claims.h"

namespace sundog::client {
namespace {

// Results of one task that wait for its end; beyond this they go ahead of it.
constexpr size_t kHeldResultBytesMax = 256 * 1024;
constexpr size_t kHeldResultsMax = 1024;
constexpr size_t kSpareTasksMax = 64;

}  // namespace

std::unique_ptr<HeldTask> RuntimeImpl::recycled_task() {
  if (spare_tasks_.empty()) return std::make_unique<HeldTask>();
  auto held = std::move(spare_tasks_.back());
  spare_tasks_.pop_back();
  return held;
}

void RuntimeImpl::recycle(std::unique_ptr<HeldTask> held) {
  held->results.clear();
  held->result_bytes = 0;
  if (std::exchange(held->cancelled, false)) --cancelled_running_;
  if (spare_tasks_.size() < kSpareTasksMax) spare_tasks_.push_back(std::move(held));
}

bool RuntimeImpl::claim(std::unique_ptr<HeldTask> held, TaskCall* call,
                        std::vector<core::ClientExport*>* exports) {
  auto message = wire::decode_node_message(held->type, held->payload, &held->scratch);
  SUNDOG_CHECK(message.ok());  // it was decoded when it came in
  const auto& execute = std::get<model::Execute>(*message);
  if (execute.slot >= model::kClaimSlots ||
      !shm::claim(link_.claim_word(execute.slot), execute.generation)) {
    recycle(std::move(held));
    return false;
  }
  call->task = execute.task;
  call->attempt = execute.attempt;
  call->slot = execute.slot;
  call->num_results = execute.num_results;
  call->function = execute.function;
  call->name = execute.name;
  call->kind = execute.kind;
  call->actor = execute.actor;
  call->method = execute.method;
  call->retry_exceptions = execute.retry_exceptions;
  call->cpus = execute.cpus;
  call->group = execute.group;
  call->concurrency = execute.concurrency;
  call->returns = execute.returns;
  held->task = execute.task;
  held->attempt = execute.attempt;
  held->items = 0;
  held->credit = {execute.stream_items, execute.stream_bytes};
  held->closed = false;
  call->arguments = execute.arguments;
  for (const model::ArgumentView& ref : execute.refs) {
    core::ClientExport* exported = core_.on_argument(ref);
    exports->push_back(exported);
    std::shared_ptr<Pinned> bytes;
    if (exported == nullptr) bytes = std::make_shared<OwnBytes>(ref.value.bytes);
    call->refs.push_back({ref.value.format, std::move(bytes)});
  }
  if (context_source_ == nullptr) core_.begin_task(execute.task, execute.attempt);
  held->task = execute.task;
  running_[execute.slot] = std::move(held);
  return true;
}

bool RuntimeImpl::claim_next(TaskCall* call, std::vector<core::ClientExport*>* exports) {
  while (true) {
    Lane* first = nullptr;
    for (Lane& lane : lanes_) {
      if (lane.offered.empty()) continue;
      lane.limit = std::max<uint32_t>(lane.offered.front()->concurrency, 1);
      if (lane.running >= lane.limit) continue;
      if (first == nullptr || lane.offered.front()->arrival < first->offered.front()->arrival) {
        first = &lane;
      }
    }
    if (first == nullptr) return false;
    auto held = std::move(first->offered.front());
    first->offered.pop_front();
    if (!claim(std::move(held), call, exports)) continue;
    ++first->running;
    return true;
  }
}

void RuntimeImpl::view_arguments(const std::vector<core::ClientExport*>& exports, TaskCall* call) {
  for (size_t i = 0; i < exports.size(); ++i) {
    if (exports[i] == nullptr) continue;
    // A value that cannot be read stays without data: the caller fails the task.
    if (auto view = views_.view(exports[i], false)) call->refs[i].data = *std::move(view);
  }
}

std::optional<TaskCall> RuntimeImpl::next_task(Yielder* yielder) {
  TaskCall call;
  std::vector<core::ClientExport*> exports;
  {
    Operation operation(this);
    while (true) {
      if (state_.load() != State::kLive || stop_after_task_) return std::nullopt;
      if (claim_next(&call, &exports)) break;
      drain();
      if (claim_next(&call, &exports)) break;
      if (state_.load() != State::kLive || stop_after_task_) return std::nullopt;
      Waiter waiter;
      waiter.kind = Waiter::Kind::kTask;
      wait_for(&waiter, operation.lock(), kNever, yielder);
    }
  }
  view_arguments(exports, &call);
  return call;
}

std::optional<TaskCall> RuntimeImpl::poll_task(bool* over) {
  TaskCall call;
  std::vector<core::ClientExport*> exports;
  {
    Operation operation(this);
    *over = state_.load() != State::kLive || stop_after_task_;
    if (*over) return std::nullopt;
    if (!claim_next(&call, &exports)) {
      drain();
      if (!claim_next(&call, &exports)) {
        *over = state_.load() != State::kLive || stop_after_task_;
        task_event_due_ = static_cast<bool>(task_event_);
        if (waiters_.empty()) rest();
        return std::nullopt;
      }
    }
  }
  view_arguments(exports, &call);
  return call;
}

int RuntimeImpl::task_event() {
  Operation operation(this);
  if (!task_event_) {
    auto made = os::make_eventfd();
    if (made) task_event_ = *std::move(made);
  }
  task_event_due_ = true;
  return task_event_.get();
}

void RuntimeImpl::stop_tasks() {
  Operation operation(this);
  stop_after_task_ = true;
  wake_task_waiters();
}

HeldTask* RuntimeImpl::running_task(const TaskCall& call) {
  auto it = running_.find(call.slot);
  return it == running_.end() ? nullptr : it->second.get();
}

void RuntimeImpl::send_results(const TaskCall& call, HeldTask* held) {
  std::vector<model::ResultView> views;
  for (const HeldTask::Result& result : held->results) {
    views.push_back({result.index, {result.format, result.extent, result.bytes}, result.contained});
  }
  core_.send(model::Results{call.task, call.attempt, views});
  held->results.clear();
  held->result_bytes = 0;
}

CallResult<HeldTask::Result> RuntimeImpl::make_result(uint32_t index, const OutValue& value,
                                                      std::unique_ptr<Room> room,
                                                      Yielder* yielder) {
  if (room == nullptr && value.bytes.size() > model::kInlineValueBytesMax) {
    auto allocated = allocate(value.bytes.size(), yielder);
    if (!allocated) return Failure{allocated.error()};
    room = *std::move(allocated);
    copy_bytes(room->data(), value.bytes);
  }
  HeldTask::Result result;
  result.index = index;
  result.format = value.format;
  result.contained.assign(value.contained.begin(), value.contained.end());
  if (room != nullptr) {
    result.extent = seal_room(room.get());
  } else {
    result.bytes.assign(value.bytes.begin(), value.bytes.end());
  }
  return result;
}

CallResult<Unit> RuntimeImpl::add_result(const TaskCall& call, uint32_t index,
                                         const OutValue& value, std::unique_ptr<Room> room) {
  if (auto error = unusable()) return Failure{*error};
  auto made = make_result(index, value, std::move(room), nullptr);
  if (!made) return Failure{made.error()};
  HeldTask::Result result = *std::move(made);
  Operation operation(this);
  HeldTask* held = running_task(call);
  if (held == nullptr) {
    return Failure{CallError{CallStatus::kBadArgument,
                             "task " + call.task.hex() + " is finished: it takes no result"}};
  }
  held->result_bytes += result.bytes.size();
  held->results.push_back(std::move(result));
  if (held->result_bytes > kHeldResultBytesMax || held->results.size() > kHeldResultsMax) {
    send_results(call, held);
  }
  return Unit{};
}

CallResult<Unit> RuntimeImpl::finish(const TaskCall& call, bool failed, bool retry, TimeNs started,
                                     TimeNs finished, bool exiting) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  auto it = running_.find(call.slot);
  if (it == running_.end()) {
    return Failure{
        CallError{CallStatus::kBadArgument, "task " + call.task.hex() + " is finished already"}};
  }
  auto held = std::move(it->second);
  running_.erase(it);
  std::vector<model::ResultView> views;
  for (const HeldTask::Result& result : held->results) {
    views.push_back({result.index, {result.format, result.extent, result.bytes}, result.contained});
  }
  model::Done done;
  done.task = call.task;
  done.attempt = call.attempt;
  done.slot = call.slot;
  done.failed = failed;
  done.retry = retry;
  done.started = started;
  done.finished = finished;
  done.results = views;
  done.exiting = exiting;
  // What was offered meanwhile is not begun: it was never tried.
  if (exiting) stop_after_task_ = true;
  core_.send(done);
  if (context_source_ == nullptr && core_.current_task() == call.task) core_.end_task();
  Lane& lane = lanes_[held->group];
  --lane.running;
  if (exiting || !lane.offered.empty()) wake_task_waiters();
  recycle(std::move(held));
  return Unit{};
}

}  // namespace sundog::client
