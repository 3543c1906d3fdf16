// FairShare: its rules one by one, then random jobs against a plain log of who ran when.
#include "core/sched/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/probe.h"
#include "base/random.h"
#include "model/resources.h"

namespace sundog::core {
namespace {

constexpr int64_t kOne = model::kResourceUnit;

// CPUs on which jobs run tasks of one CPU, chosen by FairShare; the log tells who ran when.
class Machine {
 public:
  explicit Machine(int cpus) : shares(cpus * kOne), cpus_(static_cast<size_t>(cpus)) {}

  uint32_t add_job(double weight = 1) {
    JobId job{++last_job_};
    shares.set_weight(job, static_cast<uint32_t>(weight * FairShare::kWeightUnit));
    uint32_t index = shares.account(job);
    backlog.resize(index + 1);
    return index;
  }
  void wants(uint32_t job, DurationNs length) {
    if (backlog[job].empty()) shares.came(job, now);
    backlog[job].push_back(length);
  }
  // Until `end` or until nobody runs or wants anything.
  void run(TimeNs end) {
    for (;;) {
      while (running_.size() < cpus_ && place()) {
      }
      if (running_.empty() || running_.begin()->first > end) break;
      now = running_.begin()->first;
      shares.holds(running_.begin()->second, -kOne, now);
      running_.erase(running_.begin());
      ASSERT_EQ(shares.validate(), "");
    }
    now = end;
  }
  // CPU time of the job in [from, to), from the log.
  double used(uint32_t job, TimeNs from, TimeNs to) const {
    double sum = 0;
    for (const Run& r : log_)
      if (r.job == job)
        sum +=
            static_cast<double>(std::max<TimeNs>(0, std::min(r.end, to) - std::max(r.begin, from)));
    return sum;
  }

  FairShare shares;
  std::vector<std::vector<DurationNs>> backlog;
  TimeNs now = kSecond;

 private:
  struct Run {
    uint32_t job;
    TimeNs begin, end;
  };
  bool place() {
    uint32_t best = UINT32_MAX;
    for (uint32_t j = 0; j < backlog.size(); ++j)
      if (!backlog[j].empty() &&
          (best == UINT32_MAX || shares.turn(j, now) < shares.turn(best, now)))
        best = j;
    if (best == UINT32_MAX) return false;
    shares.chosen(best, now);
    shares.holds(best, kOne, now);
    log_.push_back({best, now, now + backlog[best].back()});
    running_.emplace(log_.back().end, best);
    backlog[best].pop_back();
    return true;
  }

