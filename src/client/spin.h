// SpinBudget: how long a driver's get may look before it sleeps. At most 20 us; halved by each
// failure, restored by a success, and tried again once in 32 when it was given up (reference: fixed
// spinning costs half the speed on a busy machine, an adaptive one nothing).
//
// One caller at a time; pure.
#pragma once

#include "base/time.h"

namespace sundog::client {

class SpinBudget {
 public:
  static constexpr DurationNs kMax = 20 * kMicrosecond;
  static constexpr DurationNs kMin = 2 * kMicrosecond;  // less is not worth it
  static constexpr uint32_t kRetryEach = 32;

  DurationNs next() {
    if (budget_ >= kMin) return budget_;
    return ++given_up_ % kRetryEach == 0 ? kMax : 0;
  }
  void succeeded() { budget_ = kMax; }
  void failed() { budget_ /= 2; }

 private:
  DurationNs budget_ = kMax;
  uint32_t given_up_ = 0;
};

}  // namespace sundog::client
