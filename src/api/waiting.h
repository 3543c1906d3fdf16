// Waiting: what may end a wait of the C++ API early, and the exception it then ends with: a token
// of the caller, or that the task which waits is cancelled. On the stack of one call.
#pragma once

#include "api/session_core.h"

namespace sundog::detail {

class Waiting final : public client::Yielder {
 public:
  explicit Waiting(SessionCore* core, std::stop_token stop = {})
      : call_(core->current_call()), stop_(std::move(stop)) {}

  // Null when nothing can end the wait early.
  client::Yielder* yielder() { return call_ != nullptr || stop_.stop_possible() ? this : nullptr; }
  template <typename T>
  T value_or_throw(client::CallResult<T> result) {
    if (!result && result.error().status == client::CallStatus::kInterrupted) throw_ended();
    return detail::value_or_throw(std::move(result));
  }
  // Before a wait that may find at once what it looks for.
  void check() {
    if (stop_.stop_requested()) throw_ended();
  }

  void release() override {}
  void acquire() override {}
  bool interrupted() override {
    return stop_.stop_requested() || (call_ != nullptr && call_->ends_waits());
  }

 private:
  [[noreturn]] void throw_ended() {
    if (call_ != nullptr && call_->ends_waits()) {
      throw TaskCancelledError("the task was cancelled while it waited");
    }
    throw StoppedError("the wait was stopped by its std::stop_token; what it waited for goes on");
  }

  CurrentCall* call_;
  std::stop_token stop_;
};

}  // namespace sundog::detail