  size_t cpus_;
  uint32_t last_job_ = 0;
  std::multimap<TimeNs, uint32_t> running_;
  std::vector<Run> log_;
};

void fill(Machine* m, uint32_t job, size_t tasks, DurationNs length) {
  for (size_t i = 0; i < tasks; ++i) m->wants(job, length);
}

TEST(FairShare, one_that_comes_late_gets_half_from_then_on) {
  Machine m(4);
  uint32_t first = m.add_job(), second = m.add_job();
  fill(&m, first, 4000, 100 * kMillisecond);
  m.run(m.now + 20 * kSecond);
  const TimeNs came = m.now;
  fill(&m, second, 4000, 100 * kMillisecond);
  m.run(came + 10 * kSecond);
  EXPECT_NEAR(m.used(second, came, m.now), 20e9, 1e9);
  EXPECT_NEAR(m.used(first, came, m.now), 20e9, 1e9);
}

TEST(FairShare, weights_are_ratios) {
  Machine m(2);
  uint32_t heavy = m.add_job(3), light = m.add_job(0.5);
  const TimeNs began = m.now;
  fill(&m, heavy, 4000, 50 * kMillisecond);
  fill(&m, light, 4000, 50 * kMillisecond);
  m.run(began + 35 * kSecond);
  EXPECT_NEAR(m.used(heavy, began, m.now) / m.used(light, began, m.now), 6, 0.3);
}

TEST(FairShare, long_tasks_do_not_get_more_than_short_ones) {
  Machine m(2);
  uint32_t with_long = m.add_job(), with_short = m.add_job();
  const TimeNs began = m.now;
  fill(&m, with_long, 60, 3 * kSecond);
  fill(&m, with_short, 20'000, 10 * kMillisecond);
  m.run(began + 60 * kSecond);
  EXPECT_NEAR(m.used(with_short, began, m.now), 60e9, 7e9);
}

TEST(FairShare, a_job_that_was_idle_has_no_credit) {
  Machine m(1);
  uint32_t busy = m.add_job(), idle = m.add_job();
  fill(&m, idle, 1, kMillisecond);
  fill(&m, busy, 40'000, 100 * kMillisecond);
  m.run(m.now + 1000 * kSecond);
  const uint64_t before = probe_hits("jobs.no_credit_for_idling");
  const TimeNs came = m.now;
  fill(&m, idle, 400, 100 * kMillisecond);
  EXPECT_GT(probe_hits("jobs.no_credit_for_idling"), before);
  m.run(came + 2 * kSecond);
  EXPECT_NEAR(m.used(busy, came, m.now), 1e9, 0.3e9);
}

TEST(FairShare, what_could_not_be_placed_gives_a_bounded_credit) {
  Machine m(1);
  uint32_t busy = m.add_job(), stuck = m.add_job();
  m.shares.came(stuck, m.now);  // it wants what this machine does not have
  fill(&m, busy, 40'000, 100 * kMillisecond);
  m.run(m.now + 1000 * kSecond);
  const TimeNs came = m.now;
  for (int i = 0; i < 4000; ++i) m.backlog[stuck].push_back(100 * kMillisecond);
  m.run(came + 100 * kSecond);
  EXPECT_NEAR(m.used(stuck, came, m.now), 50e9 + FairShare::kMemory / 2, 1e9);
}

TEST(FairShare, with_equal_times_who_holds_less_goes_first) {
  FairShare shares(4 * kOne);
  uint32_t one = shares.account(JobId{1}), two = shares.account(JobId{2});
  shares.holds(one, kOne, kSecond);
  EXPECT_LT(shares.turn(two, kSecond), shares.turn(one, kSecond));
}

TEST(FairShare, alone_again_nothing_is_owed) {
  FairShare shares(kOne);
  uint32_t one = shares.account(JobId{1});
  EXPECT_FALSE(shares.several());
  uint32_t two = shares.account(JobId{2});
  EXPECT_TRUE(shares.several());
  shares.holds(one, kOne, kSecond);
  shares.holds(one, -kOne, 10 * kSecond);
  EXPECT_GT(shares.turn(one, 10 * kSecond), shares.turn(two, 10 * kSecond));
  shares.ended(JobId{2});
  EXPECT_FALSE(shares.several());
  uint32_t three = shares.account(JobId{3});
  EXPECT_EQ(shares.turn(one, 20 * kSecond), shares.turn(three, 20 * kSecond));
  EXPECT_EQ(shares.validate(), "");
}

TEST(FairShare, virtual_times_never_overflow) {
  FairShare shares(1000 * kOne);
  shares.set_weight(JobId{1}, model::kJobWeightMin);
  uint32_t light = shares.account(JobId{1}), other = shares.account(JobId{2});
  TimeNs now = kSecond;
  for (int i = 0; i < 5000; ++i) {
    shares.holds(light, 1000 * kOne, now);
    now += 1000 * kSecond;
    shares.holds(light, -1000 * kOne, now);
    shares.came(other, now);
    shares.chosen(other, now);
    EXPECT_GT(shares.turn(light, now), shares.turn(other, now));
    shares.chosen(light, now);
  }
}

// Jobs of random weights that always want more; the log says what each got. Between any two the
// difference of CPU time over weight stays within what may run at once and what is even anyway.
TEST(FairShare, random_jobs_get_their_shares) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    const int cpus = 1 + static_cast<int>(random.below(4));
    Machine m(cpus);
    std::vector<uint32_t> jobs;
    std::vector<double> weights;
    const size_t count = 2 + random.below(4);
    double lightest = 100;
    DurationNs longest = 0;
    std::vector<DurationNs> lengths;
    for (size_t i = 0; i < count; ++i) {
      weights.push_back(0.5 * static_cast<double>(1 + random.below(6)));
      lightest = std::min(lightest, weights.back());
      jobs.push_back(m.add_job(weights.back()));
      lengths.push_back(static_cast<DurationNs>(1 + random.below(200)) * kMillisecond);
      longest = std::max(longest, lengths.back());
    }
    // Some history that must not matter.
    fill(&m, jobs[0], 50, lengths[0]);
    m.run(m.now + static_cast<DurationNs>(random.below(20)) * kSecond);
    for (size_t i = 0; i < count; ++i)
      for (int n = 0; n < 60'000'000 / (lengths[i] / 1000); ++n)
        m.wants(jobs[i],
                std::max<DurationNs>(kMillisecond, static_cast<DurationNs>(random.below(
                                                       static_cast<uint64_t>(lengths[i])))));
    const TimeNs from = m.now;
    for (int window = 1; window <= 5; ++window) {
      m.run(from + window * kSecond);
      if (testing::Test::HasFatalFailure()) return;
      const double bound = (static_cast<double>(longest) * 2 * (cpus + 1) +
                            static_cast<double>(FairShare::kAhead) * cpus) /
                           lightest;
      for (size_t i = 1; i < count; ++i)
        EXPECT_NEAR(m.used(jobs[i], from, m.now) / weights[i],
                    m.used(jobs[0], from, m.now) / weights[0], bound)
            << "seed " << seed << " window " << window << " job " << i;
    }
  }
}

}  // namespace
}  // namespace sundog::core
