// Batching: whether the deciding thread lets messages gather before it looks again.
//
// Waking a processor costs more than deciding on a task. When short tasks stream through and each
// turn finds only a message or two, daemon, workers and driver wake one another for every task.
// Dozing (shm/doorbell.h) turns that into one wake-up a batch: the daemon sleeps until a client or
// worker has run out of things to do and waits for it. Whoever waits for one or a few calls is
// never held up; nor is anybody when messages come so seldom that nothing would gather, nor when
// the daemon itself is what the others wait for.
//
// Owned by NodeShell's thread; pure, the shell sleeps.
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
  // The longest that a message can lie unread: its sender went on with something else.
  static constexpr DurationNs kDozeMax = 500 * kMicrosecond;
  // Fewer tasks than this and somebody waiting: latency counts, not throughput.
  static constexpr uint64_t kTasksMin = 8;
  // For so many turns after a turn that left such a wait.
  static constexpr int kHurryTurns = 16;
  // A turn that found this many messages is followed by another at once.
  static constexpr uint64_t kRecordsEnough = 64;
  // Turns further apart than this (on average) gather nothing.
  static constexpr DurationNs kGapMax = 200 * kMicrosecond;

  // Whether to doze after that turn.
  bool after_turn(TimeNs now, const TurnFacts& turn) {
    gap_ = (3 * gap_ + std::min(now - last_turn_, 8 * kGapMax)) / 4;
    last_turn_ = now;
    if (turn.waits > 0 && turn.tasks < kTasksMin) {
      hurry_ = kHurryTurns;
    } else if (hurry_ > 0) {
      --hurry_;
    }
    bool stream = turn.tasks >= kTasksMin || hurry_ == 0;
    return stream && turn.records < kRecordsEnough && gap_ <= kGapMax;
  }

 private:
  TimeNs last_turn_ = 0;
  DurationNs gap_ = 8 * kGapMax;  // between turns, exponentially weighted
  int hurry_ = kHurryTurns;
};

}  // namespace sundog::node
