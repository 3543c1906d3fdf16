// LocalScheduler while workers wait for other tasks: who goes on, and what starts meanwhile.
#include <gtest/gtest.h>

#include "core/sched/bench_for_test.h"

namespace sundog::core {
namespace {

TEST(BlockedWorkers, resumed_workers_wait_beyond_twice_the_cpus) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  std::vector<ClientId> blocked;
  for (int i = 0; i < 3; ++i) {
    b.join();
    b.add_task(f);
    b.decide();
    auto a = b.take(Action::Kind::kAssign);
    ASSERT_EQ(a.size(), 1u);
    b.sched->block(a[0].worker, &b.actions);
    blocked.push_back(a[0].worker);
  }
  EXPECT_TRUE(b.sched->resume(blocked[0], 0));
  EXPECT_TRUE(b.sched->resume(blocked[1], 1));
  EXPECT_FALSE(b.sched->resume(blocked[2], 2));
  uint32_t running = b.sched->worker(blocked[0])->queue[0];
  b.done(blocked[0], running);
  auto r = b.take(Action::Kind::kResume);
  ASSERT_EQ(r.size(), 1u);
  EXPECT_EQ(r[0].worker, blocked[2]);
  EXPECT_EQ(r[0].token, 2u);
}

TEST(BlockedWorkers, a_timeout_resumes_whatever_is_free) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  std::vector<ClientId> blocked;
  for (int i = 0; i < 4; ++i) {
    b.join();
    b.add_task(f);
    b.decide();
    blocked.push_back(b.take(Action::Kind::kAssign).at(0).worker);
    b.sched->block(blocked.back(), &b.actions);
  }
  for (uint64_t i = 0; i < 4; ++i) b.sched->resume_now(blocked[i], i);
  EXPECT_EQ(b.sched->available().get(model::kCpu), -30000);
  EXPECT_EQ(b.sched->validate(), "");
}

TEST(BlockedWorkers, a_wider_task_is_not_held_back_for_ever_by_others_that_end) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  for (int i = 0; i < 4; ++i) b.join();
  b.sched->block(b.run(b.add_task(f, 1)), &b.actions);
  b.sched->block(b.run(b.add_task(f, 2)), &b.actions);
  uint32_t wide = b.add_task(f, 1);
  ASSERT_EQ(b.run(wide), ClientId{});
  const TimeNs held = b.now;
  bool placed = false;
  // Deeper ones come and end more often than kWidenAfter.
  while (!placed && b.now < held + 10 * LocalScheduler::kHeldMax) {
    uint32_t deep = b.add_task(f, 3);
    b.sched->set_awaited(deep);
    ClientId worker = b.run(deep);
    ASSERT_NE(worker, ClientId{});
    b.now += LocalScheduler::kWidenAfter / 2;
    b.done(worker, deep);
    if (b.now >= b.sched->next_timer()) b.sched->tick(b.now, &b.actions);
    b.decide();
    for (const Action& a : b.take(Action::Kind::kAssign)) placed |= a.task == wide;
  }
  EXPECT_TRUE(placed);
  EXPECT_LE(b.now, held + LocalScheduler::kHeldMax + LocalScheduler::kWidenAfter);
  EXPECT_EQ(b.sched->validate(), "");
}

// Parents, as many as CPUs, that wait for a child of a few milliseconds again and again: a child's
// CPU goes to its parent in the same turn, the parent's to the next child.
class LoopingParents : public Bench {
 public:
  explicit LoopingParents(int cpus) : Bench(cpus) {
    f = make_template("f", 10000);
    for (int i = 0; i < 2 * cpus + 4; ++i) join();
    for (int i = 0; i < cpus; ++i) {
      add_task(f, 1);
      parents.push_back({assigned().at(0).worker});
    }
    for (Parent& p : parents) EXPECT_EQ(ask(&p), kNoIndex);
  }
  // Each parent's child ends and its next one begins, until another task is placed: that one.
  uint32_t placed_in_a_round() {
    for (Parent& p : parents) {
      now += 2 * kMillisecond;
      EXPECT_TRUE(sched->task_done(p.childs, p.child, now));
      tasks.release(p.child);
      bool goes_on = sched->resume(p.client, ++token);
      const auto others = assigned();
      for (const Action& a : take(Action::Kind::kResume)) goes_on |= a.worker == p.client;
      EXPECT_TRUE(goes_on) << "beside whatever was placed";
      if (!others.empty()) return others[0].task;
      const uint32_t other = ask(&p);
      if (other != kNoIndex) return other;
    }
    return kNoIndex;
  }

  uint32_t f = 0;

 private:
  struct Parent {
    ClientId client, childs = {};
    uint32_t child = kNoIndex;
  };
  std::vector<Action> assigned() {
    decide();
    return take(Action::Kind::kAssign);
  }
  // The task that got the parent's CPU, if it is not the child that is asked for.
  uint32_t ask(Parent* p) {
    p->child = add_task(f, 2);
    sched->set_awaited(p->child);
    sched->block(p->client, &actions);
    const Action a = assigned().at(0);
    p->childs = a.worker;
    return a.task == p->child ? kNoIndex : a.task;
  }
  std::vector<Parent> parents;
  uint64_t token = 0;
};

