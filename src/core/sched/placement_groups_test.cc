// PlacementGroups against a naive model, and what NodeCore makes of groups.
#include "core/sched/placement_groups.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "core/node_for_test.h"

namespace sundog::core {
namespace {

using model::kCpu;
using model::kGpu;
using model::kResourceUnit;

model::ResourceSet amounts(int64_t cpus, int64_t gpus) {
  model::ResourceSet set;
  set.set(kCpu, cpus * kResourceUnit);
  set.set(kGpu, gpus * kResourceUnit);
  return set;
}

// What is free is what there is less what groups reserved and users hold: counted anew each time.
TEST(PlacementGroupsRandom, accounts_agree_with_a_naive_model) {
  struct Use {
    Payer payer;
    model::ResourceSet held;
    std::vector<GpuShare> gpus;
  };
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    const model::ResourceSet total = amounts(8, 4);
    NodeAccount node{total, total, GpuIds(total.get(kGpu))};
    PlacementGroups groups(&node);
    std::vector<uint32_t> live;
    std::vector<Use> uses;
    uint64_t made = 0;
    for (int step = 0; step < 400; ++step) {
      const uint64_t what = random.below(5);
      if (what == 0) {
        PlacementGroup g;
        g.id = TaskId::make(JobId{1}, TaskId{}, 0, ++made);
        g.strategy = static_cast<model::GroupStrategy>(1 + random.below(4));
        for (uint64_t b = 1 + random.below(3); b > 0; --b)
          g.bundles.emplace_back().total =
              amounts(static_cast<int64_t>(random.below(4)), static_cast<int64_t>(random.below(2)));
        live.push_back(groups.create(std::move(g)));
      } else if (what == 1 && !live.empty()) {
        const size_t at = random.below(live.size());
        groups.remove(live[at]);
        live.erase(live.begin() + static_cast<ptrdiff_t>(at));
      } else if (what == 2 && !live.empty()) {
        const uint32_t group = live[random.below(live.size())];
        const auto bundle = static_cast<int32_t>(random.below(3)) - 1;
        const model::ResourceSet need =
            amounts(static_cast<int64_t>(random.below(3)), static_cast<int64_t>(random.below(2)));
        Payer payer;
        if (groups.choose(group, bundle, need, &payer)) {
          ASSERT_TRUE(groups.could_hold(group, bundle, need));
          Use use{payer, need, {}};
          if (need.get(kGpu) > 0) use.gpus = groups.gpus(payer).take(need.get(kGpu)).value();
          groups.available(payer).subtract(need);
          groups.hold(group);
          uses.push_back(std::move(use));
        }
      } else if (what == 3 && !uses.empty()) {
        const size_t at = random.below(uses.size());
        groups.gpus(uses[at].payer).give_back(uses[at].gpus);
        groups.available(uses[at].payer).add(uses[at].held);
        groups.let_go(uses[at].payer.group);
        uses.erase(uses.begin() + static_cast<ptrdiff_t>(at));
      } else {
        std::vector<uint32_t> ready;
        groups.reserve(&ready);
        groups.take_over();
      }
      model::ResourceSet expected = total;
      std::vector<std::vector<model::ResourceSet>> of_bundles(groups.end());
      for (uint32_t g : live) {
        ASSERT_TRUE(groups[g].live);
        if (groups[g].state != GroupState::kReady) continue;
        for (const Bundle& b : groups[g].bundles) {
          expected.subtract(b.total);
          of_bundles[g].push_back(b.total);
        }
      }
      for (const Use& use : uses) {
        const bool removed = std::find(live.begin(), live.end(), use.payer.group) == live.end();
        (removed ? expected : of_bundles[use.payer.group][use.payer.bundle]).subtract(use.held);
      }
      ASSERT_EQ(node.available, expected) << "seed " << seed << ", step " << step;
      ASSERT_EQ(node.gpus.free(), expected.get(kGpu)) << "seed " << seed << ", step " << step;
      for (uint32_t g : live)
        for (size_t b = 0; b < of_bundles[g].size(); ++b)
          ASSERT_EQ(groups[g].bundles[b].available, of_bundles[g][b]) << "seed " << seed;
      ASSERT_EQ(groups.validate(), "") << "seed " << seed << ", step " << step;
    }
  }
}

// ---------------------------------------------------------------- in a node

TaskId make_group(Node* n, std::vector<int64_t> cpus, std::string_view name = {},
                  model::GroupStrategy strategy = model::GroupStrategy::kPack,
                  bool detached = false) {
  static uint64_t made = 1 << 20;
  std::vector<uint32_t> bundles(cpus.size(), 1);
  std::vector<model::NamedAmount> resources;
  for (int64_t c : cpus) resources.push_back({"CPU", c * kResourceUnit});
  model::CreatePlacementGroup m;
  m.group = TaskId::make(kJob, TaskId::root_of(kJob), 0, ++made);
  m.parent = TaskId::root_of(kJob);
  m.strategy = strategy;
  m.detached = detached;
  m.name = name;
  m.bundles = bundles;
  m.resources = resources;
  m.ready.format = model::Format::kText;
  m.ready.bytes = as_bytes(std::string_view("ready"));
  n->say(Node::driver, m);
  return m.group;
}
void remove_group(Node* n, const TaskId& group) {
  n->say(Node::driver, model::RemovePlacementGroup{group});
}
void define_in(Node* n, uint32_t number, const TaskId& group, int64_t cpu = 1, int32_t bundle = -1,
               model::CallKind kind = model::CallKind::kTask,
               model::CaptureChildren capture = model::CaptureChildren::kAsParent) {
  model::NamedAmount needs[] = {{"CPU", cpu * kResourceUnit}};
  model::DefineTemplate t;
  t.template_id = number;
  t.name = "f";
  t.resources = needs;
  t.kind = kind;
  t.placement_group = group;
  t.bundle = bundle;
  t.capture_children = capture;
  n->say(Node::driver, t);
}
int64_t free_cpus(const Node& n) {
  return n.core().scheduler().available().get(kCpu) / kResourceUnit;
}

TEST(NodeGroups, a_group_is_ready_when_its_bundles_fit_and_gives_them_back_once) {
  Node n(2);
  TaskId group = make_group(&n, {1, 1});
  EXPECT_EQ(n.value_of({group, 0}), "ready");
  EXPECT_EQ(free_cpus(n), 0);
  TaskId next = make_group(&n, {1});
  EXPECT_EQ(n.value_of({next, 0}), "(none)");
  remove_group(&n, group);
  EXPECT_EQ(n.value_of({next, 0}), "ready");
  remove_group(&n, group);
  remove_group(&n, next);
  EXPECT_EQ(free_cpus(n), 2);
  EXPECT_EQ(n.core().scheduler().groups().live(), 0u);
}

TEST(NodeGroups, its_maker_hears_of_its_removal_while_it_refers_to_it) {
  Node n(2);
  TaskId group = make_group(&n, {1}), dropped = make_group(&n, {1}), waits = make_group(&n, {1});
  const auto ready = [&](const TaskId& id) {
    return n.ask(model::Question::kGroups, "ready " + id.hex());
  };
  EXPECT_EQ(ready(group), "true");
  EXPECT_EQ(ready(waits), "false");
  n.drop({dropped, 0});
  remove_group(&n, waits);  // never ready: its object says so
  remove_group(&n, dropped);
  EXPECT_TRUE(n.groups_removed.empty());
  remove_group(&n, group);
  remove_group(&n, group);
  EXPECT_EQ(n.groups_removed, (std::vector<std::pair<ClientId, TaskId>>{{Node::driver, group}}));
  EXPECT_EQ(ready(group), "false");
}

TEST(NodeGroups, calls_run_in_their_bundle_and_nothing_else_does) {
  Node n(2);
  n.define(0);
  TaskId group = make_group(&n, {1, 1});
  define_in(&n, 1, group, 1, 0);
  TaskId outside = n.submit(0), first = n.submit(1), second = n.submit(1);
  n.start_workers();
  EXPECT_EQ(n.run_order(), (std::vector<TaskId>{first})) << "bundle 0 has room for one";
  n.finish(n.run_of(first));
  EXPECT_EQ(n.run_order().back(), second);
  remove_group(&n, group);
  ASSERT_EQ(n.revokes.size(), 1u);
  n.event(ClaimRevoked{n.revokes[0].worker, n.revokes[0].slot, n.revokes[0].generation, false});
  n.start_workers();
  EXPECT_EQ(n.run_order().back(), outside) << "bundle 1 went back";
}

TEST(NodeGroups, removal_ends_what_runs_and_what_waits) {
  Node n(1);
  TaskId group = make_group(&n, {1}, "mine");
  define_in(&n, 1, group);
  TaskId runs = n.submit(1), waits = n.submit(1);
  n.start_workers();
  remove_group(&n, group);
  EXPECT_TRUE(n.value_of(result_of(waits)).ends_with("was removed before it began"));
  ASSERT_EQ(n.revokes.size(), 1u);
  n.event(ClaimRevoked{n.revokes[0].worker, n.revokes[0].slot, n.revokes[0].generation, false});
  ASSERT_EQ(n.kills.size(), 1u);
  EXPECT_EQ(free_cpus(n), 0) << "its worker has it still";
  n.die(n.kills[0], {runs});
  EXPECT_TRUE(n.value_of(result_of(runs)).ends_with("was removed while it ran"));
  EXPECT_EQ(free_cpus(n), 1);
  TaskId late = n.submit(1);
  EXPECT_NE(n.value_of(result_of(late)).find("was removed before it was submitted"),
            std::string::npos);
}

TEST(NodeGroups, removal_ends_actors) {
  Node n(1);
  TaskId group = make_group(&n, {1});
  define_in(&n, 1, group, 1, -1, model::CallKind::kCreateActor);
  TaskId actor = n.submit(1);
  n.start_workers();
  n.finish(n.run_of(actor));
  remove_group(&n, group);
  ASSERT_EQ(n.kills.size(), 1u);
  TaskId call = n.call({actor, 0});
  EXPECT_NE(n.value_of(result_of(call)).find("was removed"), std::string::npos);
  n.die(n.kills[0]);
  EXPECT_EQ(free_cpus(n), 1);
}

TEST(NodeGroups, children_are_captured_where_that_is_asked) {
  Node n(2);
  n.define(0);
  TaskId group = make_group(&n, {2});
  define_in(&n, 1, group, 1, -1, model::CallKind::kTask, model::CaptureChildren::kYes);
  TaskId parent = n.submit(1);
  n.start_workers();
  TaskId child = n.submit(0, {}, Node::driver, parent);
  n.start_workers();
  EXPECT_EQ(n.run_order().back(), child) << "the node outside of the group has no CPU";
}

TEST(NodeGroups, a_child_of_what_a_removed_group_had_does_not_run_outside) {
  Node n(2);
  n.define(0);
  TaskId group = make_group(&n, {1});
  define_in(&n, 1, group, 1, -1, model::CallKind::kTask, model::CaptureChildren::kYes);
  TaskId parent = n.submit(1);
  n.start_workers();
  remove_group(&n, group);
  TaskId child = n.submit(0, {}, Node::driver, parent);
  EXPECT_NE(n.value_of(result_of(child)).find("was removed"), std::string::npos);
}

TEST(NodeGroups, what_can_never_be_is_told_at_once) {
  Node n(2);
  make_group(&n, {4});
  ASSERT_EQ(n.notices.size(), 1u);
  EXPECT_NE(n.notices[0].find("its bundles need 4 CPU in all, this session has 2"),
            std::string::npos);
  make_group(&n, {1, 1}, {}, model::GroupStrategy::kStrictSpread);
  EXPECT_NE(n.notices.back().find("STRICT_SPREAD"), std::string::npos);
  TaskId small = make_group(&n, {1});
  define_in(&n, 1, small, 2);
  EXPECT_NE(n.value_of(result_of(n.submit(1))).find("no bundle"), std::string::npos);
}

TEST(NodeGroups, groups_end_with_their_job_unless_detached) {
  Node n(2);
  make_group(&n, {1});
  make_group(&n, {1}, "kept", model::GroupStrategy::kPack, true);
  n.event(ClientGone{Node::driver, {}});
  EXPECT_EQ(n.core().scheduler().groups().live(), 1u);
  EXPECT_EQ(free_cpus(n), 1);
}

TEST(NodeGroups, a_job_is_settled_once_when_its_last_detached_actor_ends_with_a_group) {
  Node n(2);
  TaskId group = make_group(&n, {1});
  model::NamedAmount needs[] = {{"CPU", kResourceUnit}};
  model::DefineTemplate t;
  t.template_id = 1;
  t.name = "Counter";
  t.resources = needs;
  t.kind = model::CallKind::kCreateActor;
  t.detached = true;
  t.placement_group = group;
  n.say(Node::driver, t);
  TaskId actor = n.submit(1);
  n.start_workers();
  n.finish(n.run_of(actor));
  n.event(ClientGone{Node::driver, {}});
  EXPECT_EQ(n.settled.size(), 1u);
  EXPECT_EQ(n.core().scheduler().groups().live(), 0u);
}

TEST(NodeGroups, a_name_is_one_groups) {
  Node n(2);
  make_group(&n, {1}, "mine");
  TaskId second = make_group(&n, {1}, "mine");
  EXPECT_NE(n.value_of({second, 0}).find("its name is another one's"), std::string::npos);
  EXPECT_EQ(free_cpus(n), 1);
}

}  // namespace
}  // namespace sundog::core
