#include "core/sched/environments.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

bool Environments::define(uint64_t hash, std::string_view description, DurationNs patience) {
  auto found = environments_.find(hash);
  if (found != environments_.end()) return found->second.description == description;
  if (hash == 0 || environments_.size() >= kDefinedMax) return false;
  Environment& e = environments_[hash];
  e.description = description;
  e.patience = patience;
  return true;
}

const Environments::Environment* Environments::find(uint64_t hash) const {
  auto found = environments_.find(hash);
  return found == environments_.end() ? nullptr : &found->second;
}

bool Environments::is_ready(uint64_t hash) const {
  const Environment* e = find(hash);
  return e != nullptr && e->state == State::kReady;
}

void Environments::want(uint64_t hash, TimeNs now, EnvironmentOrders* orders) {
  auto found = environments_.find(hash);
  if (found == environments_.end()) return;
  Environment& e = found->second;
  e.used = now;
  if (e.state == State::kFailed) {
    e.wanted = true;
    if (due(e) <= now) {
      SUNDOG_PROBE("environments.wanted_after_its_pause");
      prepare(hash, &e, now, orders);
    }
  } else if (e.state == State::kAbsent) {
    prepare(hash, &e, now, orders);
  }
  refresh();
}

void Environments::prepare(uint64_t hash, Environment* e, TimeNs now, EnvironmentOrders* orders) {
  e->wanted = false;
  if (queue_.empty() && preparing_ < preparing_max_) return begin(hash, e, now, orders);
  SUNDOG_PROBE("environments.waits_for_its_turn");
  e->state = State::kQueued;
  e->since = now;
  queue_.push_back(hash);
}

void Environments::begin(uint64_t hash, Environment* e, TimeNs now, EnvironmentOrders* orders) {
  e->state = State::kPreparing;
  e->since = now;
  ++e->attempt;
  ++preparing_;
  orders->push_back({EnvironmentOrder::Kind::kPrepare, hash, e->attempt});
}

bool Environments::prepared(uint64_t hash, uint32_t attempt, TimeNs now) {
  auto found = environments_.find(hash);
  if (found == environments_.end()) return false;
  Environment& e = found->second;
  if (e.state != State::kPreparing || e.attempt != attempt) {
    SUNDOG_PROBE("environments.late_answer");
    return false;
  }
  --preparing_;
  e.state = State::kReady;
  e.since = e.used = now;
  e.failures = 0;
  refresh();
  return true;
}

bool Environments::failed(uint64_t hash, uint32_t attempt, TimeNs now) {
  auto found = environments_.find(hash);
  if (found == environments_.end()) return false;
  Environment& e = found->second;
  const bool current = e.state == State::kPreparing || e.state == State::kReady;
  if (!current || e.attempt != attempt) {
    SUNDOG_PROBE("environments.late_answer");
    return false;
  }
  fail(&e, now);
  refresh();
  return true;
}

void Environments::fail(Environment* e, TimeNs now) {
  if (e->state == State::kPreparing) --preparing_;
  e->state = State::kFailed;
  e->since = now;
  e->wanted = false;
  ++e->failures;
}

void Environments::worker_came(uint64_t hash) {
  auto found = environments_.find(hash);
  if (found == environments_.end()) return;
  ++found->second.workers;
  refresh();
}

void Environments::worker_left(uint64_t hash, TimeNs now) {
  auto found = environments_.find(hash);
  if (found == environments_.end()) return;
  SUNDOG_CHECK(found->second.workers > 0);
  --found->second.workers;
  found->second.used = now;
  refresh();
}

DurationNs Environments::pause(uint32_t failures) {
  return std::min(kPauseMax, kPauseMin << std::min(failures - 1, 10u));
}

// When the next thing happens by itself, if nothing else does before.
TimeNs Environments::due(const Environment& e) {
  switch (e.state) {
    case State::kPreparing:
      return e.patience > 0 ? e.since + e.patience : kNever;
    case State::kFailed:
      return e.wanted ? e.since + pause(e.failures) : kNever;
    case State::kReady:
      return e.workers == 0 ? e.used + kIdleKept : kNever;
    case State::kAbsent:
    case State::kQueued:
      return kNever;
  }
  return kNever;
}

void Environments::tick(TimeNs now, EnvironmentOrders* orders) {
  for (auto& [hash, e] : environments_) {
    if (due(e) > now) continue;
    switch (e.state) {
      case State::kPreparing:
        SUNDOG_PROBE("environments.took_too_long");
        orders->push_back({EnvironmentOrder::Kind::kAbort, hash, e.attempt});
        fail(&e, now);
        break;
      case State::kFailed:
        SUNDOG_PROBE("environments.tried_again");
        prepare(hash, &e, now, orders);
        break;
      case State::kReady:
        SUNDOG_PROBE("environments.idle_one_ended");
        orders->push_back({EnvironmentOrder::Kind::kEnd, hash, e.attempt});
        e.state = State::kAbsent;
        e.since = now;
        break;
      case State::kAbsent:
      case State::kQueued:
        break;
    }
  }
  while (has_turn()) {
    const uint64_t hash = queue_.front();
    queue_.pop_front();
    begin(hash, &environments_.at(hash), now, orders);
  }
  refresh();
}

// They change seldom, and the next moment is asked for after every step.
void Environments::refresh() {
  next_ = has_turn() ? 0 : kNever;
  for (const auto& [hash, e] : environments_) next_ = std::min(next_, due(e));
}

std::string Environments::validate() const {
  TimeNs first = has_turn() ? 0 : kNever;
  size_t preparing = 0, queued = 0;
  for (const auto& [hash, e] : environments_) {
    first = std::min(first, due(e));
    preparing += e.state == State::kPreparing ? 1 : 0;
    queued += e.state == State::kQueued ? 1 : 0;
    const std::string who = "environment " + std::to_string(hash) + ": ";
    if (hash == 0) return who + "the job's own needs no preparing";
    if (e.wanted && e.state != State::kFailed) return who + "wanted, and not failed";
    if (e.state == State::kFailed && e.failures == 0) return who + "failed without a failure";
    const bool begun = e.state != State::kAbsent && e.state != State::kQueued;
    if (begun && e.attempt == 0) return who + "prepared without an attempt";
  }
  if (preparing != preparing_ || preparing > preparing_max_) return "too many are prepared";
  if (queued != queue_.size()) return "the queue of the environments is wrong";
  for (uint64_t hash : queue_)
    if (environments_.at(hash).state != State::kQueued) return "one in the queue has had its turn";
  if (first != next_) return "the next moment of the environments is wrong";
  return {};
}

}  // namespace sundog::core
