#include "core/cluster/controller_core.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {
namespace {

using model::Amount;
using model::Member;

constexpr DurationNs kLease = 100;

NodeId node(uint8_t n) {
  NodeId id;
  id.bytes[0] = n;
  return id;
}

struct Host {
  ControllerCore core{kLease};
  Random random{1};
  TimeNs now = 0;

  std::vector<ToNode> say(const NodeId& from, uint64_t epoch, model::PeerMessage message) {
    ControllerEffects effects;
    core.step(now, &random, {from, epoch, &message}, &effects);
    core.validate();
    return effects.messages;
  }
  Member join(uint8_t n, int64_t cpus, uint64_t boot = 1) {
    auto out = say(node(n), 0, model::Join{boot, {{"CPU", cpus * 10'000}}});
    return std::get<model::Welcome>(out.back().message).self;
  }
  std::vector<ToNode> beat(const Member& m, uint64_t sequence, int64_t free_cpus, int64_t cpus,
                           uint64_t acknowledged, uint32_t queued = 0) {
    return say(m.node, m.epoch,
               model::Heartbeat{sequence,
                                acknowledged,
                                queued,
                                {{"CPU", free_cpus * 10'000}},
                                {{"CPU", cpus * 10'000}}});
  }
  model::PlaceReply place(const Member& m, int64_t cpus,
                          std::vector<model::ArgumentLocation> args = {},
                          std::vector<Member> refused = {}) {
    auto out = say(
        m.node, m.epoch,
        model::PlaceRequest{1, {}, {{"CPU", cpus * 10'000}}, std::move(args), std::move(refused)});
    return std::get<model::PlaceReply>(out.back().message);
  }
};

TEST(ControllerCore, places_where_room_is_and_then_where_the_arguments_lie) {
  Host host;
  Member a = host.join(1, 2), b = host.join(2, 4), c = host.join(3, 4);
  EXPECT_EQ(host.place(a, 3, {{c, 500}}).node, c);
  EXPECT_EQ(host.place(a, 3, {{c, 500}}).node, b) << "c is full until it reports";
  EXPECT_TRUE(host.place(a, 3).node.is_nil());
  host.beat(c, 1, 4, 4, 0);
  EXPECT_EQ(host.place(a, 3, {}, {c}).node, Member{}) << "c refused";
  EXPECT_EQ(host.place(a, 3).node, c);
}

TEST(ControllerCore, infeasible_is_said_at_once_with_the_reason) {
  Host host;
  Member a = host.join(1, 2);
  auto reply = host.place(a, 5);
  EXPECT_TRUE(reply.infeasible);
  EXPECT_NE(reply.reason.find("5 CPU"), std::string::npos);
}

TEST(ControllerCore, silent_node_is_declared_dead_to_all_and_fenced) {
  Host host;
  Member a = host.join(1, 2), b = host.join(2, 2);
  host.now = 60;
  host.beat(a, 1, 2, 2, 2);
  host.now = 110;
  auto out = host.beat(a, 2, 2, 2, 2);
  auto dead = std::find_if(out.begin(), out.end(), [](const ToNode& m) {
    return std::holds_alternative<model::NodeDead>(m.message);
  });
  ASSERT_NE(dead, out.end());
  EXPECT_EQ(std::get<model::NodeDead>(dead->message).member, b);
  out = host.beat(b, 5, 2, 2, 2);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<model::Fenced>(out[0].message));
  EXPECT_NE(host.join(2, 2, 2), b);
}

TEST(ControllerCore, old_heartbeat_does_not_bring_an_old_load_back) {
  Host host;
  Member a = host.join(1, 4);
  host.beat(a, 2, 0, 4, 0);
  host.beat(a, 1, 4, 4, 0);
  EXPECT_TRUE(host.place(a, 1).node.is_nil());
  EXPECT_GT(probe_hits("controller.old_heartbeat_ignored"), 0u);
}

// The naive model sorts all candidates by all criteria.
TEST(GlobalScheduler, random_placements_agree_with_a_naive_model) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    GlobalScheduler scheduler;
    std::map<Member, NodeReport> naive;
    for (int i = 0; i < 300; ++i) {
      Member m{node(static_cast<uint8_t>(1 + random.below(5))), 1};
      if (random.one_in(8)) {
        scheduler.remove(m);
        naive.erase(m);
      } else if (random.one_in(3)) {
        NodeReport report;
        for (model::ResourceId r : {model::kCpu, model::kGpu}) {
          auto total = static_cast<int64_t>(random.below(5));
          report.total.set(r, total);
          report.available.set(
              r, static_cast<int64_t>(random.below(static_cast<uint64_t>(total) + 1)));
        }
        report.queued_tasks = static_cast<uint32_t>(random.below(3));
        scheduler.report(m, report);
        naive[m] = report;
      } else {
        GlobalScheduler::Request request;
        request.resources.set(model::kCpu, static_cast<int64_t>(random.below(5)));
        request.resources.set(model::kGpu, static_cast<int64_t>(random.below(3)));
        std::vector<model::ArgumentLocation> arguments;
        std::vector<Member> excluded;
        for (uint64_t k = random.below(4); k > 0; --k)
          arguments.push_back(
              {{node(static_cast<uint8_t>(1 + random.below(5))), 1}, random.below(3)});
        if (random.one_in(3))
          excluded.push_back({node(static_cast<uint8_t>(1 + random.below(5))), 1});
        request.arguments = arguments;
        request.excluded = excluded;

        bool feasible = false;
        std::vector<std::tuple<int64_t, uint32_t, Member>> fits;
        for (auto& [member, report] : naive) {
          feasible = feasible || report.total.covers(request.resources);
          if (!report.available.covers(request.resources)) continue;
          if (std::count(excluded.begin(), excluded.end(), member) > 0) continue;
          int64_t local = 0;
          for (auto& a : arguments) local += a.member == member ? static_cast<int64_t>(a.bytes) : 0;
          fits.push_back({-local, report.queued_tasks, member});
        }
        std::sort(fits.begin(), fits.end());
        Member got;
        auto outcome = scheduler.place(request, &got);
        if (fits.empty()) {
          ASSERT_EQ(outcome, feasible ? GlobalScheduler::Outcome::kNotNow
                                      : GlobalScheduler::Outcome::kInfeasible);
        } else {
          ASSERT_EQ(outcome, GlobalScheduler::Outcome::kPlaced);
          ASSERT_EQ(got, std::get<2>(fits[0]));
          naive[got].available.subtract(request.resources);
        }
      }
      scheduler.validate();
    }
  }
  EXPECT_GT(probe_hits("global_scheduler.refused_node_skipped"), 0u);
  EXPECT_GT(probe_hits("global_scheduler.placed_by_locality"), 0u);
}

}  // namespace
}  // namespace sundog::core
