// LocalScheduler with several jobs: whose tasks get the CPUs.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "core/sched/local_scheduler.h"

namespace sundog::core {
namespace {

// A node whose workers run what they are offered, one task after the other, in virtual time.
class Node {
 public:
  explicit Node(int cpus) : cpus_(cpus) {
    model::ResourceSet total;
    total.set(model::kCpu, cpus * model::kResourceUnit);
    sched = std::make_unique<LocalScheduler>(&tasks, total);
  }
  void add_job(uint32_t job, uint32_t weight = model::kJobWeightUnit) {
    sched->at(now);
    sched->set_weight(JobId{job}, weight);
    sched->prestart({JobId{job}, model::Language::kPython, 0}, static_cast<uint32_t>(cpus_),
                    &actions);
    settle();
  }
  uint32_t make_template(uint32_t job, int64_t cpu = model::kResourceUnit, int32_t priority = 0) {
    TaskTemplate t;
    t.job = JobId{job};
    t.priority = priority;
    if (cpu > 0) t.resources.set(model::kCpu, cpu);
    t.shape = sched->intern_shape(t);
    return tasks.intern_template(std::move(t));
  }
  uint32_t add(uint32_t tmpl, DurationNs length, uint16_t depth = 1) {
    model::Submit s;
    s.task = TaskId::make(tasks.tmpl(tmpl).job, {}, 0, ++calls_);
    s.num_results = 0;
    uint32_t t = tasks.create(s);
    tasks[t].tmpl = tmpl;
    tasks[t].depth = depth;
    tasks[t].became_ready = now;
    length_[t] = length;
    sched->at(now);
    sched->enqueue(t);
    return t;
  }
  void settle() {
    do {
      sched->schedule(now, &actions);
      if (++settled_ % 32 == 0) ASSERT_EQ(sched->validate(), "");
      for (const Action& a : std::exchange(actions, {})) perform(a);
    } while (!actions.empty());
  }
  // Until `end`, until `task` ended, or until nothing runs.
  void run(TimeNs end, uint32_t task = kNoIndex) {
    settle();
    while (!ends_.empty() && ends_.begin()->first <= end) {
      auto [when, worker] = *ends_.begin();
      ends_.erase(ends_.begin());
      now = when;
      uint32_t done = queues_[worker].front();
      if (sched->next_timer() <= now) {
        sched->tick(now, &actions);
        settle();
      }
      finish(worker);
      settle();
      if (testing::Test::HasFatalFailure() || done == task) return;
    }
    now = end;
  }
  // Tasks in the order of their ends; the job of each.
  std::vector<std::pair<TimeNs, uint32_t>> finished;

  TaskTable tasks;
  std::unique_ptr<LocalScheduler> sched;
  Actions actions;
  TimeNs now = kSecond;
  // CPU time of tasks that ended since.
  std::map<uint32_t, DurationNs> used;
  // The task that waits from now on.
  uint32_t block_one(uint32_t job) {
    for (auto it = ends_.begin(); it != ends_.end(); ++it) {
      const ClientId worker = it->second;
      const uint32_t task = queues_[worker].front();
      if (tasks[task].id.job().value != job) continue;
      sched->block(worker, &actions);
      ends_.erase(it);
      return task;
    }
    return kNoIndex;
  }
  uint32_t running(uint32_t job) const {
    uint32_t count = 0;
    for (const auto& [when, worker] : ends_)
      if (tasks[queues_.at(worker).front()].id.job().value == job) ++count;
    return count;
  }

 private:
  void perform(const Action& a) {
    if (a.kind == Action::Kind::kSpawn) {
      ClientId c = ClientId::make(++workers_, 1);
      sched->worker_joined(c, a.pool, 1, a.token, now);
      sched->schedule(now, &actions);
    } else if (a.kind == Action::Kind::kAssign) {
      auto& q = queues_[a.worker];
      q.push_back(a.task);
      if (q.size() == 1) ends_.emplace(now + length_[a.task], a.worker);
    } else if (a.kind == Action::Kind::kRevoke) {
      uint32_t task = sched->task_at(a.worker, a.slot);
      auto& q = queues_[a.worker];
      bool won = task != q.front();
      if (sched->claim_revoked(a.worker, a.slot, a.generation, won) != kNoIndex)
        std::erase(q, task);
    } else if (a.kind == Action::Kind::kStop) {
      sched->worker_left(a.worker);
    }
  }
  void finish(ClientId worker) {
    auto& q = queues_[worker];
    uint32_t task = q.front();
    q.erase(q.begin());
    uint32_t job = tasks[task].id.job().value;
    used[job] += length_[task];
    finished.emplace_back(now, job);
    tasks.learn_duration(tasks[task].tmpl, length_[task]);
    sched->at(now);
    ASSERT_TRUE(sched->task_done(worker, task, now));
    tasks.release(task);
    if (!q.empty()) ends_.emplace(now + length_[q.front()], worker);
  }

