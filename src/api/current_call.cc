#include "api/current_call.h"

namespace sundog::detail {

CurrentCall::CurrentCall(client::Runtime* runtime) : runtime_(runtime) {
  runtime_->on_cancel([this](const TaskId& task, model::CancelLevel) { told(task); });
}

void CurrentCall::begin(const client::TaskCall& call) {
  {
    std::lock_guard lock(mutex_);
    task_ = call.task;
    is_method_ = call.kind == model::CallKind::kMethod;
    if (has_asked_ || is_told_) source_ = std::stop_source();  // somebody may keep the old one
    has_asked_ = is_told_ = ended_ = false;
  }
  // It may have been told between the claim and now.
  if (runtime_->is_cancelled(call.task)) told(call.task);
}

bool CurrentCall::end() {
  std::lock_guard lock(mutex_);
  task_ = TaskId{};
  return std::exchange(ended_, true) ? false : has_asked_ && source_.stop_requested();
}

std::stop_token CurrentCall::token() {
  std::lock_guard lock(mutex_);
  has_asked_ = true;
  return source_.get_token();
}

bool CurrentCall::is_cancelled() {
  std::lock_guard lock(mutex_);
  return is_told_ && task_ != TaskId{};
}

bool CurrentCall::ends_waits() {
  std::lock_guard lock(mutex_);
  return is_told_ && !is_method_ && task_ != TaskId{};
}

void CurrentCall::told(const TaskId& task) {
  std::stop_source source(std::nostopstate);
  {
    std::lock_guard lock(mutex_);
    if (task_ != task) return;
    is_told_ = true;
    source = source_;
  }
  source.request_stop();  // runs what the program hung on it
}

}  // namespace sundog::detail
