// LocalScheduler: its rules one by one, then random use against a naive count of who may run.
#include "core/sched/local_scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"
#include "core/sched/bench_for_test.h"

namespace sundog::core {
namespace {

TEST(LocalScheduler, starts_as_many_workers_as_tasks_fit) {
  Bench b(4);
  uint32_t f = b.make_template("f", 10000);
  for (int i = 0; i < 10; ++i) b.add_task(f);
  b.decide();
  EXPECT_EQ(b.take(Action::Kind::kSpawn).size(), 4u);
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kSpawn).empty());
}

TEST(LocalScheduler, cpp_workers_are_started_once_their_program_is_known) {
  Bench b(4);
  TaskTemplate t;
  t.job = JobId{1};
  t.name = "f";
  t.language = model::Language::kCpp;
  t.resources.set(model::kCpu, 10000);
  t.shape = b.sched->intern_shape(t);
  uint32_t f = b.tasks.intern_template(std::move(t));
  b.add_task(f);
  b.add_task(f);
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kSpawn).empty());
  b.sched->prestart({JobId{}, model::Language::kCpp, 0}, 0, &b.actions);
  b.decide();
  auto started = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(started.size(), 2u);
  EXPECT_EQ(started[0].pool.language, model::Language::kCpp);
  EXPECT_EQ(started[0].pool.job, JobId{});
}

TEST(LocalScheduler, a_task_of_unknown_length_has_nothing_behind_it) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  b.join();
  for (int i = 0; i < 3; ++i) b.add_task(f);
  b.decide();
  EXPECT_EQ(b.take(Action::Kind::kAssign).size(), 1u);
}

TEST(LocalScheduler, an_overrunning_worker_loses_what_is_behind) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  b.length = 10 * kMicrosecond;
  ClientId w = b.join();
  uint32_t first = b.add_task(f);
  b.decide();
  b.done(w, first);
  for (int i = 0; i < 4; ++i) b.add_task(f);
  b.decide();
  EXPECT_EQ(b.sched->worker(w)->queue.size(), 4u);
  b.now += LocalScheduler::kOverrunMin;
  b.actions.clear();
  b.sched->tick(b.now, &b.actions);
  auto revokes = b.take(Action::Kind::kRevoke);
  ASSERT_EQ(revokes.size(), 3u);
  std::vector<uint32_t> queue = b.sched->worker(w)->queue;
  for (const Action& r : revokes) b.sched->claim_revoked(w, r.slot, r.generation, true);
  EXPECT_EQ(b.sched->validate(), "");
  EXPECT_EQ(b.sched->ready().total(), 3u);
  // They stand in their old order.
  EXPECT_EQ(b.sched->ready().front(0), queue[1]);
}

TEST(LocalScheduler, awaited_tasks_come_first_deepest_first) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  uint32_t plain = b.add_task(f), shallow = b.add_task(f, 2), deep = b.add_task(f, 5);
  b.sched->set_awaited(shallow);
  b.sched->set_awaited(deep);
  std::vector<uint32_t> order;
  ClientId w = b.join();
  for (int i = 0; i < 3; ++i) {
    b.decide();
    auto a = b.take(Action::Kind::kAssign);
    ASSERT_EQ(a.size(), 1u);
    order.push_back(a[0].task);
    b.done(w, a[0].task);
    auto next = b.take(Action::Kind::kAssign);
    if (next.empty()) break;
    for (const Action& n : next) {
      order.push_back(n.task);
      b.done(w, n.task);
    }
  }
  ASSERT_GE(order.size(), 3u);
  EXPECT_EQ(order[0], deep);
  EXPECT_EQ(order[1], shallow);
  EXPECT_EQ(order[2], plain);
}

TEST(LocalScheduler, a_process_is_started_for_its_gpus_and_ends_with_its_task) {
  Bench b(4);
  uint32_t g = b.make_template("g", 10000, 10000);
  b.join();  // a worker of the pool is not for GPUs
  uint32_t tasks[3];
  for (uint32_t& task : tasks) task = b.add_task(g);
  b.decide();
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 2u);
  EXPECT_EQ(spawned[0].gpus, std::vector<uint32_t>{0});
  EXPECT_EQ(spawned[1].gpus, std::vector<uint32_t>{1});
  ClientId first = b.join(spawned[0].token);
  b.decide();
  auto a = b.take(Action::Kind::kAssign);
  ASSERT_EQ(a.size(), 1u);
  EXPECT_EQ(a[0].worker, first);
  b.done(first, a[0].task);
  EXPECT_TRUE(b.take(Action::Kind::kAssign).empty()) << "it serves no second task";
  ASSERT_EQ(b.take(Action::Kind::kStop).size(), 1u);
  EXPECT_TRUE(b.take(Action::Kind::kSpawn).empty()) << "its GPU is free when it is gone";
  b.sched->worker_left(first);
  b.decide();
  spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 1u);
  EXPECT_EQ(spawned[0].gpus, std::vector<uint32_t>{0});
}

