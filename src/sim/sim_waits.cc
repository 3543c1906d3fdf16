// How model processes wait: for time, for room in the store, for objects.
#include <algorithm>

#include "base/probe.h"
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

Co<bool> SimProcess::sleep(DurationNs duration) {
  uint64_t number = ++sleep_number_;
  node_->world().queue.after(duration, [this, number] {
    if (alive_ && sleep_number_ == number) wake(Wake::kTimeout);
  });
  for (;;) {
    Wake why = co_await Suspend{this};
    if (why == Wake::kTimeout) co_return true;
  }
}

Co<bool> SimProcess::allocate(uint64_t size, model::Extent* extent) {
  uint32_t request = ++last_request_;
  send(model::Allocate{request, size});
  wants_room_.insert(request);
  while (!granted_.contains(request)) co_await Suspend{this};
  wants_room_.erase(request);
  auto granted = granted_.at(request);
  granted_.erase(request);
  if (!granted) co_return false;
  *extent = *granted;
  co_return true;
}

Co<bool> SimProcess::get(std::vector<ObjectId> ids, uint32_t num_ready, bool values,
                         DurationNs timeout) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  num_ready = std::min<uint32_t>(num_ready, static_cast<uint32_t>(ids.size()));
  std::vector<ObjectId> missing;
  for (const ObjectId& id : ids)
    if (!values_.contains(id) && (values || !ready_.contains(id))) missing.push_back(id);
  auto here = static_cast<uint32_t>(ids.size() - missing.size());
  if (num_ready <= here) co_return true;

  uint32_t request = ++last_request_;
  model::Get message{request, num_ready - here, values, running_.has_value(), missing};
  blocked_ = running_.has_value();
  has_blocked_ = has_blocked_ || blocked_;
  send(message);
  waits_for_ = missing;
  uint64_t number = ++sleep_number_;
  if (timeout != kNever) {
    node_->world().queue.after(timeout, [this, number] {
      if (alive_ && sleep_number_ == number) wake(Wake::kTimeout);
    });
  }
  while (!waited_.contains(request)) {
    Wake why = co_await Suspend{this};
    if (why != Wake::kTimeout) continue;
    SUNDOG_PROBE("sim.get_timed_out");
    send(model::EndGet{request});
    blocked_ = false;
    waits_for_.clear();
    co_return false;
  }
  ++sleep_number_;
  waited_.erase(request);
  blocked_ = false;
  waits_for_.clear();
  uint32_t arrived = here;
  for (const ObjectId& id : missing)
    if (values_.contains(id) || (!values && ready_.contains(id))) ++arrived;
  if (arrived < num_ready)
    node_->world().oracle.fail(describe() + ": a wait ended with " + std::to_string(arrived) +
                               " of " + std::to_string(num_ready) + " objects");
  co_return true;
}

}  // namespace sundog::sim