  int cpus_;
  uint64_t calls_ = 0, settled_ = 0;
  uint32_t workers_ = 0;
  std::map<uint32_t, DurationNs> length_;
  std::map<ClientId, std::vector<uint32_t>> queues_;
  std::multimap<TimeNs, ClientId> ends_;
};

TEST(JobShares, a_second_job_is_not_behind_the_backlog_of_the_first) {
  for (DurationNs length : {20 * kMicrosecond, 300 * kMicrosecond, 5 * kMillisecond}) {
    Node n(2);
    n.add_job(1);
    uint32_t f = n.make_template(1);
    for (int i = 0; i < 20'000; ++i) n.add(f, length);
    n.run(n.now + 30 * kMillisecond);
    n.add_job(2);
    uint32_t g = n.make_template(2);
    n.finished.clear();
    uint32_t last = 0;
    const int count = static_cast<int>(200 * kMillisecond / length);
    for (int i = 0; i < count; ++i) last = n.add(g, length);
    n.run(n.now + 10 * kSecond, last);
    if (testing::Test::HasFatalFailure()) return;
    auto of_first = std::count_if(n.finished.begin(), n.finished.end(),
                                  [](const auto& e) { return e.second == 1; });
    EXPECT_NEAR(static_cast<double>(of_first), count, count * 0.25 + 10) << length;
  }
}

TEST(JobShares, weights_are_ratios_of_cpu_time) {
  Node n(2);
  n.add_job(1);
  n.add_job(2, 3 * model::kJobWeightUnit);
  uint32_t f = n.make_template(1), g = n.make_template(2);
  for (int i = 0; i < 5000; ++i) {
    n.add(f, 3 * kMillisecond);
    n.add(g, kMillisecond);
  }
  n.run(n.now + 2 * kSecond);
  EXPECT_NEAR(static_cast<double>(n.used[2]) / static_cast<double>(n.used[1]), 3, 0.3);
}

TEST(JobShares, what_somebody_waits_for_comes_first_within_a_job_only) {
  Node n(1);
  n.add_job(1);
  n.add_job(2);
  uint32_t f = n.make_template(1), urgent = n.make_template(1, model::kResourceUnit, 5),
           g = n.make_template(2);
  for (int i = 0; i < 200; ++i) {
    n.sched->set_awaited(n.add(f, 2 * kMillisecond, 7));
    n.add(urgent, 2 * kMillisecond);
    n.add(g, 2 * kMillisecond);
  }
  n.run(n.now + 200 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(n.used[1]), 100e6, 25e6);
  EXPECT_NEAR(static_cast<double>(n.used[2]), 100e6, 25e6);
}

TEST(JobShares, a_job_beyond_its_share_gets_what_nobody_else_can_take) {
  Node n(4);
  n.add_job(1);
  n.add_job(2);
  uint32_t f = n.make_template(1), whole = n.make_template(2, 3 * model::kResourceUnit);
  for (int i = 0; i < 8; ++i) n.add(f, 100 * kMillisecond);
  n.settle();
  EXPECT_EQ(n.running(1), 4u);
  n.add(whole, kMillisecond);
  n.run(n.now + 150 * kMillisecond);
  EXPECT_EQ(n.running(1) + 3 * n.running(2), 4u) << "no CPU is idle";
}

TEST(JobShares, a_job_whose_workers_are_blocked_holds_no_other_job_up) {
  Node n(1);
  n.add_job(1);
  n.add_job(2);
  uint32_t f = n.make_template(1), g = n.make_template(2);
  n.add(f, kSecond, 1);
  n.settle();
  ASSERT_NE(n.block_one(1), kNoIndex);
  n.add(f, kSecond, 2);
  n.settle();
  ASSERT_NE(n.block_one(1), kNoIndex);
  n.add(f, kSecond, 1);
  n.settle();
  EXPECT_EQ(n.running(1), 0u) << "it would only widen what is blocked already";
  n.add(g, kMillisecond, 1);
  n.settle();
  EXPECT_EQ(n.running(2), 1u) << "nobody of its own job is blocked";
}

TEST(JobShares, an_actors_cpu_counts_for_its_job) {
  Node n(2);
  n.add_job(1);
  n.add_job(2);
  TaskTemplate t;
  t.job = JobId{1};
  t.kind = model::CallKind::kCreateActor;
  t.resources.set(model::kCpu, model::kResourceUnit);
  t.lifetime = t.resources;
  t.shape = n.sched->intern_shape(t);
  uint32_t made = n.tasks.intern_template(std::move(t));
  uint32_t creation = n.add(made, kSecond);
  n.sched->schedule(n.now, &n.actions);
  ASSERT_EQ(n.actions.size(), 1u);
  Actions placed = std::exchange(n.actions, {});
  n.sched->creation_done(placed[0].worker, creation, n.tasks.tmpl(made).lifetime, n.now,
                         &n.actions);
  n.tasks.release(creation);
  n.settle();
  uint32_t f = n.make_template(1), g = n.make_template(2);
  for (int i = 0; i < 400; ++i) {
    n.add(f, 2 * kMillisecond);
    n.add(g, 2 * kMillisecond);
  }
  n.run(n.now + 400 * kMillisecond);
  EXPECT_GT(n.used[2], 350 * kMillisecond) << "the other CPU is its job's share";
}

// Jobs come, want more than there is, and go. No CPU is idle while somebody could use it, what is
// charged is what is held, and while jobs want more all the time they get CPU time by weight.
TEST(JobShares, random_jobs_share_and_waste_nothing) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    Random random(seed);
    const int cpus = 1 + static_cast<int>(random.below(4));
    Node n(cpus);
    const uint32_t count = 2 + static_cast<uint32_t>(random.below(3));
    std::map<uint32_t, double> weights;
    std::map<uint32_t, std::vector<uint32_t>> templates;
    for (uint32_t job = 1; job <= count; ++job) {
      weights[job] = 0.5 * static_cast<double>(1 + random.below(6));
      n.add_job(job, static_cast<uint32_t>(weights[job] * model::kJobWeightUnit));
      templates[job] = {n.make_template(job), n.make_template(job, model::kResourceUnit, 3)};
    }
    std::map<uint32_t, DurationNs> lengths;
    for (uint32_t job = 1; job <= count; ++job)
      lengths[job] = static_cast<DurationNs>(200 + random.below(8000)) * kMicrosecond;
    auto refill = [&] {
      for (uint32_t job = 1; job <= count; ++job) {
        DurationNs queued = 0;
        while (queued < cpus * 250 * kMillisecond) {
          uint32_t task = n.add(templates[job][random.below(2)], lengths[job],
                                static_cast<uint16_t>(1 + random.below(3)));
          if (random.one_in(4)) n.sched->set_awaited(task);
          queued += lengths[job];
        }
      }
    };
    refill();
    const TimeNs from = n.now;
    for (int window = 0; window < 3; ++window) {
      n.run(n.now + 200 * kMillisecond);
      if (testing::Test::HasFatalFailure()) return;
      refill();
      EXPECT_EQ(n.sched->available().get(model::kCpu), 0) << "a CPU is idle, seed " << seed;
    }
    double whole = 0, sum = 0;
    for (auto [job, weight] : weights) sum += weight;
    for (auto [job, used] : n.used) whole += static_cast<double>(used);
    EXPECT_NEAR(whole, static_cast<double>(n.now - from) * cpus, 0.05 * whole + 40e6);
    // A worker's turn, a task, and what is even anyway, for each CPU.
    const double bound = static_cast<double>(LocalScheduler::kShapeQuantum + FairShare::kAhead +
                                             2 * (8 + 1) * kMillisecond) *
                         cpus * 2;
    for (auto [job, weight] : weights)
      EXPECT_NEAR(static_cast<double>(n.used[job]), whole * weight / sum, bound)
          << "seed " << seed << " job " << job;
  }
}

}  // namespace
}  // namespace sundog::core
