#include "core/cluster/membership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::core {
namespace {

using model::Member;
using model::View;

NodeId node(uint8_t n) {
  NodeId id;
  id.bytes[0] = n;
  return id;
}

TEST(Membership, repeated_join_is_the_same_life_and_a_new_boot_another) {
  Membership membership(10);
  std::vector<Member> died;
  Member first = membership.join(0, node(1), 7, &died);
  EXPECT_EQ(membership.join(5, node(1), 7, &died), first);
  EXPECT_TRUE(died.empty());
  Member second = membership.join(6, node(1), 8, &died);
  ASSERT_EQ(died.size(), 1u);
  EXPECT_EQ(died[0], first);
  EXPECT_GT(second.epoch, first.epoch);
  EXPECT_FALSE(membership.renew(7, first, 0));
  EXPECT_TRUE(membership.renew(7, second, 0));
}

TEST(Membership, death_is_settled_only_when_every_live_member_acknowledged) {
  Membership membership(10);
  std::vector<Member> died;
  Member a = membership.join(0, node(1), 1, &died);
  Member b = membership.join(0, node(2), 1, &died);
  Member c = membership.join(0, node(3), 1, &died);
  MemberTable table;
  table.welcome(a, membership.view());
  ASSERT_TRUE(membership.renew(8, a, 3));
  ASSERT_TRUE(membership.renew(8, b, 3));
  membership.expire(10, &died);
  ASSERT_EQ(died, std::vector<Member>{c});
  bool self_dead = false;
  auto change = table.apply(membership.view(), &self_dead);
  EXPECT_EQ(change.died, std::vector<Member>{c});
  EXPECT_TRUE(change.settled.empty());
  EXPECT_FALSE(table.accepts(c));
  membership.renew(11, a, membership.epoch());
  change = table.apply(membership.view(), &self_dead);
  EXPECT_TRUE(change.settled.empty()) << "b has not acknowledged";
  membership.renew(12, b, membership.epoch());
  change = table.apply(membership.view(), &self_dead);
  EXPECT_EQ(change.settled, std::vector<Member>{c});
  EXPECT_FALSE(self_dead);
}

// The naive model keeps the whole history and answers by looking through all of it.
struct NaiveMembership {
  struct Life {
    Member member;
    uint64_t boot;
    TimeNs lease_end;
    uint64_t acknowledged;
    uint64_t died_at = 0;  // epoch, 0: alive
  };
  std::vector<Life> lives;
  uint64_t epoch = 0;
  Life* alive(const NodeId& id) {
    for (Life& life : lives)
      if (life.member.node == id && life.died_at == 0) return &life;
    return nullptr;
  }
  uint64_t safe() {
    uint64_t safe = epoch;
    for (Life& life : lives)
      if (life.died_at == 0) safe = std::min(safe, life.acknowledged);
    return safe;
  }
};

TEST(Membership, random_histories_agree_with_a_naive_model) {
  constexpr DurationNs kLease = 50;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    Membership membership(kLease);
    NaiveMembership naive;
    std::map<Member, MemberTable> tables;
    std::map<Member, std::set<Member>> settled;
    std::vector<std::pair<Member, View>> in_flight;
    TimeNs now = 0;
    for (int i = 0; i < 400; ++i) {
      now += static_cast<TimeNs>(random.below(6));
      switch (random.below(5)) {
        case 0: {
          NodeId id = node(static_cast<uint8_t>(1 + random.below(4)));
          uint64_t boot = 1 + random.below(3);
          std::vector<Member> died;
          Member member = membership.join(now, id, boot, &died);
          auto* life = naive.alive(id);
          if (life != nullptr && life->boot == boot) {
            life->lease_end = now + kLease;
            ASSERT_EQ(member, life->member);
          } else {
            if (life != nullptr) {
              life->died_at = ++naive.epoch;
              ASSERT_EQ(died, std::vector<Member>{life->member});
            }
            ++naive.epoch;
            ASSERT_EQ(member, (Member{id, naive.epoch}));
            naive.lives.push_back({member, boot, now + kLease, naive.epoch, 0});
            tables[member].welcome(member, membership.view());
          }
          break;
        }
        case 1: {
          if (naive.lives.empty()) break;
          auto& life = naive.lives[random.below(naive.lives.size())];
          uint64_t acknowledged = random.below(naive.epoch + 2);
          bool is_live = membership.renew(now, life.member, acknowledged);
          ASSERT_EQ(is_live, life.died_at == 0);
          if (!is_live) break;
          life.lease_end = std::max(life.lease_end, now + kLease);
          life.acknowledged = std::max(life.acknowledged, std::min(acknowledged, naive.epoch));
          break;
        }
        case 2: {
          std::vector<Member> died, expected;
          membership.expire(now, &died);
          for (auto& life : naive.lives)
            if (life.died_at == 0 && life.lease_end <= now) expected.push_back(life.member);
          std::sort(expected.begin(), expected.end());
          ASSERT_EQ(died, expected);
          for (const Member& dead : expected) naive.alive(dead.node)->died_at = ++naive.epoch;
          break;
        }
        case 3:
          for (auto& [member, table] : tables) in_flight.push_back({member, membership.view()});
          break;
        case 4: {  // views arrive late, twice, in any order or never
          if (in_flight.empty()) break;
          size_t pick = random.below(in_flight.size());
          auto [member, view] = in_flight[pick];
          if (random.one_in(2)) in_flight.erase(in_flight.begin() + static_cast<long>(pick));
          bool self_dead = false;
          auto change = tables[member].apply(view, &self_dead);
          tables[member].validate();
          for (const Member& dead : change.settled) {
            ASSERT_TRUE(settled[member].insert(dead).second) << "settled twice";
            for (auto& life : naive.lives) {
              if (life.member == dead) {
                ASSERT_GT(life.died_at, 0u);
              }
              // Every member that lives now acknowledged an epoch that knows of the death.
              if (life.died_at == 0) {
                for (auto& gone : naive.lives)
                  if (gone.member == dead) {
                    ASSERT_GE(life.acknowledged, gone.died_at);
                  }
              }
            }
          }
          break;
        }
      }
      membership.validate();
      ASSERT_EQ(membership.epoch(), naive.epoch);
      ASSERT_EQ(membership.safe_epoch(), naive.safe());
      for (auto& life : naive.lives) ASSERT_EQ(membership.is_live(life.member), life.died_at == 0);
    }
  }
  for (const char* probe :
       {"membership.join_repeated", "membership.restarted_before_lease_ended",
        "membership.heartbeat_of_the_dead", "membership.old_acknowledgement",
        "membership.old_view_ignored", "membership.death_waits_for_acknowledgements"})
    EXPECT_GT(probe_hits(probe), 0u) << probe;
}

}  // namespace
}  // namespace sundog::core
