// Batching: whether the deciding thread lets messages gather before it looks again.
//
// Waking a processor costs more than deciding on a task. When short tasks stream through and each
// turn finds only a message or two, daemon, workers and driver wake one another for every task. A
// nap of a few microseconds with the doorbell unarmed turns that into one wake-up a batch: nobody
// writes the eventfd meanwhile, and each worker and the driver are woken once for all that
// gathered. Whoever waits for one or a few calls is never held up; nor is anybody when messages
// come so seldom that nothing would gather, nor when the daemon itself is what the others wait for.
//
// Owned by NodeShell's thread; pure, the shell naps.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace sundog::node {

// What a turn found and left.
struct TurnFacts {
  uint64_t records = 0;  // messages it read
  uint64_t tasks = 0;    // under way or queued
  uint64_t waits = 0;    // gets and waits that are not answered
};

class Batching {
 public:
  static constexpr DurationNs kNapMin = 25 * kMicrosecond;
  static constexpr DurationNs kNapMax = 100 * kMicrosecond;
  // Fewer tasks than this and somebody waiting: latency counts, not throughput.
  static constexpr uint64_t kTasksMin = 8;
  // For so many turns after a turn that left such a wait.
  static constexpr int kHurryTurns = 16;
  // A turn that found this many messages was worth its wake-ups.
  static constexpr uint64_t kRecordsEnough = 64;
  // Turns further apart than this (on average) gather nothing.
  static constexpr DurationNs kGapMax = 2 * kNapMax;

  // How long to nap after that turn; 0: not at all.
  DurationNs after_turn(TimeNs now, const TurnFacts& turn) {
    gap_ = (3 * gap_ + std::min(now - last_turn_, 8 * kGapMax)) / 4;
    last_turn_ = now;
    if (turn.waits > 0 && turn.tasks < kTasksMin) {
      hurry_ = kHurryTurns;
    } else if (hurry_ > 0) {
      --hurry_;
    }
    if (turn.records < std::min(kRecordsEnough, turn.tasks)) {
      nap_ = std::min(2 * nap_, kNapMax);
    } else {
      nap_ = std::max(nap_ / 2, kNapMin);
    }
    bool stream = turn.tasks >= kTasksMin || hurry_ == 0;
    return stream && turn.records < kRecordsEnough && gap_ <= kGapMax ? nap_ : 0;
  }

 private:
  TimeNs last_turn_ = 0;
  DurationNs gap_ = 8 * kGapMax;  // between turns, exponentially weighted
  DurationNs nap_ = kNapMin;
  int hurry_ = kHurryTurns;
};

}  // namespace sundog::node
