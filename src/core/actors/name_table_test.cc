// NameTable: its rules one by one, then random use against a list of what each client believes.
#include "core/actors/name_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"

namespace sundog::core {
namespace {

using model::NameStatus;

const NameTable::Key kKey{"space", "name"};
constexpr ClientId kAnn = ClientId::make(1, 1), kBen = ClientId::make(2, 1),
                   kCid = ClientId::make(3, 1);

NamedActor named(uint64_t number) {
  return {{TaskId::make(JobId{1}, {}, 0, number), 0}, {TaskId::make(JobId{1}, {}, 1, number), 1}};
}

TEST(NameTable, the_first_to_claim_has_it_and_the_others_find_what_it_binds) {
  NameTable table;
  NameTable::Answers answers;
  table.claim(kAnn, 1, kKey, &answers);
  table.claim(kBen, 2, kKey, &answers);
  table.find(kCid, 3, kKey, &answers);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].status, NameStatus::kReserved);
  EXPECT_FALSE(table.bind(kBen, kKey, named(1), &answers)) << "it is not Ben's";
  ASSERT_TRUE(table.bind(kAnn, kKey, named(1), &answers));
  ASSERT_EQ(answers.size(), 3u);
  for (size_t i : {1u, 2u}) {
    EXPECT_EQ(answers[i].status, NameStatus::kFound);
    EXPECT_EQ(answers[i].named, named(1));
  }
  EXPECT_FALSE(table.bind(kAnn, kKey, named(2), &answers)) << "it is bound";
  EXPECT_FALSE(table.give_back(kAnn, kKey, &answers));
}

TEST(NameTable, what_is_given_back_goes_to_who_claimed_next) {
  NameTable table;
  NameTable::Answers answers;
  table.claim(kAnn, 1, kKey, &answers);
  table.find(kCid, 2, kKey, &answers);
  table.claim(kBen, 3, kKey, &answers);
  ASSERT_TRUE(table.give_back(kAnn, kKey, &answers));
  ASSERT_EQ(answers.size(), 2u) << "who only looks for it waits on";
  EXPECT_EQ(answers[1].client, kBen);
  EXPECT_EQ(answers[1].status, NameStatus::kReserved);
  table.client_gone(kBen, &answers);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[2].client, kCid);
  EXPECT_EQ(answers[2].status, NameStatus::kUnknown);
  EXPECT_EQ(table.size(), 0u);
}

TEST(NameTable, a_name_is_free_when_its_actor_is_dead) {
  NameTable table;
  NameTable::Answers answers;
  table.claim(kAnn, 1, kKey, &answers);
  NamedActor gone;
  EXPECT_FALSE(table.remove(kKey, &gone)) << "it is not bound";
  table.bind(kAnn, kKey, named(7), &answers);
  EXPECT_TRUE(table.remove(kKey, &gone));
  EXPECT_EQ(gone, named(7));
  table.claim(kBen, 2, kKey, &answers);
  EXPECT_EQ(answers.back().status, NameStatus::kReserved);
}

TEST(NameTable, the_same_name_in_two_namespaces_is_two) {
  NameTable table;
  NameTable::Answers answers;
  table.claim(kAnn, 1, {"a", "x"}, &answers);
  table.claim(kAnn, 2, {"b", "x"}, &answers);
  table.bind(kAnn, {"a", "x"}, named(1), &answers);
  table.bind(kAnn, {"b", "x"}, named(2), &answers);
  std::vector<std::string> all, one;
  table.each_bound("", [&](const auto& key, const auto&) { all.push_back(key.first); });
  table.each_bound("b", [&](const auto& key, const auto&) { one.push_back(key.first); });
  EXPECT_EQ(all, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(one, std::vector<std::string>{"b"});
}

// Every request is answered once; a name has one reserver or one actor, never both.
TEST(NameTable, random_use_answers_everybody_once_and_never_reserves_twice) {
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    NameTable table;
    std::map<NameTable::Key, ClientId> reserved;
    std::map<NameTable::Key, NamedActor> bound;
    std::map<uint32_t, std::pair<ClientId, NameTable::Key>> open;
    uint32_t requests = 0, generation = 1;
    auto take = [&](const NameTable::Answers& answers) {
      for (const auto& a : answers) {
        ASSERT_TRUE(open.contains(a.request)) << "answered twice, or never asked";
        auto [client, key] = open[a.request];
        open.erase(a.request);
        EXPECT_EQ(a.client, client);
        if (a.status == NameStatus::kReserved) {
          EXPECT_FALSE(reserved.contains(key) || bound.contains(key));
          reserved[key] = client;
        } else if (a.status == NameStatus::kFound) {
          ASSERT_TRUE(bound.contains(key));
          EXPECT_EQ(a.named, bound[key]);
        } else {
          EXPECT_FALSE(reserved.contains(key) || bound.contains(key));
        }
      }
    };
    for (int step = 0; step < 300; ++step) {
      ClientId client = ClientId::make(1 + static_cast<uint32_t>(random.below(4)), generation);
      NameTable::Key key{"s", std::string(1, static_cast<char>('a' + random.below(3)))};
      NameTable::Answers answers;
      uint64_t choice = random.below(10);
      if (choice < 5) {
        open[++requests] = {client, key};
        if (choice < 3)
          table.claim(client, requests, key, &answers);
        else
          table.find(client, requests, key, &answers);
      } else if (choice < 8) {
        bool mine = reserved.contains(key) && reserved[key] == client;
        bool gives_back = random.one_in(3);
        if (mine) reserved.erase(key);
        if (mine && !gives_back) bound[key] = named(static_cast<uint64_t>(step));
        bool taken = gives_back
                         ? table.give_back(client, key, &answers)
                         : table.bind(client, key, named(static_cast<uint64_t>(step)), &answers);
        EXPECT_EQ(taken, mine);
      } else if (choice < 9) {
        NamedActor gone;
        EXPECT_EQ(table.remove(key, &gone), bound.erase(key) > 0);
      } else {
        std::erase_if(open, [&](const auto& o) { return o.second.first == client; });
        std::erase_if(reserved, [&](const auto& r) { return r.second == client; });
        table.client_gone(client, &answers);
      }
      take(answers);
      ASSERT_EQ(table.validate(), "");
      for (const auto& [request, who] : open)
        EXPECT_TRUE(reserved.contains(who.second)) << "somebody waits for nothing";
    }
  }
}

}  // namespace
}  // namespace sundog::core
