// NodeCore through its events and effects, one rule a test. Time is virtual.
#include <gtest/gtest.h>

#include <set>

#include "core/node_for_test.h"

namespace sundog::core {
namespace {

TEST(NodeCore, a_task_runs_and_its_small_result_is_pushed_unasked) {
  Node n;
  n.define(0);
  TaskId t = n.submit(0);
  ASSERT_EQ(n.spawned.size(), 1u);
  n.start_workers();
  ASSERT_EQ(n.runs.size(), 1u);
  n.finish(n.runs[0], "42");
  ASSERT_EQ(n.values.size(), 1u);
  EXPECT_EQ(n.values[0].first, result_of(t));
  EXPECT_EQ(n.values[0].second, "42");
  EXPECT_EQ(n.core().tasks().live(), 0u);
}

TEST(NodeCore, an_object_lives_until_its_last_reference_is_dropped) {
  Node n;
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  n.finish(n.runs[0]);
  EXPECT_EQ(n.core().objects().live(), 1u);
  model::RefCount drop{result_of(t), 1};
  n.say(Node::driver, model::DropRefs{{&drop, 1}});
  EXPECT_EQ(n.core().objects().live(), 0u);
}

TEST(NodeCore, a_task_waits_for_its_argument_and_gets_its_value) {
  Node n;
  n.define(0);
  TaskId a = n.submit(0);
  ObjectId ref = result_of(a);
  TaskId b = n.submit(0, {&ref, 1});
  n.start_workers();
  ASSERT_EQ(n.runs.size(), 1u);
  n.finish(n.runs[0], "first");
  ASSERT_EQ(n.runs.size(), 2u);
  EXPECT_EQ(n.runs[1].task, b);
  EXPECT_EQ(n.runs[1].first_argument, "first");
}

TEST(NodeCore, an_argument_outlives_the_drivers_reference_until_its_task_is_done) {
  Node n;
  n.define(0);
  TaskId a = n.submit(0);
  ObjectId ref = result_of(a);
  n.submit(0, {&ref, 1});
  model::RefCount drop{ref, 1};
  n.say(Node::driver, model::DropRefs{{&drop, 1}});
  n.start_workers();
  n.finish(n.runs[0], "kept");
  EXPECT_EQ(n.runs[1].first_argument, "kept");
  n.finish(n.runs[1]);
  EXPECT_EQ(n.core().objects().find(ref), kNoIndex);
}

TEST(NodeCore, an_error_of_an_argument_becomes_the_tasks_own_without_running_it) {
  Node n;
  n.define(0, 1, 0);
  TaskId a = n.submit(0);
  ObjectId ref = result_of(a);
  TaskId b = n.submit(0, {&ref, 1});
  n.start_workers();
  n.event(ClientGone{n.workers[0], {model::DeathCause::Kind::kExited, 3, ""}});
  n.event(ClaimRevoked{n.workers[0], n.runs[0].slot, n.runs[0].generation, false});
  ASSERT_EQ(n.runs.size(), 1u);
  ASSERT_EQ(n.values.size(), 2u);
  EXPECT_EQ(n.values[1].first, result_of(b));
  EXPECT_NE(n.values[1].second.find("exited with code 3"), std::string::npos);
}

TEST(NodeCore, a_chain_of_a_hundred_thousand_tasks_fails_without_recursion) {
  Node n;
  n.define(0, 1, 0);
  NodeCore core(
      {.node = {},
       .session = "t",
       .resources = {{"CPU", 10000}},
       .store_bytes = 1 << 20,
       .encode_error = [](const model::SystemError& e) { return std::string(e.sentence); }});
  Random random(1);
  Effects effects;
  auto step = [&](const Event& e) {
    effects.clear();
    core.step(1, random, e, &effects);
  };
  step(
      ClientConnected{Node::driver, model::Role::kDriver, model::Language::kPython, kJob, 0, 1, 0});
  model::NamedAmount need{"CPU", 10000};
  model::DefineTemplate d;
  d.resources = {&need, 1};
  d.max_retries = 0;
  step(FromClient{Node::driver, d});
  TaskId last;
  for (int i = 0; i < 100'000; ++i) {
    ObjectId ref = result_of(last);
    model::Submit s;
    s.task = TaskId::make(kJob, {}, 0, static_cast<uint64_t>(i) + 1);
    if (i > 0) s.refs = {&ref, 1};
    step(FromClient{Node::driver, s});
    last = s.task;
  }
  model::CancelTask cancel;
  cancel.task = TaskId::make(kJob, {}, 0, 1);
  step(FromClient{Node::driver, cancel});
  EXPECT_EQ(core.tasks().live(), 0u);
}

TEST(NodeCore, a_blocked_task_gives_its_cpu_to_the_one_it_waits_for) {
  Node n(1);
  n.define(0);
  TaskId parent = n.submit(0);
  n.start_workers();
  ClientId w = n.workers[0];
  model::DefineTemplate t;
  model::NamedAmount need{"CPU", model::kResourceUnit};
  t.name = "child";
  t.resources = {&need, 1};
  n.say(w, t);
  TaskId child = n.submit(0, {}, w, parent);
  EXPECT_EQ(n.runs.size(), 1u);  // the only CPU is taken
  ObjectId wanted = result_of(child);
  model::Get g;
  g.request = 5;
  g.num_ready = 1;
  g.blocking = true;
  g.ids = {&wanted, 1};
  n.say(w, g);
  n.start_workers();
  ASSERT_EQ(n.runs.size(), 2u);
  EXPECT_EQ(n.runs[1].task, child);
  n.finish(n.run_of(child));
  EXPECT_EQ(n.worker_waited, std::vector<uint32_t>{5});
  n.finish(n.run_of(parent));
  EXPECT_EQ(n.core().scheduler().available(), n.core().scheduler().total());
}

TEST(NodeCore, a_resumed_worker_waits_when_twice_the_cpus_run) {
  Node n(1);
  n.define(0);
  std::vector<TaskId> parents{n.submit(0)};
  n.start_workers();
  // Three parents, one behind the other, block on the same pending object.
  TaskId never = n.submit(0);
  ObjectId wanted = result_of(never);
  auto block = [&](const TaskId& task) {
    Node::Run r = n.run_of(task);
    model::Get g;
    g.request = 1;
    g.num_ready = 1;
    g.blocking = true;
    g.ids = {&wanted, 1};
    n.say(r.worker, g);
    n.start_workers();
  };
  block(parents[0]);
  Node::Run runs_now = n.run_of(never);
  parents.push_back(n.submit(0));
  parents.push_back(n.submit(0));
  // `never` runs; end it: the first parent resumes (1 of 1), nothing else may start.
  n.finish(runs_now);
  EXPECT_EQ(n.worker_waited.size(), 1u);
  EXPECT_EQ(n.core().scheduler().available().get(model::kCpu), 0);
}

TEST(NodeCore, a_crashed_worker_costs_one_retry_and_then_names_the_cause) {
  Node n(1);
  n.define(0, 1, 1);
  TaskId t = n.submit(0);
  n.start_workers();
  auto crash = [&] {
    Node::Run r = n.run_of(t);
    n.event(ClientGone{r.worker, {model::DeathCause::Kind::kSignalled, 9, "last words"}});
    n.event(ClaimRevoked{r.worker, r.slot, r.generation, false});
  };
  crash();
  n.start_workers();
  EXPECT_EQ(n.run_of(t).attempt, 1u);
  EXPECT_TRUE(n.values.empty());
  crash();
  ASSERT_EQ(n.values.size(), 1u);
  EXPECT_NE(n.values[0].second.find("signal 9"), std::string::npos);
  EXPECT_NE(n.values[0].second.find("tried 2 times"), std::string::npos);
  EXPECT_NE(n.values[0].second.find("last words"), std::string::npos);
}

TEST(NodeCore, a_task_that_the_dead_worker_never_claimed_has_not_been_tried) {
  Node n(1);
  n.define(0, 1, 0);
  TaskId t = n.submit(0);
  n.start_workers();
  Node::Run r = n.run_of(t);
  n.event(ClientGone{r.worker, {model::DeathCause::Kind::kExited, 1, ""}});
  n.event(ClaimRevoked{r.worker, r.slot, r.generation, true});
  n.start_workers();
  EXPECT_EQ(n.runs.size(), 2u);
  n.finish(n.run_of(t), "done");
  ASSERT_EQ(n.values.size(), 1u);
  EXPECT_EQ(n.values[0].second, "done");
}

TEST(NodeCore, a_result_of_an_old_attempt_is_not_accepted) {
  Node n(1);
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  Node::Run old = n.run_of(t);
  n.event(ClientGone{old.worker, {model::DeathCause::Kind::kSignalled, 9, ""}});
  n.event(ClaimRevoked{old.worker, old.slot, old.generation, false});
  n.start_workers();
  Node::Run fresh = n.run_of(t);
  Node::Run forged = fresh;
  forged.attempt = old.attempt;
  n.finish(forged, "old");
  EXPECT_TRUE(n.values.empty());
  n.finish(fresh, "new");
  ASSERT_EQ(n.values.size(), 1u);
  EXPECT_EQ(n.values[0].second, "new");
}

TEST(NodeCore, short_tasks_are_queued_behind_a_running_one_and_taken_back_when_it_blocks) {
  Node n(1);
  n.define(0);
  TaskId first = n.submit(0);
  n.start_workers();
  for (int i = 0; i < 20; ++i) {
    n.finish(n.run_of(first), "x", 5 * kMicrosecond);
    first = n.submit(0);
  }
  size_t before = n.runs.size();
  std::vector<TaskId> behind;
  for (int i = 0; i < 5; ++i) behind.push_back(n.submit(0));
  EXPECT_EQ(n.runs.size(), before + 5);
  ObjectId wanted = result_of(behind[4]);
  model::Get g;
  g.request = 1;
  g.num_ready = 1;
  g.blocking = true;
  g.ids = {&wanted, 1};
  n.say(n.workers[0], g);
  ASSERT_EQ(n.revokes.size(), 5u);
  auto revokes = n.revokes;
  for (const auto& r : revokes) n.event(ClaimRevoked{r.worker, r.slot, r.generation, true});
  n.start_workers();
  // The awaited one first, on a worker of its own.
  EXPECT_EQ(n.runs[before + 5].task, behind[4]);
  EXPECT_NE(n.runs[before + 5].worker, n.workers[0]);
}

TEST(NodeCore, bytes_are_not_reused_while_they_are_pinned) {
  Node n(1, 4 << 20);
  model::Allocate a{1, 3 << 20};
  n.say(Node::driver, a);
  ASSERT_EQ(n.grants.size(), 1u);
  model::Put p;
  p.id = {TaskId::root_of(kJob), ObjectId::kPutBit | 1};
  p.value.format = model::Format::kRaw;
  p.value.extent = n.grants[0];
  n.say(Node::driver, p);
  model::Get g;
  g.request = 1;
  g.num_ready = 1;
  g.ids = {&p.id, 1};
  n.say(Node::driver, g);
  EXPECT_EQ(n.waited.size(), 1u);
  model::RefCount one{p.id, 1};
  n.say(Node::driver, model::DropRefs{{&one, 1}});
  EXPECT_TRUE(n.freed.empty());
  n.say(Node::driver, model::Unpin{{&one, 1}});
  ASSERT_EQ(n.freed.size(), 1u);
  EXPECT_EQ(n.core().objects().allocator().used(), 0u);
}

TEST(NodeCore, a_put_larger_than_the_store_is_refused_at_once) {
  Node n(1, 4 << 20);
  n.say(Node::driver, model::Allocate{1, 5 << 20});
  ASSERT_EQ(n.refused.size(), 1u);
}

TEST(NodeCore, a_put_into_a_full_store_waits_for_a_task_and_is_refused_when_nothing_runs) {
  Node n(1, 4 << 20);
  n.say(Node::driver, model::Allocate{1, 3 << 20});
  n.define(0);
  TaskId t = n.submit(0);
  n.start_workers();
  n.say(Node::driver, model::Allocate{2, 3 << 20});
  for (int i = 0; i < 100; ++i) {
    n.now += 50 * kMillisecond;
    n.event(Tick{});
  }
  EXPECT_TRUE(n.refused.empty());
  EXPECT_FALSE(n.notices.empty());
  n.finish(n.run_of(t));
  n.now += kSecond;
  n.event(Tick{});
  n.now += kSecond;
  n.event(Tick{});
  EXPECT_EQ(n.refused.size(), 1u);
}

// Whoever takes the items of a stream makes room; not while it waits for the CPU of those that wait
// for the room.
TEST(NodeCore, a_consumer_without_a_cpu_makes_no_room) {
  Node n(1, 4 << 20);
  n.say(Node::driver, model::Allocate{1, 3 << 20});
  n.define(0);
  n.submit(0);
  n.start_workers();
  const ClientId consumer = n.workers.at(0);
  model::DefineTemplate stream;
  model::NamedAmount needs[] = {{"CPU", model::kResourceUnit}};
  stream.template_id = 1;
  stream.name = "stream";
  stream.resources = needs;
  stream.returns = model::Returns::kStream;
  n.say(consumer, stream);
  const TaskId items = n.submit(1, {}, consumer);
  const ObjectId first{items, 1};
  n.say(consumer, model::Get{1, 1, true, true, {&first, 1}});
  n.start_workers();
  const Node::Run producer = n.run_of(items);
  n.define(0, 1, 3, 0, producer.worker);
  const TaskId child = n.submit(0, {}, producer.worker);
  const ObjectId awaited = result_of(child);
  n.say(producer.worker, model::Get{1, 1, true, true, {&awaited, 1}});
  n.start_workers();
  n.say(producer.worker, model::EndGet{1});  // two run on one CPU: a third must wait for it
  model::ResultView item;
  item.index = 1;
  item.value.format = model::Format::kText;
  item.value.bytes = as_bytes(std::string_view("item"));
  n.say(producer.worker, model::Results{items, producer.attempt, {&item, 1}});
  EXPECT_TRUE(n.worker_waited.empty());
  n.say(producer.worker, model::Allocate{2, 3 << 20});
  n.say(n.run_of(child).worker, model::Allocate{1, 3 << 20});
  for (int i = 0; i < 3; ++i) {
    n.now += 60 * kMillisecond;
    n.event(Tick{});
  }
  EXPECT_FALSE(n.refused.empty());
}

TEST(NodeCore, unsealed_memory_of_a_dead_process_is_free_again) {
  Node n;
  n.define(0);
  n.submit(0);
  n.start_workers();
  n.say(n.workers[0], model::Allocate{1, 1 << 20});
  n.event(ClientGone{n.workers[0], {model::DeathCause::Kind::kSignalled, 9, ""}});
  n.event(ClaimRevoked{n.workers[0], n.runs[0].slot, n.runs[0].generation, true});
  EXPECT_EQ(n.core().objects().allocator().used(), 0u);
}

TEST(NodeCore, the_drivers_end_takes_its_tasks_objects_and_workers_along) {
  Node n(1);
  n.define(0);
  n.submit(0);
  n.submit(0);
  n.start_workers();
  n.event(ClientGone{Node::driver, {model::DeathCause::Kind::kSignalled, 9, ""}});
  EXPECT_EQ(n.killed.size(), 1u);
  n.event(ClientGone{n.workers[0], {model::DeathCause::Kind::kKilledByUs, 9, ""}});
  n.event(ClaimRevoked{n.workers[0], n.runs[0].slot, n.runs[0].generation, false});
  n.event(Tick{});
  EXPECT_EQ(n.core().tasks().live(), 0u);
  EXPECT_EQ(n.core().objects().live(), 0u);
}

TEST(NodeCore, an_infeasible_task_is_reported_at_once_and_explained) {
  Node n(1);
  n.define(0, 1, 3, 1);
  TaskId t = n.submit(0);
  ASSERT_EQ(n.notices.size(), 1u);
  EXPECT_NE(n.notices[0].find("it needs 1 GPU, this session has 0"), std::string::npos);
  std::string hex = result_of(t).hex();
  n.say(Node::driver, model::Query{1, model::Question::kExplain, hex});
  EXPECT_NE(n.reply.find("it needs 1 GPU, this session has 0"), std::string::npos);
}

TEST(NodeCore, a_client_that_drops_what_it_does_not_hold_is_ended) {
  Node n;
  model::RefCount one{{TaskId::root_of(kJob), ObjectId::kPutBit | 1}, 1};
  n.say(Node::driver, model::DropRefs{{&one, 1}});
  EXPECT_EQ(n.killed.size(), 1u);
}

TEST(NodeCore, a_client_that_submits_the_id_of_a_task_that_lives_is_ended) {
  Node n;
  n.define(0);
  model::Submit s;
  s.task = n.submit(0);
  n.say(Node::driver, s);
  EXPECT_EQ(n.killed.size(), 1u);
  EXPECT_EQ(n.core().tasks().live(), 1u);
}

TEST(NodeCore, a_task_that_would_make_a_result_anew_is_refused_and_leaves_nothing) {
  Node n;
  n.define(0);
  model::Submit s;
  s.task = TaskId::make(kJob, {}, 0, 1);
  model::Put there;
  there.id = {s.task, ObjectId::kPutBit};
  there.value.format = model::Format::kNone;
  n.say(Node::driver, there);
  n.say(Node::driver, s);
  n.start_workers();
  n.finish(n.run_of(s.task));
  ASSERT_TRUE(n.killed.empty()) << "puts and results never collide";
  s.num_results = 3;  // the first one is there
  n.say(Node::driver, s);
  EXPECT_EQ(n.killed.size(), 1u);
  EXPECT_EQ(n.core().tasks().live(), 0u);
  EXPECT_EQ(n.core().objects().live(), 2u);
  n.drop({s.task, 0});
  n.killed.clear();
  n.submit(0);
  const ObjectId second = {s.task, 1};
  model::Get lost;  // an unknown reference is an object of its own
  lost.ids = {&second, 1};
  lost.num_ready = 1;
  n.say(Node::driver, lost);
  n.say(Node::driver, s);  // now the second one is there
  EXPECT_EQ(n.killed.size(), 1u);
  EXPECT_EQ(n.core().objects().find({s.task, 0}), kNoIndex) << "made first, and taken back";
}

TEST(NodeCore, a_client_that_names_a_template_it_left_out_is_ended) {
  Node n;
  n.define(1);
  n.submit(0);
  EXPECT_EQ(n.killed.size(), 1u);
  EXPECT_EQ(n.core().tasks().live(), 0u);
}

TEST(NodeCore, a_container_keeps_what_it_names_alive) {
  Node n;
  ObjectId inner{TaskId::root_of(kJob), ObjectId::kPutBit | 1};
  ObjectId outer{TaskId::root_of(kJob), ObjectId::kPutBit | 2};
  model::Put p;
  p.value.format = model::Format::kText;
  p.value.bytes = as_bytes("v");
  p.id = inner;
  n.say(Node::driver, p);
  p.id = outer;
  p.contained = {&inner, 1};
  n.say(Node::driver, p);
  model::RefCount drop_inner{inner, 1}, drop_outer{outer, 1};
  n.say(Node::driver, model::DropRefs{{&drop_inner, 1}});
  EXPECT_EQ(n.core().objects().live(), 2u);
  n.say(Node::driver, model::DropRefs{{&drop_outer, 1}});
  EXPECT_EQ(n.core().objects().live(), 0u);
}

}  // namespace
}  // namespace sundog::core
