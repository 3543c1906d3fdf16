// Virtual time: what happens next, ordered by (time, order of scheduling).
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "base/time.h"

namespace sundog::sim {

class EventQueue {
 public:
  TimeNs now() const { return now_; }
  void at(TimeNs when, std::function<void()> what) {
    queue_.push({when < now_ ? now_ : when, ++sequence_, std::move(what)});
  }
  void after(DurationNs delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  bool empty() const { return queue_.empty(); }
  uint64_t executed() const { return executed_; }
  // Runs the next event; false if there is none.
  bool run_one() {
    if (queue_.empty()) return false;
    // The element is about to be popped, so moving out of it is fine.
    auto what = std::move(const_cast<Item&>(queue_.top()).what);
    now_ = queue_.top().when;
    queue_.pop();
    ++executed_;
    what();
    return true;
  }

 private:
  struct Item {
    TimeNs when;
    uint64_t sequence;
    std::function<void()> what;
    bool operator<(const Item& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };
  TimeNs now_ = 0;
  uint64_t sequence_ = 0;
  uint64_t executed_ = 0;
  std::priority_queue<Item> queue_;
};

}  // namespace sundog::sim
