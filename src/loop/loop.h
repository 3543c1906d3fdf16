// EventLoop: descriptors, timers and posted work of one thread.
//
// Everything but post() belongs to the thread that calls poll() or run(). Callbacks may watch,
// unwatch and set timers freely; a watcher that was removed is not called again, not even for an
// event that was already taken from the kernel. The loop never blocks but in poll(), never starts
// a thread and owns no descriptor of others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"
#include "os/mutex.h"
#include "os/poller.h"

namespace sundog::loop {

// Told when its descriptor is ready.
class Watcher {
 public:
  virtual void on_ready(const os::Readiness& readiness) = 0;

 protected:
  ~Watcher() = default;
};

// A watcher made of a function, for owners of several descriptors.
class FunctionWatcher final : public Watcher {
 public:
  explicit FunctionWatcher(std::function<void(const os::Readiness&)> f) : f_(std::move(f)) {}
  void on_ready(const os::Readiness& readiness) override { f_(readiness); }

 private:
  std::function<void(const os::Readiness&)> f_;
};

using TimerId = uint64_t;  // 0: none

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create();

  // The watcher must live until unwatch(); one watcher a descriptor.
  Status watch(int fd, Watcher* watcher, bool readable = true, bool writable = false);
  // An eventfd whose signals only end the wait of poll(); it is not drained, which saves a call of
  // the system for each.
  Status watch_bell(int eventfd) { return poller_.add_bell(eventfd, kBellTag); }
  Status rewatch(int fd, bool readable, bool writable);
  void unwatch(int fd);  // before the descriptor is closed

  TimerId at(TimeNs moment, std::function<void()> f);
  void cancel(TimerId id);

  // Any thread: f runs on the loop's thread, in the order of the calls.
  void post(std::function<void()> f);

  // One pass: waits at most until `deadline` (0: not at all, kNever: without end), then runs what
  // is due. It may return early with nothing done. Returns whether anything ran.
  bool poll(TimeNs deadline);
  // poll() until stop(); stop() may come from any thread and takes effect after the current pass.
  void run();
  void stop();

 private:
  static constexpr uint64_t kWakeTag = ~0ull;
  static constexpr uint64_t kTimerTag = kWakeTag - 1;
  static constexpr uint64_t kBellTag = kWakeTag - 2;
  struct Watched {
    Watcher* watcher = nullptr;
    uint32_t generation = 0;
  };
  EventLoop(os::Poller poller, os::Fd wake, os::Fd timer);
  bool run_posted();
  bool run_timers();
  int arm(TimeNs deadline);

  os::Poller poller_;
  os::Fd wake_;
  // A descriptor that stays armed over many passes: to program a timer for each sleep costs several
  // times the sleep itself.
  os::Fd timer_;
  TimeNs armed_at_ = kNever;
  std::vector<Watched> watched_;  // by descriptor
  uint32_t next_generation_ = 1;
  std::map<std::pair<TimeNs, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, TimeNs> timer_moments_;
  TimerId next_timer_ = 1;
  bool stopping_ = false;

  os::Mutex mutex_;
  std::vector<std::function<void()>> posted_ SUNDOG_GUARDED_BY(mutex_);
  bool woken_ SUNDOG_GUARDED_BY(mutex_) = false;
};

}  // namespace sundog::loop
