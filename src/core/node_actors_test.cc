// Actors through a NodeCore's events and effects, one rule a test. Time is virtual.
#include <gtest/gtest.h>

#include "core/node_for_test.h"

namespace sundog::core {
namespace {

using model::Question;

int64_t count(const std::vector<TaskId>& tasks, const TaskId& task) {
  return std::count(tasks.begin(), tasks.end(), task);
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Actors, a_call_runs_in_the_process_of_its_actor) {
  Node n;
  ObjectId actor = n.make_actor();
  n.start_workers();
  ASSERT_EQ(n.runs.size(), 1u);
  EXPECT_EQ(n.runs[0].task, actor.task);
  EXPECT_EQ(n.runs[0].kind, model::CallKind::kCreateActor);
  TaskId early = n.call(actor);
  EXPECT_EQ(n.runs.size(), 1u) << "its constructor still runs";
  n.finish(n.runs[0]);
  TaskId late = n.call(actor);
  ASSERT_EQ(n.runs.size(), 3u) << "both are in the worker's ring";
  EXPECT_EQ(n.runs[1].task, early);
  EXPECT_EQ(n.runs[2].task, late);
  for (int i : {1, 2}) {
    EXPECT_EQ(n.runs[i].worker, n.runs[0].worker);
    EXPECT_EQ(n.runs[i].actor, actor);
    EXPECT_EQ(n.runs[i].method, "add");
  }
  n.finish(n.runs[1], "one");
  EXPECT_EQ(n.value_of(result_of(early)), "one");
}

TEST(Actors, it_takes_a_cpu_to_be_placed_and_none_to_live) {
  Node n(1);
  ObjectId a = n.living_actor();
  ObjectId b = n.living_actor();
  EXPECT_NE(n.run_of(a.task).worker, n.run_of(b.task).worker);
  EXPECT_EQ(n.core().scheduler().available(), n.core().scheduler().total());
  n.define(0);
  TaskId task = n.submit(0);
  n.start_workers();
  ClientId worker = n.run_of(task).worker;
  EXPECT_NE(worker, n.run_of(a.task).worker);
  EXPECT_NE(worker, n.run_of(b.task).worker);
}

TEST(Actors, what_it_keeps_for_life_is_free_when_its_process_is_gone) {
  Node n(2, 64 << 20, 1);
  ObjectId actor = n.living_actor({.lifetime_cpu = 1, .gpu = 1});
  ClientId worker = n.run_of(actor.task).worker;
  EXPECT_EQ(n.core().scheduler().available().get(model::kGpu), 0);
  EXPECT_EQ(n.core().scheduler().available().get(model::kCpu), model::kResourceUnit);
  n.drop(actor);
  EXPECT_EQ(n.core().scheduler().available().get(model::kGpu), 0) << "the process is still there";
  n.event(ClientGone{worker, {model::DeathCause::Kind::kExited, 0, {}}});
  EXPECT_EQ(n.core().scheduler().available(), n.core().scheduler().total());
  EXPECT_EQ(n.ask(Question::kActors), "[]");
}

TEST(Actors, when_the_last_handle_is_gone_the_calls_are_done_and_then_the_process_is_stopped) {
  Node n;
  ObjectId actor = n.living_actor();
  ClientId worker = n.run_of(actor.task).worker;
  TaskId call = n.call(actor);
  n.drop(actor);
  EXPECT_TRUE(n.stops.empty()) << "a call is queued";
  n.finish(n.run_of(call), "done");
  EXPECT_EQ(n.value_of(result_of(call)), "done");
  ASSERT_EQ(n.stops.size(), 1u);
  EXPECT_EQ(n.stops[0].first, worker);
  EXPECT_TRUE(n.kills.empty());
  EXPECT_LE(n.timer_at, n.now + 2 * kSecond);
  n.now += 3 * kSecond;
  n.event(Tick{});
  ASSERT_EQ(n.kills.size(), 1u) << "it had its grace";
  EXPECT_EQ(n.kills[0], worker);
}

TEST(Actors, kill_ends_the_process_and_fails_what_it_has_not_done) {
  Node n;
  ObjectId actor = n.living_actor();
  ClientId worker = n.run_of(actor.task).worker;
  std::vector<TaskId> calls;
  for (int i = 0; i < 40; ++i) calls.push_back(n.call(actor));
  n.say(n.driver, model::KillActor{actor, true});
  ASSERT_EQ(n.kills, std::vector<ClientId>{worker});
  EXPECT_TRUE(has(n.value_of(result_of(calls.back())), "kill() in the program with pid 100"))
      << "it was in no ring, so it fails at once";
  EXPECT_EQ(n.value_of(result_of(calls[0])), "(none)") << "it may be done by now";
  n.finish(n.run_of(calls[0]), "ok");
  EXPECT_EQ(n.value_of(result_of(calls[0])), "ok") << "the ring is drained first";
  n.die(worker, {calls[1]});
  for (size_t i = 1; i < calls.size(); ++i)
    EXPECT_TRUE(has(n.value_of(result_of(calls[i])), "kill()")) << i;
  TaskId later = n.call(actor);
  EXPECT_TRUE(has(n.value_of(result_of(later)), "its actor Counter (actor "));
  EXPECT_EQ(n.core().scheduler().available(), n.core().scheduler().total());
}

TEST(Actors, a_death_without_restart_fails_all_calls_with_its_cause) {
  Node n;
  ObjectId actor = n.living_actor();
  TaskId running = n.call(actor, 5), waiting = n.call(actor, 5);
  n.die(n.run_of(actor.task).worker, {running});
  for (TaskId call : {running, waiting, n.call(actor)})
    EXPECT_TRUE(has(n.value_of(result_of(call)), "signal 9")) << n.value_of(result_of(call));
  EXPECT_TRUE(has(n.ask(Question::kActors), "\"state\":\"DEAD\""));
}

TEST(Actors, a_restarted_actor_tries_again_what_may_be_and_keeps_what_was_not_begun) {
  Node n;
  ObjectId actor = n.living_actor({.max_restarts = 1});
  TaskId once = n.call(actor, 0), again = n.call(actor, 1), queued = n.call(actor, 0);
  n.die(n.run_of(actor.task).worker, {once, again});
  EXPECT_TRUE(has(n.value_of(result_of(once)), "is being restarted"))
      << n.value_of(result_of(once));
  TaskId meanwhile = n.call(actor, 0);
  n.runs.clear();
  n.start_workers();
  ASSERT_EQ(n.runs.size(), 1u);
  EXPECT_EQ(n.runs[0].task, actor.task);
  EXPECT_EQ(n.runs[0].attempt, 1u);
  n.finish(n.runs[0]);
  EXPECT_EQ(n.run_order(), (std::vector<TaskId>{actor.task, again, queued, meanwhile}));
  EXPECT_EQ(n.runs[1].attempt, 1u);
  EXPECT_EQ(n.runs[2].attempt, 0u);
  n.die(n.runs[0].worker, {again});
  EXPECT_TRUE(has(n.value_of(result_of(queued)), "restarted 1 times before"))
      << n.value_of(result_of(queued));
}

TEST(Actors, a_call_whose_argument_is_missing_holds_back_its_caller_and_nobody_else) {
  Node n;
  n.define(0);
  ObjectId actor = n.living_actor();
  ClientId other = ClientId::make(99, 1);
  n.event(ClientConnected{other, model::Role::kDriver, model::Language::kPython, kJob, 0, 101, 0});
  model::RefCount count{actor, 1};
  n.say(other, model::AddRefs{{&count, 1}});
  TaskId slow = n.submit(0);
  n.start_workers();
  ObjectId argument = result_of(slow);
  n.runs.erase(n.runs.begin());
  TaskId first = n.call(actor, 0, {{argument}});
  TaskId second = n.call(actor);
  TaskId others = n.call(actor, 0, {}, other);
  EXPECT_EQ(n.run_order(), (std::vector<TaskId>{slow, others}));
  n.finish(n.run_of(slow));
  EXPECT_EQ(n.run_order(), (std::vector<TaskId>{slow, others, first, second}));
}

TEST(Actors, an_argument_that_is_an_error_fails_the_call_and_lets_the_next_pass) {
  Node n;
  n.define(0, 1, 0);
  ObjectId actor = n.living_actor();
  TaskId doomed = n.submit(0);
  n.start_workers();
  TaskId first = n.call(actor, 0, {{result_of(doomed)}});
  TaskId second = n.call(actor);
  n.die(n.run_of(doomed).worker, {doomed});
  EXPECT_TRUE(has(n.value_of(result_of(first)), "signal 9"));
  EXPECT_EQ(n.runs.back().task, second);
}

TEST(Actors, a_constructor_that_raises_ends_the_actor_with_its_error) {
  Node n;
  ObjectId actor = n.make_actor();
  TaskId early = n.call(actor);
  n.start_workers();
  n.raise(n.runs[0], "boom");
  EXPECT_EQ(n.value_of(actor), "boom");
  EXPECT_TRUE(has(n.value_of(result_of(early)), "its constructor raised"));
  EXPECT_TRUE(has(n.value_of(result_of(early)), "cause: boom"));
  ASSERT_EQ(n.stops.size(), 1u) << "the process served one actor, it serves no other";
  EXPECT_TRUE(has(n.value_of(result_of(n.call(actor))), "cause: boom"));
}

TEST(Actors, exit_actor_ends_its_call_well_and_all_others_with_its_name) {
  Node n;
  ObjectId actor = n.living_actor({.max_restarts = 3});
  ClientId worker = n.run_of(actor.task).worker;
  TaskId last = n.call(actor), behind = n.call(actor, 3);
  n.finish(n.run_of(last), "none", kSecond, true);
  EXPECT_EQ(n.value_of(result_of(last)), "none");
  ASSERT_EQ(n.stops.size(), 1u);
  n.die(worker, {}, {model::DeathCause::Kind::kExited, 0, {}});
  EXPECT_TRUE(has(n.value_of(result_of(behind)), "exit_actor()"));
  n.start_workers();
  EXPECT_EQ(n.workers.size(), 1u) << "no restart";
}

TEST(Actors, a_worker_that_dies_before_the_constructor_costs_no_restart) {
  Node n;
  ObjectId actor = n.make_actor();
  n.start_workers();
  n.die(n.runs[0].worker);
  n.runs.clear();
  n.start_workers();
  n.finish(n.run_of(actor.task));
  EXPECT_TRUE(has(n.ask(Question::kActors), "\"state\":\"ALIVE\""));
  EXPECT_TRUE(has(n.reply, "\"restarts\":0"));
}

TEST(Actors, a_worker_that_dies_in_the_constructor_costs_one) {
  Node n;
  ObjectId actor = n.make_actor({.max_restarts = 1});
  TaskId call = n.call(actor);
  n.start_workers();
  n.die(n.runs[0].worker, {actor.task});
  n.runs.clear();
  n.start_workers();
  n.die(n.run_of(actor.task).worker, {actor.task});
  EXPECT_TRUE(has(n.value_of(result_of(call)), "Its constructor ran"))
      << n.value_of(result_of(call));
  EXPECT_TRUE(has(n.value_of(actor), "signal 9"));
}

TEST(Actors, kill_before_it_is_made_takes_the_creation_away) {
  Node n;
  ObjectId actor = n.make_actor({.gpu = 1});
  TaskId call = n.call(actor);
  EXPECT_TRUE(has(n.notices.at(0), "GPU"));
  n.say(n.driver, model::KillActor{actor, true});
  EXPECT_TRUE(has(n.value_of(actor), "kill()"));
  EXPECT_TRUE(has(n.value_of(result_of(call)), "kill()"));
  EXPECT_EQ(n.core().tasks().live(), 0u);
}

TEST(Actors, kill_with_restart_starts_it_anew) {
  Node n;
  ObjectId actor = n.living_actor({.max_restarts = 1});
  n.say(n.driver, model::KillActor{actor, false});
  ASSERT_EQ(n.kills.size(), 1u);
  TaskId call = n.call(actor);
  n.die(n.kills[0]);
  n.runs.clear();
  n.start_workers();
  n.finish(n.run_of(actor.task));
  n.finish(n.run_of(call), "fine");
  EXPECT_EQ(n.value_of(result_of(call)), "fine");
}

TEST(Actors, arguments_of_a_constructor_are_kept_for_its_restarts) {
  Node n;
  ObjectId argument{TaskId::make(kJob, TaskId::root_of(kJob), 0, 1'000'000), ObjectId::kPutBit};
  model::Put put;
  put.id = argument;
  put.value = {model::Format::kText, {}, as_bytes("model")};
  n.say(n.driver, put);
  ObjectId actor = n.living_actor({.max_restarts = 1, .refs = {argument}});
  n.drop(argument);
  EXPECT_NE(n.core().objects().find(argument), kNoIndex);
  n.die(n.run_of(actor.task).worker);
  n.runs.clear();
  n.start_workers();
  EXPECT_EQ(n.run_of(actor.task).first_argument, "model");
  n.finish(n.run_of(actor.task));
  EXPECT_EQ(n.core().objects().find(argument), kNoIndex) << "no restart is left";
}

TEST(Actors, a_blocked_call_lends_its_cpu_and_never_waits_to_have_it_back) {
  Node n(1);
  n.define(0);
  n.define(1, 0);
  ObjectId actor = n.living_actor({.lifetime_cpu = 1});
  ClientId worker = n.run_of(actor.task).worker;
  TaskId call = n.call(actor), light = n.submit(1), busy = n.submit(0);
  n.start_workers();
  EXPECT_EQ(count(n.run_order(), busy), 0) << "the actor holds the only CPU";
  ObjectId wanted = result_of(light);
  n.say(worker, model::Get{1, 1, true, true, {&wanted, 1}});
  n.start_workers();
  EXPECT_EQ(n.run_of(busy).task, busy);
  n.finish(n.run_of(light));
  EXPECT_EQ(n.worker_waited.size(), 1u) << "it goes on at once";
  EXPECT_EQ(n.core().scheduler().available().get(model::kCpu), -model::kResourceUnit);
  n.finish(n.run_of(call));
}

TEST(Actors, no_more_calls_than_the_depth_are_with_the_worker) {
  Node n;
  ObjectId actor = n.living_actor();
  for (int i = 0; i < 100; ++i) n.call(actor);
  EXPECT_EQ(n.runs.size(), 1 + LocalScheduler::kPipelineDepthMax);
  for (size_t i = 1; i < n.runs.size(); ++i) n.finish(n.runs[i]);
  EXPECT_EQ(n.runs.size(), 101u);
}

TEST(Actors, a_call_of_a_handle_that_nobody_knows_fails_with_a_reason) {
  Node n;
  TaskId call = n.call({TaskId::make(kJob, {}, 0, 77), 0});
  EXPECT_TRUE(has(n.value_of(result_of(call)), "is unknown to session test"));
}

TEST(Actors, a_pool_is_filled_again_after_an_actor_took_a_worker) {
  Node n;
  n.event(Prestart{kJob, model::Language::kPython, 0, 2});
  ASSERT_EQ(n.spawned.size(), 2u);
  n.start_workers();
  n.living_actor();
  EXPECT_EQ(n.spawned.size(), 1u);
}

TEST(Actors, the_end_of_the_driver_ends_them_but_for_detached_ones) {
  Node n;
  ObjectId detached = n.living_actor({.max_restarts = 1, .detached = true});
  ObjectId plain = n.living_actor();
  ClientId stays = n.run_of(detached.task).worker, goes = n.run_of(plain.task).worker;
  n.event(ClientGone{n.driver, {model::DeathCause::Kind::kExited, 0, {}}});
  EXPECT_EQ(std::count(n.kills.begin(), n.kills.end(), stays), 0);
  EXPECT_EQ(std::count(n.kills.begin(), n.kills.end(), goes), 1);
  EXPECT_TRUE(n.settled.empty());
  // It goes on: it submits, is restarted, and serves other jobs.
  n.define(0, 1, 0, 0, stays);
  n.runs.clear();
  TaskId own = n.submit(0, {}, stays);
  n.start_workers();
  EXPECT_EQ(n.run_of(own).task, own);
  n.finish(n.run_of(own));
  n.die(stays);
  n.start_workers();
  n.finish(n.run_of(detached.task));
  ClientId tool = ClientId::make(98, 1);
  n.event(ClientConnected{tool, model::Role::kTool, model::Language::kPython, {}, 0, 102, 0});
  n.kills.clear();
  n.say(tool, model::KillActor{detached, true});
  EXPECT_GE(n.kills.size(), 2u) << "itself, and the worker that was kept for it";
  for (ClientId worker : std::vector<ClientId>(n.workers)) n.die(worker);
  EXPECT_EQ(n.core().tasks().live(), 0u);
  EXPECT_EQ(n.core().objects().live(), 0u);
  EXPECT_EQ(n.ask_as(tool, Question::kActors), "[]");
  EXPECT_EQ(n.settled, std::vector<JobId>{detached.task.job()});
}

TEST(Actors, explain_says_behind_what_a_call_waits) {
  Node n(1);
  ObjectId actor = n.living_actor();
  n.call(actor);
  TaskId second = n.call(actor);
  n.now += 2 * kSecond;
  std::string why = n.ask(Question::kExplain, result_of(second).hex());
  EXPECT_TRUE(has(why, "behind 1 call of Counter (actor ")) << why;
  EXPECT_TRUE(has(why, "which runs Counter.add() since 2.0 s")) << why;
  ObjectId needy = n.make_actor({.gpu = 1});
  TaskId third = n.call(needy);
  why = n.ask(Question::kExplain, result_of(third).hex());
  EXPECT_TRUE(has(why, "is not made yet")) << why;
  EXPECT_TRUE(has(why, "it needs 1 GPU, this session has 0")) << why;
}

// ---------------------------------------------------------------- names

class NamedActors : public testing::Test {
 protected:
  void claim(uint32_t request, ClientId from = Node::driver) {
    n.say(from, model::ClaimName{request, "space", "name"});
  }
  void bind(const ObjectId& actor, ClientId from = Node::driver) {
    n.say(from, model::BindName{"space", "name", actor, descriptor});
  }
  ObjectId put_descriptor() {
    model::Put put;
    put.id = descriptor;
    put.value = {model::Format::kText, {}, as_bytes("Counter")};
    n.say(n.driver, put);
    return descriptor;
  }
  Node n;
  ObjectId descriptor{TaskId::make(kJob, TaskId::root_of(kJob), 0, 2'000'000), ObjectId::kPutBit};
};

TEST_F(NamedActors, a_name_is_reserved_bound_found_and_gone_with_its_actor) {
  put_descriptor();
  claim(1);
  EXPECT_EQ(n.names.back().second.status, model::NameStatus::kReserved);
  n.say(n.driver, model::FindName{2, "space", "name"});
  EXPECT_EQ(n.names.size(), 1u) << "it waits for the name to be bound";
  ObjectId actor = n.make_actor();
  bind(actor);
  ASSERT_EQ(n.names.size(), 2u);
  EXPECT_EQ(n.names.back().second.status, model::NameStatus::kFound);
  EXPECT_EQ(n.names.back().second.actor, actor);
  EXPECT_TRUE(has(n.ask(Question::kNames, "space"), "\"name\":\"name\""));
  EXPECT_EQ(n.ask(Question::kNames, "elsewhere"), "[]");
  n.drop(descriptor);
  n.drop(descriptor);
  EXPECT_NE(n.core().objects().find(descriptor), kNoIndex) << "the name holds it";
  n.say(n.driver, model::KillActor{actor, true});
  n.say(n.driver, model::FindName{3, "space", "name"});
  EXPECT_EQ(n.names.back().second.status, model::NameStatus::kUnknown);
  EXPECT_EQ(n.core().objects().find(descriptor), kNoIndex);
}

TEST_F(NamedActors, who_is_found_is_counted_to_who_asked) {
  put_descriptor();
  claim(1);
  ObjectId actor = n.living_actor();
  bind(actor);
  n.say(n.driver, model::FindName{2, "space", "name"});
  n.drop(actor);
  EXPECT_TRUE(n.stops.empty()) << "the finder has a handle";
  n.drop(actor);
  EXPECT_EQ(n.stops.size(), 1u);
}

TEST_F(NamedActors, a_reservation_falls_with_its_client_and_passes_on) {
  ClientId other = n.join_worker();
  claim(1, other);
  claim(2);
  EXPECT_EQ(n.names.size(), 1u);
  n.event(ClientGone{other, {model::DeathCause::Kind::kSignalled, 9, {}}});
  ASSERT_EQ(n.names.size(), 2u);
  EXPECT_EQ(n.names[1].first, n.driver);
  EXPECT_EQ(n.names[1].second.status, model::NameStatus::kReserved);
}

TEST_F(NamedActors, a_name_for_an_actor_that_died_meanwhile_is_given_back) {
  put_descriptor();
  claim(1);
  ObjectId actor = n.make_actor();
  n.say(n.driver, model::KillActor{actor, true});
  n.say(n.driver, model::FindName{2, "space", "name"});
  bind(actor);
  EXPECT_EQ(n.names.back().second.status, model::NameStatus::kUnknown);
}

}  // namespace
}  // namespace sundog::core
