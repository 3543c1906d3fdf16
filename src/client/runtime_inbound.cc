// What comes in, and how threads sleep until it does. See runtime_impl.h.
#include <algorithm>

#include "client/runtime_impl.h"
#include "os/clock.h"
#include "os/futex.h"

namespace sundog::client {
namespace {

constexpr int kRecordsPerRelease = 64;
// A waiting program is asked for interrupts this often; a signal ends a sleep at once.
constexpr DurationNs kInterruptStep = 100 * kMillisecond;

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // clang deduces it by itself from 17 on

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace

// ---------------------------------------------------------------- draining

void RuntimeImpl::drain() {
  int since_release = 0;
  while (link_.receive([this](const ObjectId& id) { core_.expect(id); },
                       [this](const model::Value& value) { core_.on_value(value); },
                       [this](const model::NodeMessage& message) { handle(message); })) {
    if (++since_release == kRecordsPerRelease) {
      link_.release();
      since_release = 0;
    }
  }
  link_.release();
  if (link_.broken() && state_.load() == State::kLive) {
    death_cause_ = "sent what this process does not understand: " + link_.why_broken();
    state_.store(State::kNodeDied, std::memory_order_release);
    wake_everyone();
  }
}

void RuntimeImpl::handle(const model::NodeMessage& message) {
  std::visit(Overloaded{
                 [&](const model::Value& m) { core_.on_value(m); },
                 [&](const model::Ready& m) { core_.on_ready(m); },
                 [&](const model::Execute& m) { hold_task(m); },
                 [&](const model::Waited& m) {
                   if (!core_.on_waited(m) || end_watch(m.request)) return;
                   if (Waiter* waiter = find_waiter(m.request)) finish(waiter);
                 },
                 [&](const model::Grant& m) { give_grant(m); },
                 [&](const model::Refused& m) {
                   Waiter* waiter = find_waiter(m.request);
                   if (waiter == nullptr) return;
                   waiter->refused = true;
                   waiter->text = m.reason;
                   finish(waiter);
                 },
                 [&](const model::Reply& m) {
                   Waiter* waiter = find_waiter(m.request);
                   if (waiter == nullptr) return;
                   waiter->text += m.text;
                   if (m.last) finish(waiter);
                 },
                 [&](const model::Stop&) {
                   stop_after_task_ = true;
                   wake_task_waiters();
                 },
                 [&](const model::NameReply& m) { take_name(m); },
                 [&](const model::StreamCredit& m) { take_credit(m); },
                 [&](const model::GroupRemoved& m) { core_.on_group_removed(m); },
                 [&](const model::CancelRunning& m) { take_cancel(m); },
                 [&](const model::Output& m) {
                   deliveries_.push_back({true, m.pid, m.is_stderr, 0, std::string(m.task_name),
                                          std::string(m.text)});
                   os::signal_eventfd(session_.event.get());
                 },
                 [&](const model::Notice& m) {
                   deliveries_.push_back({false, 0, false, m.severity, "", std::string(m.text)});
                   os::signal_eventfd(session_.event.get());
                 },
             },
             message);
}

void RuntimeImpl::hold_task(const model::Execute& message) {
  auto held = recycled_task();
  const shm::Record& record = link_.last_record();
  held->type = static_cast<wire::RecordType>(record.type);
  held->payload.assign(record.payload.begin(), record.payload.end());
  held->group = message.kind == model::CallKind::kMethod ? message.group : 0;
  held->concurrency = message.kind == model::CallKind::kMethod ? message.concurrency : 1;
  held->arrival = ++arrivals_;
  if (held->group >= lanes_.size()) lanes_.resize(held->group + 1u);
  lanes_[held->group].offered.push_back(std::move(held));
  wake_task_waiters();
}

void RuntimeImpl::give_grant(const model::Grant& message) {
  Waiter* waiter = find_waiter(message.request);
  if (waiter == nullptr) {  // it gave up; the room goes back with the next call
    unwanted_grants_.push_back(message.extent);
    return;
  }
  waiter->granted = message.extent;
  finish(waiter);
}

// ---------------------------------------------------------------- waiters

Waiter* RuntimeImpl::find_waiter(uint32_t request) {
  for (Waiter* waiter : waiters_) {
    if (waiter->kind == Waiter::Kind::kRequest && waiter->request == request) return waiter;
  }
  return nullptr;
}

void RuntimeImpl::finish(Waiter* waiter) {
  waiter->done = true;
  wake(waiter);
}

void RuntimeImpl::wake(Waiter* waiter) {
  if (waiter != leader_) {
    waiter->word.store(1, std::memory_order_release);
    os::futex_wake(&waiter->word, 1, os::FutexScope::kPrivate);
    return;
  }
  uint32_t sleeping = static_cast<uint32_t>(shm::Sleep::kWaiter);
  if (link_.sleep_word()->compare_exchange_strong(sleeping,
                                                  static_cast<uint32_t>(shm::Sleep::kAwake))) {
    os::futex_wake(link_.sleep_word(), 1, os::FutexScope::kShared);
  }
}

void RuntimeImpl::wake_task_waiters() {
  if (task_event_due_) {
    task_event_due_ = false;
    os::signal_eventfd(task_event_.get());
  }
  for (Waiter* waiter : waiters_) {
    if (waiter->kind == Waiter::Kind::kTask && !waiter->done) {
      finish(waiter);
      return;
    }
  }
}

bool RuntimeImpl::end_watch(uint32_t request) {
  if (watches_.empty()) return false;
  auto watch = watches_.find(request);
  if (watch == watches_.end()) return false;
  add_watched(watch->second);
  watches_.erase(watch);
  return true;
}

void RuntimeImpl::add_watched(uint64_t token) {
  watched_.push_back(token);
  for (Waiter* waiter : waiters_) {
    if (waiter->kind == Waiter::Kind::kWatch && !waiter->done) finish(waiter);
  }
}

void RuntimeImpl::wake_everyone() {
  if (task_event_) os::signal_eventfd(task_event_.get());
  for (Waiter* waiter : waiters_) wake(waiter);
}

RuntimeImpl::WaitEnd RuntimeImpl::wait_for(Waiter* waiter, Lock& lock, TimeNs deadline,
                                           Yielder* yielder) {
  flush_drops_that_matter();
  waiters_.push_back(waiter);
  bool yielded = false;
  WaitEnd end = wait_in_line(waiter, lock, deadline, yielder, &yielded);
  leave(waiter);
  if (yielded) {
    lock.unlock();
    yielder->acquire();
    lock.lock();
  }
  return end;
}

RuntimeImpl::WaitEnd RuntimeImpl::wait_in_line(Waiter* waiter, Lock& lock, TimeNs deadline,
                                               Yielder* yielder, bool* yielded) {
  const bool may_poll = yielder != nullptr && waiter->kind == Waiter::Kind::kRequest;
  while (true) {
    drain();
    if (waiter->done) return WaitEnd::kDone;
    if (state_.load(std::memory_order_relaxed) != State::kLive) return WaitEnd::kOver;
    DurationNs left = kNever;
    if (deadline != kNever) {
      left = deadline - os::now();
      if (left <= 0) return WaitEnd::kTimeout;
    }
    if (yielder != nullptr && !*yielded) {
      *yielded = true;
      lock.unlock();
      yielder->release();
      lock.lock();
      continue;  // somebody may have drained for us meanwhile
    }
    if (may_poll) left = std::min(left, kInterruptStep);
    if (sleep_once(waiter, lock, left) || yielder == nullptr) continue;
    lock.unlock();
    bool interrupted = yielder->interrupted();
    lock.lock();
    if (interrupted && !waiter->done) return WaitEnd::kInterrupted;
  }
}

bool RuntimeImpl::sleep_once(Waiter* waiter, Lock& lock, DurationNs timeout) {
  os::FutexResult result;
  link_.insist();
  if (leader_ == nullptr) leader_ = waiter;
  if (leader_ == waiter) {
    if (waiter->kind == Waiter::Kind::kRequest && spin_for_more()) return true;
    if (!link_.prepare_sleep(shm::Sleep::kWaiter)) return true;
    lock.unlock();
    result = os::futex_wait(link_.sleep_word(), static_cast<uint32_t>(shm::Sleep::kWaiter), timeout,
                            os::FutexScope::kShared);
    lock.lock();
    link_.stay_awake();
  } else {
    waiter->word.store(0, std::memory_order_relaxed);
    lock.unlock();
    result = os::futex_wait(&waiter->word, 0, timeout, os::FutexScope::kPrivate);
    lock.lock();
  }
  return result == os::FutexResult::kWoken || result == os::FutexResult::kChanged;
}

bool RuntimeImpl::spin_for_more() {
  if (session_.role != model::Role::kDriver || waiters_.size() != 1) return false;
  DurationNs budget = spin_.next();
  if (budget == 0) return false;
  const TimeNs until = os::now() + budget;
  do {
    for (int i = 0; i < 16; ++i) {
      if (link_.has_more()) {
        spin_.succeeded();
        return true;
      }
      pause_cpu();
    }
  } while (os::now() < until);
  spin_.failed();
  return false;
}

void RuntimeImpl::leave(Waiter* waiter) {
  waiters_.erase(std::find(waiters_.begin(), waiters_.end(), waiter));
  if (leader_ == waiter || leader_ == nullptr) {
    leader_ = nullptr;
    if (waiters_.empty()) {
      rest();
    } else {
      Waiter* next = waiters_.front();
      wake(next);  // still a follower: it sleeps on its own word
      leader_ = next;
    }
  }
}

void RuntimeImpl::flush_drops() {
  if (is_over()) return;
  send_unwanted();
  core_.flush(&dead_exports_);
  link_.publish();
}

void RuntimeImpl::send_unwanted() {
  for (const model::Extent& extent : unwanted_grants_) core_.send(model::Abandon{extent});
  unwanted_grants_.clear();
  if (!unwanted_names_.empty()) give_names_back();
}

void RuntimeImpl::rest() {
  auto where = [this] { return task_event_due_ ? shm::Sleep::kTasks : shm::Sleep::kRuntime; };
  while (!is_over() && !link_.prepare_sleep(where())) drain();
}

}  // namespace sundog::client
