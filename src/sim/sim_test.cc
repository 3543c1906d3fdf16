// Whole clusters from seeds. `sim_main --seed N --trace` shows a run of one of them.
#include <gtest/gtest.h>

#include <initializer_list>

#include "base/probe.h"
#include "sim/sim_cluster.h"

namespace sundog::sim {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kTwice = false;  // ten times slower; the other builds compare
#else
constexpr bool kTwice = true;
#endif

// Runs a cluster twice: no rule may be broken, and equal seeds must give equal effects. Returns the
// number of its tasks.
uint64_t run(uint64_t seed, const SimConfig& config) {
  SimResult one = SimCluster(config).run();
  for (const std::string& failure : one.failures)
    ADD_FAILURE() << "seed " << seed << ": " << failure;
  if (kTwice) {
    EXPECT_EQ(one.hash, SimCluster(config).run().hash) << "seed " << seed << " is not reproducible";
  }
  return one.tasks;
}

void run_seeds(uint64_t first, uint64_t last) {
  uint64_t tasks = 0;
  for (uint64_t seed = first; seed <= last; ++seed) tasks += run(seed, SimConfig::of_seed(seed));
  EXPECT_GE(tasks, 50 * (last - first));
}

TEST(Simulation, seeds_1_to_50_break_no_rule) { run_seeds(1, 50); }
TEST(Simulation, seeds_51_to_100_break_no_rule) { run_seeds(51, 100); }
TEST(Simulation, seeds_101_to_150_break_no_rule) { run_seeds(101, 150); }
TEST(Simulation, seeds_151_to_200_break_no_rule) { run_seeds(151, 200); }

void expect_hits(std::initializer_list<const char*> probes) {
  for (const char* probe : probes) EXPECT_GT(probe_hits(probe), 0u) << probe;
}

TEST(Simulation, rare_branches_of_processes_and_claims_are_reached) {
  run_seeds(201, 240);
  expect_hits({"sim.claim_lost_by_the_worker", "sim.client_index_reused",
               "sim.cpus_overdrawn_by_resumed_workers", "sim.driver_killed", "sim.get_timed_out",
               "sim.grant_abandoned", "sim.killed_while_blocked", "sim.killed_while_running",
               "sim.killed_while_writing", "sim.put_refused", "sim.result_refused",
               "sim.ref_taken_again_before_its_drop_was_sent", "sim.result_ahead_of_the_end",
               "sim.revoke_lost", "sim.revoke_won", "sim.value_of_a_dropped_ref",
               "tasks.worker_died_without_a_claim", "tasks.exception_retried"});
}

TEST(Simulation, rare_branches_of_clusters_are_reached) {
  for (uint64_t seed = 242; seed <= 360; seed += 2) run_seeds(seed, seed);
  expect_hits({"cluster.container_kept_for_its_refs",
               "cluster.done_held_twice",
               "cluster.done_waits_for_owners",
               "cluster.fenced",
               "cluster.fetch_refused",
               "cluster.fetch_waits_for_room",
               "cluster.held_waits_for_owners",
               "cluster.late_location_ignored",
               "cluster.late_placement_ignored",
               "cluster.locate_waits_for_the_value",
               "cluster.member_died",
               "cluster.member_settled",
               "cluster.object_lost",
               "cluster.object_pulled",
               "cluster.remote_attempt_repeated",
               "cluster.result_kept_at_the_executor",
               "cluster.spilled_by_load",
               "cluster.stale_done_answered",
               "cluster.submit_came_twice",
               "cluster.submit_repeated",
               "sim.node_crashed",
               "sim.node_fenced",
               "sim.partition",
               "sim.message_lost",
               "sim.message_doubled"});
}

TEST(Simulation, tasks_are_cancelled_while_their_arguments_are_fetched) {
  for (uint64_t seed = 4000; seed < 4060; ++seed) {
    SimConfig config = SimConfig::of_seed(seed);
    config.nodes = 3;
    run(seed, config);
  }
  expect_hits({"sim.cancelled_while_fetching", "cluster.fetch_given_up"});
}

TEST(Simulation, rare_branches_of_actors_are_reached) {
  run_seeds(1000, 1140);
  expect_hits({"actors.call_behind_one_that_waits", "actors.call_tried_again",
               "actors.constructor_crashed_and_runs_again", "actors.killed_after_the_grace",
               "actors.last_handle_gone", "actors.restarted",
               "actors.worker_died_before_the_constructor", "names.claim_waits", "names.find_waits",
               "names.reservation_passes_on", "sim.actor_found_by_name", "sim.actor_lent_its_cpu",
               "sim.several_calls_at_once", "sim.killed_with_several_calls",
               "sim.call_of_an_actor_elsewhere", "sim.detached_actor_outlived_its_driver",
               "sim.stop_ignored"});
}

TEST(Simulation, rare_branches_of_streams_and_cancelling_are_reached) {
  run_seeds(2000, 2060);
  expect_hits({"sim.generator_told_to_end", "sim.item_refused", "sim.producer_waits",
               "sim.stream_closed_early", "sim.stream_closed_while_it_waits",
               "streams.closed_before_it_began", "streams.consumer_gone", "streams.item_came_again",
               "streams.producer_told_to_end", "streams.producer_waits"});
  expect_hits({"cancel.before_it_began", "cancel.ended", "cancel.it_runs", "cancel.kill",
               "cancel.timeout", "sim.cancel_came_late", "sim.cancel_reached_the_task",
               "workers.max_calls"});
}

// What cannot be built holds up nobody else, and what can be is built in the end.
TEST(Simulation, an_environment_that_cannot_be_built) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SimConfig config = SimConfig::of_seed(seed);
    config.nodes = 1;
    config.kill_node_every = 0;
    config.partitions = false;
    config.environments = true;
    run(seed, config);
  }
  expect_hits({"environments.tasks_failed", "environments.late_answer",
               "environments.took_too_long", "environments.tried_again",
               "sim.task_in_an_environment"});
}

