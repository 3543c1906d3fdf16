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
  // From here on a generator runs.
  void begin() { generates_ = true; }
  // Its next item: of a stream sent at once, after a wait while the consumer is behind; of a
  // num_returns="dynamic" call stored. False: nobody wants more. A cancelled call is ended here, an
  // actor's too.
  bool yield(const Value& item);
  // Nothing for all of them.
  void take_nothing();
  // An exception for all of them. True if it is an item, the last one that the call brings.
  bool take_error(std::string_view type, std::string_view message);

 private:
  void add(uint32_t index, const Value& value);
  Value stored() const;

  SessionCore* core_;
  client::Runtime* runtime_;
  CurrentCall* current_;
  const client::TaskCall& call_;
  bool generates_ = false;
  std::vector<ReferencePtr> stored_;  // items of a "dynamic" call
};

}  // namespace sundog::detail
