// Cancelling, timeouts and max_calls as NodeCore does them.
#include <gtest/gtest.h>

#include "core/node_for_test.h"

namespace sundog::core {
namespace {

using model::CancelLevel;

void cancel(Node* n, const TaskId& task, CancelLevel level = CancelLevel::kInterrupt,
            bool recursive = true, uint32_t grace_ms = 0) {
  n->say(Node::driver, model::CancelTask{task, level, recursive, grace_ms});
}
// Answers what was asked back; `had`: the worker had begun it.
void answer(Node* n, bool had) {
  for (const RevokeClaim& r : std::exchange(n->revokes, {}))
    n->event(ClaimRevoked{r.worker, r.slot, r.generation, !had});
}
void wait(Node* n, DurationNs time) {
  n->now += time;
  n->event(Tick{});
}
using Told = std::vector<std::pair<TaskId, CancelLevel>>;

// Tasks that take little, so that the next ones are put behind a running one.
void run_short_ones(Node* n) {
  for (int i = 0; i < 8; ++i) {
    TaskId t = n->submit(0);
    n->start_workers();
    n->finish(n->run_of(t), "ok", 30 * kMicrosecond);
  }
}

TEST(NodeCancel, a_queued_task_fails_at_once_and_never_runs) {
  Node n(1);
  n.define(0);
  TaskId runs = n.submit(0), queued = n.submit(0);
  n.start_workers();
  cancel(&n, queued);
  EXPECT_EQ(n.value_of(result_of(queued)), "it was cancelled, before it began");
  n.finish(n.run_of(runs));
  EXPECT_EQ(n.run_order(), std::vector<TaskId>{runs});
}

TEST(NodeCancel, a_task_that_waits_for_arguments_fails_at_once) {
  Node n(1);
  n.define(0);
  TaskId first = n.submit(0);
  n.start_workers();
  ObjectId argument = result_of(first);
  TaskId waits = n.submit(0, {&argument, 1});
  cancel(&n, waits, CancelLevel::kInterrupt, false);
  EXPECT_EQ(n.value_of(result_of(waits)), "it was cancelled, before it began");
  n.finish(n.run_of(first));
  EXPECT_EQ(n.runs.size(), 1u);
}

TEST(NodeCancel, a_task_in_a_workers_queue_is_taken_back_if_it_was_not_claimed) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  cancel(&n, t);
  ASSERT_EQ(n.revokes.size(), 1u);
  answer(&n, false);
  EXPECT_EQ(n.value_of(result_of(t)), "it was cancelled, before it began");
  EXPECT_TRUE(n.cancels.empty());
  EXPECT_EQ(n.core().scheduler().available(), n.core().scheduler().total());
}

TEST(NodeCancel, a_running_task_is_told_then_interrupted_and_not_retried) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  cancel(&n, t);
  answer(&n, true);
  EXPECT_EQ(n.cancels, (Told{{t, CancelLevel::kCooperative}}));
  EXPECT_EQ(n.timer_at, n.now + Cancelling::kInterruptAfter);
  wait(&n, Cancelling::kInterruptAfter);
  EXPECT_EQ(n.cancels.size(), 2u);
  EXPECT_EQ(n.cancels[1].second, CancelLevel::kInterrupt);
  wait(&n, 100 * kSecond);
  EXPECT_TRUE(n.kills.empty()) << "without force nobody is killed";
  n.raise(n.run_of(t), "KeyboardInterrupt");
  EXPECT_EQ(n.value_of(result_of(t)), "it was cancelled, while it ran");
  EXPECT_EQ(n.core().tasks().live(), 0u);
}

TEST(NodeCancel, what_a_task_returned_before_it_was_told_stays) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  cancel(&n, t);
  answer(&n, true);
  n.finish(n.run_of(t), "value");
  EXPECT_EQ(n.value_of(result_of(t)), "value");
  cancel(&n, t);  // finished: nothing happens
  EXPECT_EQ(n.value_of(result_of(t)), "value");
}

TEST(NodeCancel, force_kills_the_worker_and_the_task_is_not_tried_again) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  cancel(&n, t, CancelLevel::kKill);
  answer(&n, true);
  ASSERT_EQ(n.kills.size(), 1u);
  n.die(n.kills[0], {t});
  EXPECT_EQ(n.value_of(result_of(t)), "it was cancelled, while it ran: its worker was killed");
  EXPECT_EQ(n.runs.size(), 1u);
}