TEST(LocalScheduler, the_first_placed_has_the_lowest_gpu_whichever_process_is_up_first) {
  Bench b(4);
  uint32_t g = b.make_template("g", 10000, 10000);
  uint32_t first = b.add_task(g), second = b.add_task(g);
  b.decide();
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 2u);
  ClientId of_one = b.join(spawned[1].token);
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kAssign).empty()) << "the lower GPU's process is not up yet";
  EXPECT_TRUE(b.take(Action::Kind::kStop).empty());
  ClientId of_zero = b.join(spawned[0].token);
  b.decide();
  auto a = b.take(Action::Kind::kAssign);
  ASSERT_EQ(a.size(), 2u);
  EXPECT_EQ(a[0].task, first);
  EXPECT_EQ(a[0].worker, of_zero);
  EXPECT_EQ(a[1].task, second);
  EXPECT_EQ(a[1].worker, of_one);
}

TEST(LocalScheduler, a_process_for_a_lower_gpu_that_fails_holds_nobody_up) {
  Bench b(4);
  uint32_t g = b.make_template("g", 10000, 10000);
  uint32_t first = b.add_task(g);
  b.add_task(g);
  b.decide();
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 2u);
  ClientId of_one = b.join(spawned[1].token);
  PoolKey pool;
  b.sched->spawn_failed(spawned[0].token, &pool);
  b.decide();
  auto a = b.take(Action::Kind::kAssign);
  ASSERT_EQ(a.size(), 1u);
  EXPECT_EQ(a[0].task, first);
  EXPECT_EQ(a[0].worker, of_one);
  EXPECT_EQ(b.take(Action::Kind::kSpawn).size(), 1u) << "another one for the GPU that is free";
}

TEST(LocalScheduler, a_process_for_a_gpu_that_nobody_needs_any_more_ends) {
  Bench b(4);
  uint32_t g = b.make_template("g", 0, 5000);
  uint32_t task = b.add_task(g);
  b.decide();
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 1u);
  b.sched->forget(task);  // cancelled
  b.tasks.release(task);
  ClientId worker = b.join(spawned[0].token);
  b.decide();
  ASSERT_EQ(b.take(Action::Kind::kStop).size(), 1u);
  b.sched->worker_left(worker);
  EXPECT_EQ(b.sched->available(), b.sched->total());
}

TEST(LocalScheduler, a_blocked_workers_gpu_stays_its_own) {
  Bench b(1);
  uint32_t g = b.make_template("g", 10000, 20000);
  b.add_task(g);
  b.add_task(g);
  b.decide();
  b.join_spawned();
  auto a = b.take(Action::Kind::kAssign);
  ASSERT_EQ(a.size(), 1u);
  b.sched->block(a[0].worker, &b.actions);
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kAssign).empty());
  EXPECT_EQ(b.sched->available().get(model::kCpu), 10000);
}

TEST(LocalScheduler, cold_workers_that_never_ran_anything_are_replaced_one_by_one) {
  Bench b(3);
  uint32_t f = b.make_template("f", 10000);
  ClientId one = b.join(0, false), two = b.join(0, false), three = b.join(0, false);
  uint32_t task = b.add_task(f);
  b.decide();
  ClientId used = b.take(Action::Kind::kAssign).at(0).worker;
  b.done(used, task);
  b.sched->replace_cold(&b.actions);
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 2u) << "the one that ran something stays";
  std::set<ClientId> stopped;
  for (const Action& a : spawned) {
    EXPECT_TRUE(b.take(Action::Kind::kStop).empty()) << "none goes before its successor is there";
    b.join(a.token);
    b.decide();
    auto stops = b.take(Action::Kind::kStop);
    ASSERT_EQ(stops.size(), 1u);
    stopped.insert(stops[0].worker);
    b.sched->worker_left(stops[0].worker);
  }
  std::set<ClientId> expected = {one, two, three};
  expected.erase(used);
  EXPECT_EQ(stopped, expected);
  b.sched->replace_cold(&b.actions);
  EXPECT_TRUE(b.take(Action::Kind::kSpawn).empty());
}

