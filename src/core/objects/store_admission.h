// StoreAdmission: who waits for room in the object store, first come first served.
//
// A request waits while something may still release bytes; it is refused when nothing will
// (DESIGN section 6: ObjectStoreFullError at once), after a short grace for releases that are
// already on their way. After two seconds the driver is told why it waits.
//
// Owned by NodeCore, pure.
#pragma once

#include <cstdint>
#include <deque>

#include "base/ids.h"
#include "base/time.h"

namespace sundog::core {

class StoreAdmission {
 public:
  static constexpr DurationNs kGrace = 50 * kMillisecond;
  static constexpr DurationNs kUnpinGrace = 5 * kSecond;  // others map bytes that nobody refers to
  static constexpr DurationNs kNoticeAfter = 2 * kSecond;

  struct Request {
    ClientId client;
    uint32_t number = 0;  // the client's
    uint64_t size = 0;    // bytes
    TimeNs since = 0;
    TimeNs hopeless_since = kNever;
    bool noticed = false;
  };

  bool empty() const { return waiting_.empty(); }
  std::deque<Request>& waiting() { return waiting_; }
  const std::deque<Request>& waiting() const { return waiting_; }
  void forget(ClientId client) {
    std::erase_if(waiting_, [&](const Request& r) { return r.client == client; });
  }
  bool waits(ClientId client) const {
    for (const Request& r : waiting_)
      if (r.client == client) return true;
    return false;
  }

 private:
  std::deque<Request> waiting_;
};

}  // namespace sundog::core