TEST(NodeCancel, a_worker_is_killed_only_when_nothing_stands_behind_the_task) {
  Node n(1);
  n.define(0);
  run_short_ones(&n);
  TaskId t = n.submit(0), behind = n.submit(0);
  ASSERT_EQ(n.run_of(behind).worker, n.run_of(t).worker);
  n.revokes.clear();
  cancel(&n, t, CancelLevel::kKill);
  answer(&n, true);
  EXPECT_TRUE(n.kills.empty()) << "the one behind may have begun meanwhile";
  ASSERT_EQ(n.revokes.size(), 1u);
  answer(&n, false);
  EXPECT_EQ(n.kills.size(), 1u);
  n.die(n.kills[0], {t});
  n.start_workers();
  EXPECT_EQ(n.run_of(behind).attempt, 0u) << "never tried before";
  EXPECT_NE(n.run_of(behind).worker, n.kills[0]);
}

TEST(NodeCancel, a_worker_that_went_on_to_the_next_task_is_not_killed) {
  Node n(1);
  n.define(0);
  run_short_ones(&n);
  TaskId t = n.submit(0), behind = n.submit(0);
  n.revokes.clear();
  cancel(&n, t, CancelLevel::kKill);
  answer(&n, true);
  answer(&n, true);  // it had begun the next one: the first is done, and that is under way
  EXPECT_TRUE(n.kills.empty());
  n.finish(n.run_of(t), "value");
  EXPECT_TRUE(n.kills.empty());
  n.finish(n.run_of(behind));
  EXPECT_EQ(n.value_of(result_of(behind)), "ok");
  ASSERT_EQ(n.stops.size(), 1u) << "it takes nothing more";
  EXPECT_EQ(n.stops[0].first, n.run_of(t).worker);
}

TEST(NodeCancel, a_grace_comes_between_interrupt_and_kill) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  cancel(&n, t, CancelLevel::kKill, true, 300);
  answer(&n, true);
  EXPECT_EQ(n.cancels.size(), 1u);
  wait(&n, Cancelling::kInterruptAfter);
  EXPECT_EQ(n.cancels.size(), 2u);
  EXPECT_TRUE(n.kills.empty());
  wait(&n, 250 * kMillisecond);
  EXPECT_EQ(n.kills.size(), 1u);
}

TEST(NodeCancel, what_a_task_submitted_is_cancelled_with_it_and_what_it_submits_yet) {
  Node n(2);
  n.define(0);
  TaskId parent = n.submit(0);
  n.start_workers();
  ClientId w = n.run_of(parent).worker;
  n.define(0, 1, 3, 0, w);
  TaskId child = n.submit(0, {}, w, parent), grandchild = n.submit(0, {}, w, child);
  n.start_workers();
  cancel(&n, parent);
  answer(&n, true);
  TaskId late = n.submit(0, {}, w, parent);
  n.raise(n.run_of(parent), "KeyboardInterrupt");
  for (const Node::Run& r : std::vector(n.runs))
    if (r.task != parent) n.raise(r, "KeyboardInterrupt");
  n.start_workers();
  EXPECT_EQ(n.core().tasks().live(), 0u);
  for (const Node::Run& r : n.runs) EXPECT_NE(r.task, late);
  EXPECT_NE(child, grandchild);
}

TEST(NodeCancel, without_recursion_the_children_go_on) {
  Node n(2);
  n.define(0);
  TaskId parent = n.submit(0);
  n.start_workers();
  ClientId w = n.run_of(parent).worker;
  n.define(0, 1, 3, 0, w);
  TaskId child = n.submit(0, {}, w, parent);
  n.start_workers();
  cancel(&n, parent, CancelLevel::kInterrupt, false);
  answer(&n, true);
  n.raise(n.run_of(parent), "KeyboardInterrupt");
  n.finish(n.run_of(child), "kept");
  EXPECT_EQ(n.core().tasks().live(), 0u);
}

