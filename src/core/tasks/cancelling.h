// Cancelling: tasks with a worker that are to end, how far each was asked to, and when the next
// level is due; and the deadlines of tasks that may run only so long (docs/design/0007).
//
// Levels come one after the other, each at its moment, and never again for the same task. What was
// asked twice comes at the earlier moment. Nothing is due before begin(): until then it is not
// known whether the task began at all.
//
// Owned by NodeCore, pure. It keeps moments; NodeCore decides what follows from them.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/time.h"
#include "core/slab.h"
#include "model/messages.h"

namespace sundog::core {

enum class CancelReason : uint8_t { kAsked, kParent, kTimeout, kGroupRemoved };

struct CancelRequest {
  model::CancelLevel most = model::CancelLevel::kQueued;
  DurationNs grace = 0;  // from kInterrupt's request to kKill; 0: killed at once
  CancelReason reason = CancelReason::kAsked;
};

class Cancelling {
 public:
  // So long a task may look by itself before it is interrupted.
  static constexpr DurationNs kInterruptAfter = 50 * kMillisecond;
  // Between the interrupt of a task that ran too long and the end of its worker.
  static constexpr DurationNs kTimeoutGrace = 2 * kSecond;

  struct Due {
    uint32_t task = kNoIndex;
    bool is_deadline = false;  // else `level`
    model::CancelLevel level = model::CancelLevel::kQueued;
  };

  void ask(uint32_t task, const CancelRequest& request);
  // The task is known to run: what was asked for counts from now on.
  void begin(uint32_t task, TimeNs now);
  // An attempt began that may run until `at`.
  void set_deadline(uint32_t task, TimeNs at);
  // The attempt is over, and its deadline with it.
  void clear_deadline(uint32_t task);
  // The task is over.
  void forget(uint32_t task);

  bool asked(uint32_t task) const;
  // The reason that was given first.
  CancelReason reason(uint32_t task) const;
  // The highest level that came due.
  model::CancelLevel reached(uint32_t task) const;
  // Takes what is due by now, the earliest first; false: nothing.
  bool take_due(TimeNs now, Due* due);
  TimeNs next() const { return moments_.empty() ? kNever : moments_.begin()->first; }
  size_t size() const { return entries_.size(); }
  std::string validate() const;

 private:
  static constexpr size_t kLevels = 4;
  struct Entry {
    bool asked = false;
    CancelReason reason = CancelReason::kAsked;
    model::CancelLevel reached = model::CancelLevel::kQueued;
    std::array<DurationNs, kLevels> wanted{kNever, kNever, kNever, kNever};  // from begin() on
    std::array<TimeNs, kLevels> at{kNever, kNever, kNever, kNever};
    TimeNs deadline = kNever;
    TimeNs moment = kNever;  // as it stands in moments_
    TimeNs next() const;
  };
  void schedule(uint32_t task, Entry* entry);
  void drop_if_empty(uint32_t task);

  std::map<uint32_t, Entry> entries_;
  std::set<std::pair<TimeNs, uint32_t>> moments_;
};

}  // namespace sundog::core