TEST(LocalScheduler, a_cold_worker_that_got_a_task_meanwhile_stays) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  ClientId cold = b.join(0, false);
  b.sched->replace_cold(&b.actions);
  auto spawned = b.take(Action::Kind::kSpawn);
  ASSERT_EQ(spawned.size(), 1u);
  b.add_task(f);
  b.decide();
  EXPECT_EQ(b.take(Action::Kind::kAssign).at(0).worker, cold);
  b.join(spawned[0].token);
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kStop).empty());
}

// ---------------------------------------------------------------- workers of actors

class ActorBench : public Bench {
 public:
  using Bench::Bench;
  uint32_t make_class(int64_t cpu, int64_t lifetime_cpu) {
    TaskTemplate t;
    t.job = JobId{1};
    t.name = "Actor";
    t.kind = model::CallKind::kCreateActor;
    t.resources.set(model::kCpu, cpu);
    if (lifetime_cpu > 0) t.lifetime.set(model::kCpu, lifetime_cpu);
    t.shape = sched->intern_shape(t);
    return tasks.intern_template(std::move(t));
  }
  // Its worker, once its constructor ended.
  ClientId make_actor(uint32_t tmpl) {
    uint32_t creation = add_task(tmpl);
    decide();
    auto a = take(Action::Kind::kAssign);
    EXPECT_EQ(a.size(), 1u);
    sched->creation_done(a.at(0).worker, creation, tasks.tmpl(tmpl).lifetime, now, &actions);
    tasks.release(creation);
    decide();
    return a[0].worker;
  }
  uint32_t add_call() {
    model::Submit s;
    s.task = TaskId::make(JobId{1}, {}, 0, ++calls);
    s.num_results = 0;
    uint32_t call = tasks.create(s);
    tasks[call].tmpl = make_template("method", 0);
    return call;
  }
};

TEST(LocalScheduler, a_worker_of_an_actor_is_in_no_pool_and_holds_what_the_actor_keeps) {
  ActorBench b(2);
  uint32_t light = b.make_class(10000, 0), heavy = b.make_class(10000, 5000);
  b.join();
  b.join();
  ClientId one = b.make_actor(light), two = b.make_actor(heavy);
  EXPECT_EQ(b.sched->available().get(model::kCpu), 15000);
  b.add_task(b.make_template("f", 10000));
  b.decide();
  EXPECT_TRUE(b.take(Action::Kind::kAssign).empty());
  EXPECT_EQ(b.take(Action::Kind::kSpawn).size(), 1u) << "neither of the two is a task's";
  b.now += 60 * kSecond;
  b.sched->tick(b.now, &b.actions);
  EXPECT_TRUE(b.take(Action::Kind::kStop).empty());
  b.sched->worker_left(two);
  b.sched->worker_left(one);
  b.decide();
  EXPECT_EQ(b.sched->available().get(model::kCpu), 20000);
}

TEST(LocalScheduler, calls_are_offered_while_there_are_claim_words_and_are_never_taken_back) {
  ActorBench b(1);
  b.join();
  ClientId worker = b.make_actor(b.make_class(10000, 10000));
  std::vector<uint32_t> calls;
  while (b.sched->has_room(worker)) {
    calls.push_back(b.add_call());
    b.sched->offer(worker, calls.back(), b.now, &b.actions);
  }
  EXPECT_EQ(calls.size(), model::kClaimSlots);
  b.sched->block(worker, &b.actions);
  b.now += kSecond;
  b.sched->tick(b.now, &b.actions);
  EXPECT_TRUE(b.take(Action::Kind::kRevoke).empty());
  EXPECT_EQ(b.sched->available().get(model::kCpu), 10000) << "a blocked actor lends its CPU";
  b.join();
  b.add_task(b.make_template("f", 10000));
  b.decide();
  EXPECT_TRUE(b.sched->resume(worker, 1)) << "and never waits to have it back";
  EXPECT_EQ(b.sched->available().get(model::kCpu), -10000);
  b.done(worker, calls[0]);
  EXPECT_TRUE(b.sched->has_room(worker));
  EXPECT_EQ(b.sched->worker_left(worker).size(), calls.size() - 1);
}

