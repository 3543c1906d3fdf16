// Actors that run several calls at once, through a NodeCore's events and effects.
//
// The naive model: of each group, the calls that have not ended in the order of submission. With
// the process are always the first of them, as many as may run and CallGroup::kAhead more.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/probe.h"
#include "core/node_for_test.h"

namespace sundog::core {
namespace {

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Concurrency, the_process_gets_what_may_run_at_once_and_some_ahead) {
  Node n;
  ObjectId actor = n.living_actor({.max_concurrency = 100});
  EXPECT_EQ(n.run_of(actor.task).concurrency, 100u);
  std::vector<TaskId> calls;
  for (int i = 0; i < 200; ++i) calls.push_back(n.call(actor));
  ASSERT_EQ(n.runs.size(), 1u + 100u + CallGroup::kAhead);
  EXPECT_EQ(n.runs.back().concurrency, 100u);
  n.finish(n.run_of(calls[70]), "out of order");
  EXPECT_EQ(n.value_of(result_of(calls[70])), "out of order");
  EXPECT_EQ(n.runs.back().task, calls[100 + CallGroup::kAhead]);
}

TEST(Concurrency, groups_are_counted_apart_and_an_unknown_one_is_told) {
  Node n;
  ObjectId actor = n.living_actor({.groups = {{"io", 2}, {"compute", 4}}});
  EXPECT_EQ(n.run_of(actor.task).group, 2u) << "as many as have names";
  for (int i = 0; i < 100; ++i) n.call(actor, 0, {}, n.driver, "io");
  EXPECT_EQ(n.runs.size(), 1u + 2 + CallGroup::kAhead);
  TaskId other = n.call(actor), compute = n.call(actor, 0, {}, n.driver, "compute");
  EXPECT_EQ(n.run_of(other).group, 0u);
  EXPECT_EQ(n.run_of(compute).group, 2u);
  EXPECT_EQ(n.run_of(compute).concurrency, 4u);
  TaskId wrong = n.call(actor, 0, {}, n.driver, "net");
  EXPECT_TRUE(has(n.value_of(result_of(wrong)), "no concurrency group 'net'; it has 'io', 'com"))
      << n.value_of(result_of(wrong));
}

TEST(Concurrency, a_call_overtakes_one_whose_argument_is_missing_if_it_may) {
  for (bool may : {false, true}) {
    Node n;
    n.define(0);
    TaskId slow = n.submit(0);
    ObjectId actor = n.living_actor({.out_of_order = may});
    ObjectId missing = result_of(slow);
    TaskId first = n.call(actor, 0, std::span(&missing, 1)), second = n.call(actor);
    EXPECT_EQ(n.runs.back().task == second, may);
    n.finish(n.run_of(slow));
    EXPECT_EQ(n.runs.back().task, may ? first : second);
  }
}

TEST(Concurrency, who_asks_learns_how_many_calls_of_its_own_have_not_ended) {
  Node n;
  ObjectId actor = n.living_actor({.max_concurrency = 2});
  std::vector<TaskId> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(n.call(actor));
  EXPECT_EQ(n.ask(model::Question::kPendingCalls, actor.hex()), "50");
  n.finish(n.run_of(calls[1]));
  EXPECT_EQ(n.ask(model::Question::kPendingCalls, actor.hex()), "49");
}

class RandomActor {
 public:
  explicit RandomActor(uint64_t seed) : random_(seed) {
    node_.living_actor({.max_restarts = -1, .max_concurrency = kLimits[0], .groups = groups_});
    actor_ = {node_.runs[0].task, 0};
  }
  void step() {
    uint64_t choice = random_.below(100);
    if (choice < 55) {
      size_t group = random_.below(3);
      waiting_[group].push_back(node_.call(actor_, -1, {}, node_.driver, kNames[group]));
    } else if (choice < 98) {
      finish_one();
    } else {
      die();
    }
    compare();
  }
  void finish_all() {
    while (!offered().empty()) finish_one();
    for (const auto& calls : waiting_) EXPECT_TRUE(calls.empty());
    EXPECT_EQ(node_.ask(model::Question::kPendingCalls, actor_.hex()), "0");
  }

 private:
  static constexpr uint32_t kLimits[] = {1, 3, 20};
  static constexpr const char* kNames[] = {"", "few", "many"};

  // With the process and not ended, in the order in which they were offered.
  std::vector<Node::Run> offered() {
    std::vector<Node::Run> runs;
    for (const Node::Run& r : node_.runs)
      if (r.kind == model::CallKind::kMethod && r.worker == node_.run_of(actor_.task).worker &&
          !ended_.contains(r.task))
        runs.push_back(r);
    return runs;
  }
  void finish_one() {
    auto runs = offered();
    if (runs.empty()) return;
    const Node::Run run = runs[random_.below(runs.size())];
    ended_.insert(run.task);
    std::erase(waiting_[run.group], run.task);
    node_.finish(run);
    EXPECT_EQ(node_.value_of(result_of(run.task)), "ok");
  }
  // Some of what it had was begun, in each group no more than may be.
  void die() {
    std::vector<TaskId> claimed;
    uint32_t begun[3] = {};
    for (const Node::Run& r : offered())
      if (begun[r.group] < kLimits[r.group] && random_.one_in(2)) {
        ++begun[r.group];
        claimed.push_back(r.task);
      }
    node_.die(node_.run_of(actor_.task).worker, claimed);
    node_.start_workers();
    node_.finish(node_.run_of(actor_.task));
  }
  void compare() {
    std::vector<TaskId> of_group[3];
    for (const Node::Run& r : offered()) {
      of_group[r.group].push_back(r.task);
      ASSERT_EQ(r.concurrency, kLimits[r.group]);
    }
    for (size_t g = 0; g < 3; ++g) {
      size_t window = std::min<size_t>(waiting_[g].size(), kLimits[g] + CallGroup::kAhead);
      ASSERT_EQ(of_group[g],
                std::vector<TaskId>(waiting_[g].begin(), waiting_[g].begin() + window));
    }
    ASSERT_EQ(node_.core().validate(), "");
  }

  Random random_;
  Node node_;
  std::vector<model::NamedAmount> groups_{{"few", kLimits[1]}, {"many", kLimits[2]}};
  ObjectId actor_;
  std::vector<TaskId> waiting_[3];
  std::set<TaskId> ended_;
};

TEST(Concurrency, random_calls_of_groups_start_as_in_a_naive_model) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    RandomActor actor(seed);
    for (int i = 0; i < 300 && !testing::Test::HasFatalFailure(); ++i) actor.step();
    actor.finish_all();
  }
  EXPECT_GT(probe_hits("actors.call_tried_again"), 0u);
}

}  // namespace
}  // namespace sundog::core