// Groups are removed under what runs and waits in them, by programs, by time, with their drivers.
TEST(Simulation, placement_groups_that_are_removed_in_use) {
  for (uint64_t seed = 3000; seed < 3120; ++seed) {
    SimConfig config = SimConfig::of_seed(seed);
    config.groups = true;
    run(seed, config);
  }
  expect_hits({"groups.actor_ended_with_it", "groups.infeasible", "groups.name_is_taken",
               "groups.removed_in_use", "groups.sent_to_one_that_is_gone",
               "groups.sent_to_one_that_is_too_small", "groups.task_ended_with_it",
               "sim.child_captured_in_a_group", "sim.detached_group_outlived_its_driver",
               "sim.driver_ended_with_groups", "sim.group_of_a_dead_process_removed",
               "sim.group_removed_under_a_generator", "sim.group_removed_under_a_running_task",
               "sim.group_removed_under_queued_tasks",
               "sim.group_removed_under_tasks_without_arguments", "sim.group_was_waited_for",
               "sim.task_in_a_group", "sim.waiting_group_removed"});
}

TEST(Simulation, jobs_get_cpu_time_by_their_weights) {
  for (uint64_t seed = 1; seed <= 8; ++seed) EXPECT_GE(run(seed, SimConfig::rivals(seed)), 500u);
}

TEST(Oracle, jobs_that_want_more_are_compared_since_both_are_there) {
  ShareOracle shares(10 * kMillisecond);
  JobId one{1}, two{2};
  shares.wants(one, 1, 100);
  shares.began(one);
  EXPECT_EQ(shares.ended(one, kSecond), "") << "it was alone";
  shares.wants(two, 2, 100);
  shares.began(one);
  EXPECT_EQ(shares.ended(one, 8 * kMillisecond), "");
  shares.began(two);
  EXPECT_EQ(shares.ended(two, 20 * kMillisecond), "") << "twice as much is its share";
  shares.began(two);
  EXPECT_NE(shares.ended(two, 30 * kMillisecond), "");
  for (int i = 0; i < 98; ++i) shares.began(two);
  EXPECT_EQ(shares.ended(two, 30 * kMillisecond), "") << "it wants no more";
}

TEST(Oracle, wrong_stale_and_unwritten_values_are_failures) {
  Oracle oracle;
  ObjectId a{TaskId::root_of(JobId{1}), ObjectId::kPutBit | 1};
  ObjectId b{TaskId::root_of(JobId{1}), ObjectId::kPutBit | 2};
  oracle.put(a, 10, 0);
  oracle.put(b, 20, 0);
  uint64_t right = oracle.write({a, 0, 10, 8, false, {}});
  uint64_t wrong = oracle.write({a, 0, 11, 8, false, {}});
  oracle.check_value(a, right);
  EXPECT_TRUE(oracle.failures().empty());
  oracle.check_value(a, wrong);
  oracle.check_value(b, right);
  oracle.check_value(a, 999);
  EXPECT_EQ(oracle.failures().size(), 3u);
}

TEST(Oracle, failure_of_a_task_needs_a_reason) {
  Oracle oracle;
  TaskId task = TaskId::make(JobId{1}, {}, 0, 1), next = TaskId::make(JobId{1}, {}, 0, 2);
  TaskFacts facts;
  facts.max_retries = 1;
  oracle.submitted(task, facts);
  facts.arguments = {{task, 0}};
  oracle.submitted(next, facts);
  oracle.started(task, 0, 0);
  oracle.crashed(task, 0);
  EXPECT_FALSE(oracle.may_fail({task, 0})) << "one retry is left";
  oracle.started(task, 1, 0);
  oracle.crashed(task, 1);
  EXPECT_TRUE(oracle.may_fail({task, 0}));
  EXPECT_TRUE(oracle.may_fail({next, 0})) << "its argument may fail";
  EXPECT_TRUE(oracle.failures().empty());
  oracle.started(task, 2, 0);
  EXPECT_EQ(oracle.failures().size(), 1u) << "a third attempt is too many";
}