TEST(BlockedWorkers, parents_that_wait_again_and_again_do_not_keep_all_cpus) {
  for (int cpus : {1, 2, 4}) {
    LoopingParents b(cpus);
    const uint32_t other = b.add_task(b.f, 1);
    const TimeNs came = b.now;
    uint32_t placed = kNoIndex;
    while (placed == kNoIndex && b.now < came + 10 * LocalScheduler::kPassedMax)
      placed = b.placed_in_a_round();
    EXPECT_EQ(placed, other) << cpus;
    EXPECT_GE(b.now, came + LocalScheduler::kPassedMax) << "deeper ones come first for a while";
    EXPECT_LE(b.now, came + LocalScheduler::kPassedMax + 4 * cpus * kMillisecond) << cpus;
    EXPECT_EQ(b.sched->validate(), "");
  }
}

TEST(BlockedWorkers, a_task_of_higher_priority_is_the_first_of_those_that_were_passed) {
  LoopingParents b(2);
  b.add_task(b.f, 1);
  b.now += kMillisecond;
  const uint32_t higher = b.add_task(b.make_template("g", 10000, 0, 5), 1);
  uint32_t placed = kNoIndex;
  for (int i = 0; i < 100 && placed == kNoIndex; ++i) placed = b.placed_in_a_round();
  EXPECT_EQ(placed, higher);
}

TEST(BlockedWorkers, a_wider_task_waits_while_deeper_ones_are_with_workers) {
  Bench b(1);
  // Two are blocked on one CPU: one more than it takes.
  const DurationNs patience = 2 * LocalScheduler::kWidenAfter;
  uint32_t f = b.make_template("f", 10000);
  for (int i = 0; i < 4; ++i) b.join();
  ClientId parents = b.run(b.add_task(f, 1));
  b.sched->block(parents, &b.actions);
  ClientId childs = b.run(b.add_task(f, 2));
  b.sched->block(childs, &b.actions);
  uint32_t wide = b.add_task(f, 1);
  EXPECT_EQ(b.run(wide), ClientId{}) << "its CPU is free, but it would likely only block, too";
  EXPECT_EQ(b.sched->next_timer(), b.now + patience);
  uint32_t deep = b.add_task(f, 3);
  b.sched->set_awaited(deep);
  ClientId deeps = b.run(deep);
  EXPECT_NE(deeps, ClientId{}) << "what the others wait for comes at once";
  b.now += patience / 2;
  b.done(deeps, deep);
  EXPECT_TRUE(b.take(Action::Kind::kAssign).empty());
  EXPECT_EQ(b.sched->next_timer(), b.now + patience) << "something ended";
  b.now += patience - 1;
  b.sched->tick(b.now, &b.actions);
  EXPECT_EQ(b.run(wide), ClientId{});
  b.now += 1;
  b.sched->tick(b.now, &b.actions);
  EXPECT_NE(b.run(wide), ClientId{}) << "nothing ended for a while: one more may start";
}

TEST(BlockedWorkers, each_wider_task_that_only_blocks_doubles_the_wait_for_the_next) {
  Bench b(1);
  uint32_t f = b.make_template("f", 10000);
  for (int i = 0; i < 12; ++i) b.join();
  b.sched->block(b.run(b.add_task(f, 1)), &b.actions);
  b.sched->block(b.run(b.add_task(f, 2)), &b.actions);
  std::vector<DurationNs> waited;
  for (int i = 0; i < 5; ++i) {
    uint32_t wide = b.add_task(f, 1);
    ASSERT_EQ(b.run(wide), ClientId{});
    const TimeNs held = b.now;
    b.now = b.sched->next_timer();
    b.sched->tick(b.now, &b.actions);
    ClientId worker = b.run(wide);
    ASSERT_NE(worker, ClientId{});
    waited.push_back((b.now - held) / LocalScheduler::kWidenAfter);
    b.sched->block(worker, &b.actions);
  }
  EXPECT_EQ(waited, (std::vector<DurationNs>{2, 4, 8, 8, 8}));
  EXPECT_EQ(b.sched->validate(), "");
}

TEST(BlockedWorkers, a_wider_task_starts_when_fewer_are_blocked_than_there_are_cpus) {
  Bench b(2);
  uint32_t f = b.make_template("f", 10000);
  for (int i = 0; i < 3; ++i) b.join();
  b.add_task(f, 1);
  b.decide();
  b.sched->block(b.take(Action::Kind::kAssign).at(0).worker, &b.actions);
  b.add_task(f, 2);
  uint32_t wide = b.add_task(f, 1);
  b.decide();
  auto a = b.take(Action::Kind::kAssign);
  ASSERT_EQ(a.size(), 2u);
  EXPECT_TRUE(a[0].task == wide || a[1].task == wide);
}

// ---------------------------------------------------------------- cold and warm workers

}  // namespace
}  // namespace sundog::core
