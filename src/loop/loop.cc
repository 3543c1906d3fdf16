#include "loop/loop.h"

#include <algorithm>
#include <array>
#include <utility>

#include "os/clock.h"

namespace sundog::loop {
namespace {

constexpr size_t kEventsPerPass = 64;

uint64_t tag_of(int fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  auto poller = os::Poller::create();
  if (!poller) return Failure{poller.error()};
  auto wake = os::make_eventfd();
  if (!wake) return Failure{wake.error()};
  if (Status s = poller->add(wake->get(), kWakeTag); !s) return Failure{s.error()};
  auto timer = os::make_timerfd();
  if (!timer) return Failure{timer.error()};
  // By its edge: arming it anew forgets that it fired, so nobody need read it.
  if (Status s = poller->add_bell(timer->get(), kTimerTag); !s) return Failure{s.error()};
  return std::unique_ptr<EventLoop>(
      new EventLoop(*std::move(poller), *std::move(wake), *std::move(timer)));
}

EventLoop::EventLoop(os::Poller poller, os::Fd wake, os::Fd timer)
    : poller_(std::move(poller)), wake_(std::move(wake)), timer_(std::move(timer)) {}

Status EventLoop::watch(int fd, Watcher* watcher, bool readable, bool writable) {
  if (fd < 0) return Failure{std::string("cannot watch a closed descriptor")};
  auto index = static_cast<size_t>(fd);
  if (watched_.size() <= index) watched_.resize(index + 1);
  SUNDOG_CHECK(watched_[index].watcher == nullptr);
  uint32_t generation = next_generation_++;
  Status added = poller_.add(fd, tag_of(fd, generation), readable, writable);
  if (added) watched_[index] = {watcher, generation};
  return added;
}

Status EventLoop::rewatch(int fd, bool readable, bool writable) {
  const Watched& w = watched_[static_cast<size_t>(fd)];
  return poller_.change(fd, tag_of(fd, w.generation), readable, writable);
}

void EventLoop::unwatch(int fd) {
  auto index = static_cast<size_t>(fd);
  if (fd < 0 || index >= watched_.size() || watched_[index].watcher == nullptr) return;
  poller_.remove(fd);
  watched_[index].watcher = nullptr;
}

TimerId EventLoop::at(TimeNs moment, std::function<void()> f) {
  TimerId id = next_timer_++;
  timers_.emplace(std::pair{moment, id}, std::move(f));
  timer_moments_.emplace(id, moment);
  return id;
}

void EventLoop::cancel(TimerId id) {
  auto it = timer_moments_.find(id);
  if (it == timer_moments_.end()) return;
  timers_.erase({it->second, id});
  timer_moments_.erase(it);
}

void EventLoop::post(std::function<void()> f) {
  bool wake = false;
  {
    os::MutexLock lock(&mutex_);
    posted_.push_back(std::move(f));
    wake = !std::exchange(woken_, true);
  }
  if (wake) os::signal_eventfd(wake_.get());
}

bool EventLoop::run_posted() {
  std::vector<std::function<void()>> taken;
  {
    os::MutexLock lock(&mutex_);
    taken.swap(posted_);
    woken_ = false;
  }
  for (auto& f : taken) f();
  return !taken.empty();
}

bool EventLoop::run_timers() {
  if (timers_.empty()) return false;
  bool ran = false;
  TimeNs moment = os::now();
  while (!timers_.empty() && timers_.begin()->first.first <= moment) {
    auto node = timers_.extract(timers_.begin());
    timer_moments_.erase(node.key().second);
    node.mapped()();
    ran = true;
  }
  return ran;
}

// How long the poller may wait, in milliseconds: not at all, or until something happens, the armed
// timer included. That one is only ever armed for an earlier moment: one that fires too early,
// because its deadline has moved on, costs a pass in which nothing is due.
int EventLoop::arm(TimeNs deadline) {
  if (deadline == 0 || stopping_) return 0;
  if (!timers_.empty()) deadline = std::min(deadline, timers_.begin()->first.first);
  if (deadline >= armed_at_) return -1;
  if (deadline <= os::now()) return 0;
  os::arm_timerfd(timer_.get(), deadline);
  armed_at_ = deadline;
  return -1;
}

bool EventLoop::poll(TimeNs deadline) {
  std::array<os::Readiness, kEventsPerPass> ready;
  size_t n = poller_.wait(ready, arm(deadline));
  bool ran = false;
  bool woken = false;
  for (size_t i = 0; i < n; ++i) {
    if (ready[i].tag == kWakeTag) {
      os::drain_eventfd(wake_.get());
      woken = true;
      continue;
    }
    if (ready[i].tag == kTimerTag) {
      armed_at_ = kNever;
      continue;
    }
    if (ready[i].tag == kBellTag) continue;
    auto fd = static_cast<size_t>(static_cast<uint32_t>(ready[i].tag));
    Watched w = watched_[fd];
    if (w.watcher == nullptr || w.generation != ready[i].tag >> 32) continue;
    w.watcher->on_ready(ready[i]);
    ran = true;
  }
  if (woken) ran |= run_posted();
  ran |= run_timers();
  return ran;
}

void EventLoop::run() {
  while (!stopping_) poll(kNever);
  run_posted();
  stopping_ = false;
}

void EventLoop::stop() {
  post([this] { stopping_ = true; });
}

}  // namespace sundog::loop