TEST(LocalScheduler, nothing_is_queued_behind_a_constructor) {
  ActorBench b(1);
  uint32_t actor = b.make_class(10000, 0), f = b.make_template("f", 10000);
  b.join();
  b.add_task(actor);
  b.add_task(actor);
  b.tasks.learn_duration(f, kMicrosecond);
  b.add_task(f);
  b.decide();
  EXPECT_EQ(b.take(Action::Kind::kAssign).size(), 1u);
}

// Random starts, ends, blocks and deaths. The naive model counts CPUs of what runs: never more
// than there are for new starts, never more than twice with resumes; nothing is lost at the end.
TEST(LocalScheduler, random_use_runs_every_task_once_and_conserves_resources) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    int cpus = 1 + static_cast<int>(random.below(4));
    Bench b(cpus);
    b.length = static_cast<DurationNs>(1 + random.below(2 * kMillisecond));
    uint32_t templates[] = {b.make_template("a", 10000), b.make_template("b", 5000),
                            b.make_template("c", 10000, 10000)};
    std::set<uint32_t> submitted;                       // not finished
    std::map<uint32_t, std::vector<uint32_t>> offered;  // worker -> tasks in order
    std::map<uint32_t, bool> blocked;
    size_t finished = 0, total = 0;
    uint64_t token = 0;
    bool warm = false;
    auto absorb = [&] {
      for (const Action& a : b.take(Action::Kind::kAssign))
        offered[a.worker.value].push_back(a.task);
      for (const Action& a : b.take(Action::Kind::kSpawn)) b.join(a.token, warm);
      for (const Action& a : b.take(Action::Kind::kResume)) blocked[a.worker.value] = false;
      for (const Action& a : b.take(Action::Kind::kRevoke)) {
        uint32_t task = b.sched->task_at(a.worker, a.slot);
        if (task == kNoIndex) continue;
        auto& q = offered[a.worker.value];
        // The worker may have claimed the first one only.
        bool won = q.empty() || q[0] != task;
        if (b.sched->claim_revoked(a.worker, a.slot, a.generation, won) != kNoIndex)
          std::erase(q, task);
      }
      for (const Action& a : b.take(Action::Kind::kStop)) {
        EXPECT_TRUE(b.sched->worker(a.worker)->queue.empty());
        b.sched->worker_left(a.worker);  // its process ends
      }
    };
    auto settle = [&] {
      for (int i = 0; i < 4; ++i) {
        b.decide();
        absorb();
      }
    };
    for (int i = 0; i < 400 || !submitted.empty(); ++i) {
      ASSERT_LT(i, 20'000) << "tasks are left over, seed " << seed;
      b.now += static_cast<TimeNs>(random.below(kMillisecond));
      if (i < 400 && random.one_in(2)) {
        submitted.insert(
            b.add_task(templates[random.below(3)], static_cast<uint16_t>(1 + random.below(3))));
        ++total;
        if (random.one_in(3)) b.sched->set_awaited(*submitted.rbegin());
      }
      if (random.one_in(10)) b.sched->tick(b.now, &b.actions);
      if (!warm && random.one_in(60)) {
        warm = true;
        b.sched->replace_cold(&b.actions);
      }
      for (const Worker* w : b.sched->workers()) {
        if (w->queue.empty() || !random.one_in(3)) continue;
        ClientId c = w->client;
        if (blocked[c.value]) {
          if (random.one_in(2)) {
            b.sched->resume_now(c, 0);
            blocked[c.value] = false;
          } else if (b.sched->resume(c, ++token)) {
            blocked[c.value] = false;
          } else {
            b.sched->resume_now(c, token);
            blocked[c.value] = false;
          }
        } else if (random.one_in(4)) {
          b.sched->block(c, &b.actions);
          blocked[c.value] = true;
        } else if (random.one_in(12)) {
          for (uint32_t task : b.sched->worker_left(c)) b.sched->enqueue(task);
          offered.erase(c.value);
          blocked.erase(c.value);
        } else {
          uint32_t task = w->queue[0];
          ASSERT_TRUE(submitted.erase(task) == 1);
          std::erase(offered[c.value], task);
          b.done(c, task);
          ++finished;
        }
        absorb();
        break;
      }
      settle();
      ASSERT_EQ(b.sched->validate(), "") << "seed " << seed << " step " << i;
      ASSERT_GE(b.sched->available().get(model::kGpu), 0);
    }
    EXPECT_EQ(finished, total);
    EXPECT_EQ(b.sched->available(), b.sched->total());
  }
}

}  // namespace
}  // namespace sundog::core