TEST(NodeCancel, a_drivers_own_root_names_all_that_it_submitted) {
  Node n(1);
  n.define(0);
  n.define(1, 99);
  TaskId runs = n.submit(0, {}, Node::driver, TaskId::root_of(kJob));
  TaskId never = n.submit(1, {}, Node::driver, TaskId::root_of(kJob));
  n.start_workers();
  cancel(&n, TaskId::root_of(kJob));
  answer(&n, true);
  EXPECT_EQ(n.value_of(result_of(never)), "it was cancelled, before it began");
  n.raise(n.run_of(runs), "KeyboardInterrupt");
  EXPECT_EQ(n.value_of(result_of(runs)), "it was cancelled, while it ran");
}

TEST(NodeCancel, a_running_call_of_an_actor_is_only_told) {
  Node n(1);
  ObjectId actor = n.living_actor();
  TaskId runs = n.call(actor), behind = n.call(actor);
  cancel(&n, runs, CancelLevel::kKill);
  answer(&n, true);
  EXPECT_EQ(n.cancels, (Told{{runs, CancelLevel::kCooperative}}));
  cancel(&n, behind);
  answer(&n, false);
  EXPECT_EQ(n.value_of(result_of(behind)), "it was cancelled, before it began");
  wait(&n, 100 * kSecond);
  EXPECT_TRUE(n.kills.empty());
  n.raise(n.run_of(runs), "KeyboardInterrupt");
  EXPECT_EQ(n.value_of(result_of(runs)), "it was cancelled, while it ran");
  TaskId next = n.call(actor);
  n.finish(n.run_of(next));
  EXPECT_EQ(n.value_of(result_of(next)), "ok");
}

TEST(NodeCancel, a_task_that_runs_too_long_is_interrupted_and_then_killed) {
  Node n(1);
  model::NamedAmount need{"CPU", model::kResourceUnit};
  model::DefineTemplate d;
  d.name = "f";
  d.resources = {&need, 1};
  d.timeout_ns = 5 * kSecond;
  n.say(Node::driver, d);
  TaskId t = n.submit(0);
  n.start_workers();
  wait(&n, 5 * kSecond - 1);
  EXPECT_TRUE(n.revokes.empty());
  wait(&n, 1);
  answer(&n, true);
  wait(&n, Cancelling::kInterruptAfter);
  EXPECT_EQ(n.cancels.size(), 2u);
  wait(&n, Cancelling::kTimeoutGrace);
  ASSERT_EQ(n.kills.size(), 1u);
  n.die(n.kills[0], {t});
  EXPECT_EQ(n.value_of(result_of(t)),
            "it ran longer than the 5.0 s that timeout_s allows and was killed");
  EXPECT_EQ(n.runs.size(), 1u) << "not tried again";
}

TEST(NodeCancel, a_deadline_counts_for_each_attempt_anew) {
  Node n(1);
  model::NamedAmount need{"CPU", model::kResourceUnit};
  model::DefineTemplate d;
  d.resources = {&need, 1};
  d.timeout_ns = 5 * kSecond;
  n.say(Node::driver, d);
  TaskId t = n.submit(0);
  n.start_workers();
  wait(&n, 4 * kSecond);
  n.die(n.run_of(t).worker, {t});
  wait(&n, 4 * kSecond);  // no worker yet
  n.start_workers();
  EXPECT_EQ(n.run_of(t).attempt, 1u);
  n.revokes.clear();
  wait(&n, 4 * kSecond);
  EXPECT_TRUE(n.revokes.empty());
  n.finish(n.run_of(t));
  EXPECT_EQ(n.value_of(result_of(t)), "ok");
}

TEST(NodeCancel, a_worker_ends_after_max_calls_of_a_function) {
  Node n(1);
  model::NamedAmount need{"CPU", model::kResourceUnit};
  model::DefineTemplate d;
  d.resources = {&need, 1};
  d.max_calls = 2;
  n.say(Node::driver, d);
  TaskId a = n.submit(0), b = n.submit(0), c = n.submit(0);
  n.start_workers();
  n.finish(n.run_of(a));
  n.finish(n.run_of(b));
  ClientId first = n.run_of(a).worker;
  EXPECT_EQ(n.run_of(b).worker, first);
  ASSERT_EQ(n.stops.size(), 1u);
  EXPECT_EQ(n.stops[0].first, first);
  EXPECT_EQ(n.runs.size(), 2u);
  n.die(first, {}, {model::DeathCause::Kind::kExited, 0, {}});
  n.start_workers();
  EXPECT_NE(n.run_of(c).worker, first);
}

}  // namespace
}  // namespace sundog::core
