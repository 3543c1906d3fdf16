// Environments: which runtime environments there are, which are being prepared, and when one that
// could not be prepared is tried again (docs/design/0013-environments.md).
//
//   absent -> queued -> preparing -> ready -> absent (idle for a while)
//               ^           |          |
//               +---------- failed <---+   (when it is wanted again and its pause is over)
//
// Only so many are prepared at a time, for each is a process that may install packages: a program
// may ask for a thousand at once. The others have their turn in the order in which they came.
// Owned by NodeCore, pure. It never sees a task or a process: NodeCore tells it who wants what, and
// performs its orders. An environment is the hash of its description; 0 is the job's own, which
// needs no preparing and never comes here. Answers carry the attempt they belong to: a late one
// changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace sundog::core {

struct EnvironmentOrder {
  enum class Kind : uint8_t {
    kPrepare,  // begin this attempt
    kAbort,    // this attempt took too long: it has failed
    kEnd,      // nobody used it for a while: its zygote ends
  };
  Kind kind = Kind::kPrepare;
  uint64_t hash = 0;
  uint32_t attempt = 0;
};
using EnvironmentOrders = std::vector<EnvironmentOrder>;

class Environments {
 public:
  enum class State : uint8_t { kAbsent, kQueued, kPreparing, kReady, kFailed };
  static constexpr size_t kPreparingMax = 8;
  static constexpr DurationNs kPauseMin = kSecond;  // after a failure, doubled each time
  static constexpr DurationNs kPauseMax = 30 * kSecond;
  static constexpr DurationNs kIdleKept = 60 * kSecond;
  static constexpr size_t kDefinedMax = 10'000;

  struct Environment {
    std::string description;  // JSON, as its client wrote it
    DurationNs patience = 0;  // of an attempt; 0: without end
    State state = State::kAbsent;
    uint32_t attempt = 0;
    uint32_t failures = 0;  // in a row
    uint32_t workers = 0;   // that live or start
    bool wanted = false;    // kFailed: to be tried again as soon as it may
    TimeNs since = 0;       // that it is in this state
    TimeNs used = 0;        // when it was wanted, or a worker of it ended, last
  };

  explicit Environments(size_t preparing_max = kPreparingMax) : preparing_max_(preparing_max) {}

  // False if there are too many, or the hash is another description's.
  bool define(uint64_t hash, std::string_view description, DurationNs patience);
  const Environment* find(uint64_t hash) const;
  bool is_ready(uint64_t hash) const;

  // A task of it waits. May be said any number of times.
  void want(uint64_t hash, TimeNs now, EnvironmentOrders* orders);
  // False: the answer is to another attempt, or to none.
  bool prepared(uint64_t hash, uint32_t attempt, TimeNs now);
  // Also for one that was ready, and whose zygote cannot be started any more.
  bool failed(uint64_t hash, uint32_t attempt, TimeNs now);
  // From the moment that it is asked for: its start may take longer than an idle one is kept.
  void worker_came(uint64_t hash);
  void worker_left(uint64_t hash, TimeNs now);

  // What is due: failed ones that are wanted, attempts that took too long, idle ones, and those
  // whose turn it is.
  void tick(TimeNs now, EnvironmentOrders* orders);
  TimeNs next() const { return next_; }

  const std::map<uint64_t, Environment>& all() const { return environments_; }
  std::string validate() const;

 private:
  static DurationNs pause(uint32_t failures);
  static TimeNs due(const Environment& e);
  void prepare(uint64_t hash, Environment* e, TimeNs now, EnvironmentOrders* orders);
  void begin(uint64_t hash, Environment* e, TimeNs now, EnvironmentOrders* orders);
  void fail(Environment* e, TimeNs now);
  bool has_turn() const { return !queue_.empty() && preparing_ < preparing_max_; }
  void refresh();

  size_t preparing_max_;
  size_t preparing_ = 0;  // how many are
  std::map<uint64_t, Environment> environments_;
  std::deque<uint64_t> queue_;  // those in kQueued
  TimeNs next_ = kNever;
};

}  // namespace sundog::core
