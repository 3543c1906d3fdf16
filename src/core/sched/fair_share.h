// FairShare: whose turn it is when several jobs of a session want the same CPUs.
//
// Each job has an account with a virtual time: the CPU time that it held, divided by its weight.
// The job whose virtual time is least goes first, so that jobs that always want more get CPU time
// in the ratio of their weights, whatever the length and number of their tasks (stride scheduling
// of Waldspurger and Weihl, 1995; virtual time of those that come as in start-time fair queueing of
// Goyal, Vin and Cheng, 1996). Held counts, not used: a CPU that a task keeps is nobody else's.
// What a worker holds of the GPUs counts as the same part of the CPUs, if that is more.
//
//  - Who comes with nothing saved stands where the session's virtual time stands: a job that was
//    idle has no credit, one that waited has.
//  - Nobody is further ahead or behind than kMemory of the whole machine: what was longer ago is
//    forgotten, and so is what a job waited for that cannot be placed at all.
//  - Of two that are even, the one that holds less goes first: nothing is learnt from tasks that
//    still run, and the first to come would take every CPU.
//  - It only orders: a job beyond its share still gets what nobody else can take.
//
// With one job there is nothing to choose and nothing is counted; LocalScheduler tells what is held
// once there are two.
//
// Owned by LocalScheduler, pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/limits.h"

namespace sundog::core {

class FairShare {
 public:
  static constexpr uint32_t kWeightUnit = model::kJobWeightUnit;
  static constexpr DurationNs kAhead = 10 * kMillisecond;  // what is held counts for so long more
  static constexpr DurationNs kMemory = 20 * kSecond;      // of all CPUs
  static constexpr DurationNs kUncountedMax = 600 * kSecond;  // longer is counted as this

  // `machine`: all CPUs, in 1/10000.
  explicit FairShare(int64_t machine) : machine_(machine) {}

  // The job's account, made if it has none. It stays when the job ends: what is left of the job may
  // still hold something.
  uint32_t account(JobId job);
  // In 1/1000; what is out of range counts as the nearest that is not.
  void set_weight(JobId job, uint32_t weight);
  void ended(JobId job);
  bool several() const { return live_ > 1; }

  // The job holds so much more of the CPUs (1/10000) from now on, or less. Only while several().
  void holds(uint32_t account, int64_t change, TimeNs now);
  // It has a task to place, and had none before.
  void came(uint32_t account, TimeNs now);
  // Its virtual time with what it holds; whose is least goes first.
  int64_t turn(uint32_t account, TimeNs now) const;
  // It goes first now.
  void chosen(uint32_t account, TimeNs now);

  int64_t held(uint32_t account) const { return accounts_[account].held; }
  std::string validate() const;

 private:
  struct Account {
    JobId job;
    bool live = true;
    int64_t weight = kWeightUnit;
    int64_t time = 0;  // virtual, in ns of one CPU at weight 1
    int64_t held = 0;
    TimeNs since = 0;  // counted until then
  };
  int64_t scaled(const Account& a, int64_t cpu_ns) const;
  int64_t time_of(const Account& a, TimeNs now) const;
  void count(Account* a, TimeNs now);

  int64_t machine_;
  std::map<JobId, uint32_t> by_job_;
  std::vector<Account> accounts_;
  uint32_t live_ = 0;
  int64_t time_ = 0;  // the session's: of whoever went first last
};

}  // namespace sundog::core
