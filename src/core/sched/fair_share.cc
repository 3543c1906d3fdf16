#include "core/sched/fair_share.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"
#include "model/resources.h"

namespace sundog::core {
namespace {

// Virtual times are moved back together before they could overflow.
constexpr int64_t kTimeMax = int64_t{1} << 60;

}  // namespace

uint32_t FairShare::account(JobId job) {
  auto [it, made] = by_job_.try_emplace(job, static_cast<uint32_t>(accounts_.size()));
  if (made) {
    accounts_.emplace_back().job = job;
    accounts_.back().time = time_;
    ++live_;
  }
  return it->second;
}

void FairShare::set_weight(JobId job, uint32_t weight) {
  accounts_[account(job)].weight = std::clamp(weight, model::kJobWeightMin, model::kJobWeightMax);
}

void FairShare::ended(JobId job) {
  auto it = by_job_.find(job);
  if (it == by_job_.end() || !accounts_[it->second].live) return;
  accounts_[it->second].live = false;
  --live_;
  if (several()) return;
  time_ = 0;
  for (Account& a : accounts_) a.time = a.held = a.since = 0;
}

// What a CPU held for this long is worth in virtual time.
int64_t FairShare::scaled(const Account& a, int64_t held_ns) const {
  constexpr int64_t kUnits = model::kResourceUnit / kWeightUnit;
  return held_ns / kUnits / a.weight;
}

int64_t FairShare::time_of(const Account& a, TimeNs now) const {
  const int64_t memory = kMemory / model::kResourceUnit * machine_;
  int64_t time = a.time;
  if (a.held != 0) time += scaled(a, a.held * std::min<TimeNs>(now - a.since, kUncountedMax));
  // A lighter job's virtual time runs faster, and may run ahead further.
  const int64_t ahead = memory * std::max<int64_t>(kWeightUnit / a.weight, 1);
  return std::clamp(time, time_ - memory, time_ + ahead);
}

void FairShare::count(Account* a, TimeNs now) {
  a->time = time_of(*a, now);
  a->since = now;
}

void FairShare::holds(uint32_t account, int64_t change, TimeNs now) {
  Account& a = accounts_[account];
  count(&a, now);
  a.held += change;
  SUNDOG_CHECK(a.held >= 0);
}

void FairShare::came(uint32_t account, TimeNs now) {
  Account& a = accounts_[account];
  count(&a, now);
  if (a.time < time_) {
    SUNDOG_PROBE("jobs.no_credit_for_idling");
    a.time = time_;
  }
}

int64_t FairShare::turn(uint32_t account, TimeNs now) const {
  const Account& a = accounts_[account];
  return time_of(a, now) + scaled(a, a.held * kAhead);
}

void FairShare::chosen(uint32_t account, TimeNs now) {
  time_ = std::max(time_, time_of(accounts_[account], now));
  if (time_ < kTimeMax) return;
  for (Account& a : accounts_) a.time -= time_;
  time_ = 0;
}

std::string FairShare::validate() const {
  uint32_t live = 0;
  for (const auto& [job, index] : by_job_) {
    if (index >= accounts_.size() || accounts_[index].job != job)
      return "the account of a job is another's";
    if (accounts_[index].live) ++live;
    if (accounts_[index].held < 0) return "a job holds less than nothing";
    if (!several() && accounts_[index].held != 0) return "what a lone job holds is counted";
  }
  if (by_job_.size() != accounts_.size()) return "an account has no job";
  return live == live_ ? "" : "jobs are miscounted";
}

}  // namespace sundog::core
