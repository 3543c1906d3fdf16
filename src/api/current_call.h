// CurrentCall: how the call that a C++ worker runs learns that it is cancelled. One a worker
// process, owned by its SessionCore. begin() and end() belong to the thread that runs calls, told()
// to the Runtime's; any thread may ask. It never ends a call: what is asked for is a stop.
#pragma once

#include <mutex>
#include <stop_token>

#include "client/runtime.h"

namespace sundog::detail {

class CurrentCall {
 public:
  // Listens for cancelling from now on; outlives the Runtime's session.
  explicit CurrentCall(client::Runtime* runtime);
  void begin(const client::TaskCall& call);
  // Whether the call knows that it is cancelled: then nobody wants its result. False the second
  // time.
  bool end();
  // Stopped when the call that runs now is cancelled.
  std::stop_token token();
  bool is_cancelled();
  // Whether what waits now is to be woken: a task is cancelled. A call of an actor can only ask.
  bool ends_waits();

 private:
  void told(const TaskId& task);

  client::Runtime* runtime_;
  std::mutex mutex_;
  TaskId task_;             // nil between calls
  bool is_method_ = false;  // of an actor
  bool has_asked_ = false;  // for a token
  bool is_told_ = false;
  bool ended_ = true;
  std::stop_source source_;
};

}  // namespace sundog::detail