TEST(Oracle, a_cancelled_task_begins_no_further_attempt) {
  Oracle oracle;
  TaskId task = TaskId::make(JobId{1}, {}, 0, 1), child = TaskId::make(JobId{1}, {}, 0, 2);
  TaskFacts facts;
  facts.max_retries = 3;
  oracle.submitted(task, facts);
  facts.parent = task;
  oracle.submitted(child, facts);
  oracle.started(task, 0, 0);
  EXPECT_FALSE(oracle.may_fail({child, 0}));
  oracle.cancelled(task, true);
  oracle.cancel_heard(task, 0, false);
  EXPECT_TRUE(oracle.may_fail({task, 0}));
  EXPECT_TRUE(oracle.may_fail({child, 0})) << "with what submitted it";
  oracle.crashed(task, 0);
  EXPECT_TRUE(oracle.failures().empty());
  oracle.started(task, 1, 0);
  EXPECT_EQ(oracle.failures().size(), 1u);
}

TEST(Oracle, the_end_of_a_task_in_a_group_needs_the_groups_removal) {
  Oracle oracle;
  TaskId group = TaskId::make(JobId{1}, {}, 0, 1), task = TaskId::make(JobId{1}, {}, 0, 2);
  GroupFacts reserved;
  reserved.bundles = {{10'000, 0}, {5'000, 0}};
  oracle.group_made(group, reserved);
  EXPECT_TRUE(oracle.group_holds(group, -1, 10'000, 0));
  EXPECT_FALSE(oracle.group_holds(group, 1, 10'000, 0));
  EXPECT_FALSE(oracle.group_holds(group, 2, 5'000, 0)) << "it has two bundles";
  EXPECT_FALSE(oracle.group_holds(group, -1, 10'000, 10'000)) << "and no GPU";
  TaskFacts facts;
  facts.group = group;
  facts.max_retries = 3;
  oracle.submitted(task, facts);
  EXPECT_FALSE(oracle.may_fail({task, 0}));
  oracle.started(task, 0, 0);
  oracle.killed_for_cancelling(task);
  EXPECT_EQ(oracle.failures().size(), 1u) << "nobody asked for it";
  oracle.group(group)->removed = true;
  EXPECT_TRUE(oracle.may_fail({task, 0}));
  EXPECT_TRUE(oracle.may_fail({group, 0})) << "whoever waits for it is told";
  oracle.killed_for_cancelling(task);
  EXPECT_EQ(oracle.failures().size(), 1u);
}

TEST(Oracle, a_group_that_is_too_large_is_never_ready) {
  Oracle oracle;
  TaskId group = TaskId::make(JobId{1}, {}, 0, 1);
  GroupFacts facts;
  facts.feasible = false;
  oracle.group_made(group, facts);
  oracle.put({group, 0}, 5, 0);
  oracle.check_value({group, 0}, oracle.write({{group, 0}, 0, 5, 8, false, {}}));
  EXPECT_EQ(oracle.failures().size(), 1u);
}

TEST(Oracle, one_attempt_starts_once) {
  Oracle oracle;
  TaskId task = TaskId::make(JobId{1}, {}, 0, 1);
  oracle.submitted(task, {});
  oracle.started(task, 0, 0);
  oracle.published_end(task, 0, false, false);
  oracle.started(task, 0, 0);
  EXPECT_FALSE(oracle.failures().empty());
}

TEST(Oracle, calls_of_one_caller_start_in_order) {
  Oracle oracle;
  ObjectId actor{TaskId::make(JobId{1}, {}, 0, 1), 0};
  oracle.submitted(actor.task, {});
  oracle.actor_made(actor, {});
  TaskId calls[4];
  for (uint64_t i = 0; i < 4; ++i) {
    calls[i] = TaskId::make(JobId{1}, {}, 0, 2 + i);
    TaskFacts facts;
    facts.actor = actor;
    facts.caller = i == 3 ? 8 : 7;
    facts.sequence = i;
    oracle.submitted(calls[i], facts);
  }
  oracle.started(calls[1], 0, 0);
  oracle.started(calls[2], 0, 0);
  oracle.started(calls[3], 0, 0);
  EXPECT_TRUE(oracle.failures().empty()) << "the first may have failed, others do not matter";
  oracle.started(calls[0], 0, 0);
  EXPECT_EQ(oracle.failures().size(), 1u);
}

TEST(Oracle, the_death_of_an_actor_needs_a_reason) {
  Oracle oracle;
  ObjectId actor{TaskId::make(JobId{1}, {}, 0, 1), 0};
  oracle.submitted(actor.task, {});
  ActorFacts facts;
  facts.max_restarts = 1;
  oracle.actor_made(actor, facts);
  TaskFacts call;
  call.actor = actor;
  TaskId task = TaskId::make(JobId{1}, {}, 0, 2);
  oracle.submitted(task, call);
  oracle.actor_process_died(actor);
  EXPECT_FALSE(oracle.may_fail({task, 0})) << "a restart is left";
  oracle.actor_process_died(actor);
  EXPECT_TRUE(oracle.may_fail({task, 0}));
}

}  // namespace
}  // namespace sundog::sim
