// Results: what a C++ function made of a call, given to the Runtime as the call's results. On the
// stack of the worker's one call.
#pragma once

#include "api/session_core.h"
#include "client/runtime.h"

namespace sundog::detail {

class Results {
 public:
  Results(SessionCore* core, const client::TaskCall& call)
      : core_(core), runtime_(&core->runtime()), current_(core->current_call()), call_(call) {}
  // What the function returned: the one result, or a part for each of several. Throws what a call
  // ends with instead: that it knew of its cancelling, or has another number of parts.
  void take(const Value& returned);
  // The next item of a stream, sent at once; waits while the consumer is behind. False: nobody
  // wants more. A cancelled call is ended here, an actor's too.
  bool yield(const Value& item);
  // Nothing for all of them.
  void take_nothing();
  // An exception for all of them.
  void take_error(std::string_view type, std::string_view message);

 private:
  void add(uint32_t index, const Value& value);

  SessionCore* core_;
  client::Runtime* runtime_;
  CurrentCall* current_;
  const client::TaskCall& call_;
};

}  // namespace sundog::detail
