#include "core/refs/borrows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <variant>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::core {
namespace {

using model::BorrowConfirm;
using model::BorrowSet;
using model::BorrowUpdate;
using model::GlobalRef;
using model::Member;

Member member(uint8_t n) {
  Member m;
  m.node.bytes[0] = n;
  m.epoch = n;
  return m;
}
ObjectId object(uint32_t n) { return {TaskId::root_of(JobId{1}), n}; }

TEST(Borrows, release_that_overtakes_its_hold_stays_released) {
  OwnerBorrows owner;
  EXPECT_EQ(owner.update(member(2), object(1), 5, false, true), OwnerBorrows::Outcome::kUnchanged);
  EXPECT_EQ(owner.update(member(2), object(1), 4, true, true), OwnerBorrows::Outcome::kUnchanged);
  EXPECT_FALSE(owner.holds(member(2), object(1)));
  EXPECT_EQ(owner.update(member(2), object(1), 6, true, true), OwnerBorrows::Outcome::kTaken);
  EXPECT_EQ(owner.update(member(2), object(1), 6, true, true), OwnerBorrows::Outcome::kUnchanged);
}

TEST(Borrows, confirmation_of_an_older_state_confirms_nothing) {
  BorrowerRefs refs(10);
  BorrowerRefs::Sends sends;
  GlobalRef ref{object(1), member(1)};
  refs.begin(0, ref, 1, &sends);
  refs.end(0, ref, &sends);
  refs.begin(0, ref, 1, &sends);
  ASSERT_EQ(sends.size(), 3u);
  EXPECT_EQ(refs.confirm(ref.owner, {ref.id, sends[0].update.version, true}),
            BorrowerRefs::Answer::kIgnored);
  EXPECT_FALSE(refs.is_confirmed(ref));
  EXPECT_EQ(refs.confirm(ref.owner, {ref.id, sends[2].update.version, true}),
            BorrowerRefs::Answer::kConfirmed);
  EXPECT_TRUE(refs.is_confirmed(ref));
}

TEST(Borrows, epoch_is_not_acknowledged_while_what_came_before_is_unconfirmed) {
  BorrowerRefs refs(10);
  BorrowerRefs::Sends sends;
  refs.begin(0, {object(1), member(1)}, 4, &sends);
  EXPECT_EQ(refs.acknowledgeable(4), 4u);
  EXPECT_EQ(refs.acknowledgeable(6), 4u);
  refs.confirm(member(1), {object(1), sends[0].update.version, true});
  EXPECT_EQ(refs.acknowledgeable(6), 6u);
}

TEST(Borrows, hand_off_is_handed_back_once) {
  HandOffs hand_offs;
  uint64_t id = hand_offs.begin(member(2), {object(1), object(2)});
  EXPECT_TRUE(hand_offs.held(member(3), id).empty()) << "only the receiver may answer";
  EXPECT_EQ(hand_offs.held(member(2), id).size(), 2u);
  EXPECT_TRUE(hand_offs.held(member(2), id).empty());
}

// Three nodes pass refs to objects of node 0 among themselves over a network that loses, doubles
// and reorders. The naive model is the plain truth: who wants what, `wants[node][object]`.
class Exchange {
 public:
  static constexpr int kNodes = 3;
  static constexpr uint32_t kObjects = 64;

  explicit Exchange(uint64_t seed) : random_(seed) {
    for (uint32_t o = 0; o < kObjects; ++o) nodes_[0].wants[o] = true;
  }

  void run() {
    for (int i = 0; i < 1500; ++i) {
      ++now_;
      act(static_cast<int>(random_.below(kNodes)), static_cast<uint32_t>(i) / 25);
      for (int m = 0; m < 2; ++m) deliver(true);
      if (i % 5 == 0) tick();
      check();
    }
    settle();
    for (uint32_t o = 0; o < kObjects; ++o) {
      bool wanted = false;
      for (int n = 1; n < kNodes; ++n) {
        EXPECT_EQ(owner_.holds(member_of(n), object(o)), nodes_[n].wants[o]) << n << " " << o;
        wanted = wanted || nodes_[n].wants[o];
      }
      if (wanted) {
        EXPECT_FALSE(freed_[o]);
      }
    }
    for (int n = 0; n < kNodes; ++n)
      for (uint32_t o = 0; o < kObjects; ++o) drop(n, o);
    settle();
    for (uint32_t o = 0; o < kObjects; ++o) EXPECT_TRUE(freed_[o]) << "leaked " << o;
    EXPECT_EQ(owner_.held_count(), 0u);
    for (auto& node : nodes_) {
      EXPECT_EQ(node.hand_offs.size(), 0u);
      EXPECT_EQ(node.refs.size(), 0u);
    }
  }

 private:
  struct Pass {
    uint64_t hand_off;
    uint32_t object;
  };
  struct Held {
    uint64_t hand_off;
  };
  using Message = std::variant<BorrowUpdate, BorrowConfirm, BorrowSet, Pass, Held>;
  struct Flight {
    int from, to;
    Message message;
  };
  struct Node {
    BorrowerRefs refs{20};
    HandOffs hand_offs;
    std::array<bool, kObjects> wants{};
    std::array<int, kObjects> kept{};                       // by open hand-offs
    std::map<uint64_t, std::pair<int, uint32_t>> passing;   // hand-off -> receiver, object
    std::map<std::pair<int, uint64_t>, uint32_t> received;  // not yet answered
    std::set<std::pair<int, uint64_t>> answered;
  };

  static Member member_of(int n) { return member(static_cast<uint8_t>(n + 1)); }
  static GlobalRef ref(uint32_t o) { return {object(o), member_of(0)}; }
  void send(int from, int to, Message message) { flights_.push_back({from, to, message}); }
  void send_all(int from, const BorrowerRefs::Sends& sends) {
    for (const auto& one : sends) send(from, 0, one.update);
  }

  // Acts on one of the few objects of this phase, so that each is passed to and fro and dropped.
  void act(int n, uint32_t phase) {
    auto o = static_cast<uint32_t>(phase + random_.below(4)) % kObjects;
    Node& node = nodes_[n];
    if (random_.one_in(n == 0 ? 10 : 4)) {
      drop(n, o);
    } else if (node.wants[o]) {
      int to = static_cast<int>(random_.below(kNodes));
      if (to == n) return;
      uint64_t id = node.hand_offs.begin(member_of(to), {object(o)});
      ++node.kept[o];
      node.passing[id] = {to, o};
      send(n, to, Pass{id, o});
    } else if (n != 0 && random_.one_in(40)) {
      send(n, 0, node.refs.whole_set(member_of(0)));
    }
  }

  void drop(int n, uint32_t o) {
    nodes_[n].wants[o] = false;
    let_go(n, o);
  }

  void let_go(int n, uint32_t o) {
    Node& node = nodes_[n];
    if (node.wants[o] || node.kept[o] > 0) return;
    if (n == 0) {
      maybe_free(o);
    } else {
      BorrowerRefs::Sends sends;
      node.refs.end(now_, ref(o), &sends);
      send_all(n, sends);
      answer_received(n);
    }
  }

  void maybe_free(uint32_t o) {
    if (freed_[o] || nodes_[0].wants[o] || nodes_[0].kept[o] > 0) return;
    for (int n = 1; n < kNodes; ++n)
      if (owner_.holds(member_of(n), object(o))) return;
    freed_[o] = true;
    owner_.forget(object(o));
  }

  void receive(int n, int from, const Pass& pass) {
    Node& node = nodes_[n];
    std::pair<int, uint64_t> key{from, pass.hand_off};
    if (node.answered.contains(key)) return send(n, from, Held{pass.hand_off});
    if (!node.received.emplace(key, pass.object).second) return;
    ASSERT_FALSE(freed_[pass.object]) << "a ref under way must keep its object";
    node.wants[pass.object] = true;
    if (n != 0) {
      BorrowerRefs::Sends sends;
      node.refs.begin(now_, ref(pass.object), 1, &sends);
      send_all(n, sends);
    }
    answer_received(n);
  }

  // Answers what is confirmed, and what is not wanted any more.
  void answer_received(int n) {
    Node& node = nodes_[n];
    for (auto at = node.received.begin(); at != node.received.end();) {
      uint32_t o = at->second;
      bool sure = n == 0 || node.refs.is_confirmed(ref(o)) || !node.refs.is_held(ref(o));
      if (!sure) {
        ++at;
        continue;
      }
      node.answered.insert(at->first);
      send(n, at->first.first, Held{at->first.second});
      at = node.received.erase(at);
    }
  }

  void deliver(bool faults) {
    if (flights_.empty()) return;
    size_t pick = random_.below(flights_.size());
    Flight flight = flights_[pick];
    bool twice = faults && random_.one_in(6);
    if (!twice) flights_.erase(flights_.begin() + static_cast<long>(pick));
    if (faults && random_.one_in(5)) return;  // lost
    Node& node = nodes_[flight.to];
    if (auto* update = std::get_if<BorrowUpdate>(&flight.message)) {
      uint32_t o = update->id.index;
      owner_.update(member_of(flight.from), update->id, update->version, update->held, !freed_[o]);
      send(0, flight.from, BorrowConfirm{update->id, update->version, !freed_[o]});
      maybe_free(o);
    } else if (auto* confirm = std::get_if<BorrowConfirm>(&flight.message)) {
      auto answer = node.refs.confirm(member_of(0), *confirm);
      ASSERT_NE(answer, BorrowerRefs::Answer::kLost) << "freed while borrowed";
      answer_received(flight.to);
    } else if (auto* set = std::get_if<BorrowSet>(&flight.message)) {
      std::vector<bool> known;
      for (const auto& one : set->held) known.push_back(!freed_[one.id.index]);
      for (const ObjectId& id : owner_.replace(member_of(flight.from), *set, known).released)
        maybe_free(id.index);
    } else if (auto* pass = std::get_if<Pass>(&flight.message)) {
      receive(flight.to, flight.from, *pass);
    } else {
      uint64_t id = std::get<Held>(flight.message).hand_off;
      for (const ObjectId& let : node.hand_offs.held(member_of(flight.from), id)) {
        --node.kept[let.index];
        node.passing.erase(id);
        let_go(flight.to, let.index);
      }
    }
  }

  void tick() {
    for (int n = 0; n < kNodes; ++n) {
      BorrowerRefs::Sends sends;
      nodes_[n].refs.tick(now_, &sends);
      send_all(n, sends);
      for (const auto& [id, passing] : nodes_[n].passing)
        if (random_.one_in(4)) send(n, passing.first, Pass{id, passing.second});
    }
  }

  void settle() {
    for (int i = 0; i < 60; ++i) {
      now_ += 25;
      tick();
      while (!flights_.empty()) deliver(false);
      check();
    }
  }

  void check() {
    owner_.validate();
    for (int n = 0; n < kNodes; ++n) {
      nodes_[n].refs.validate();
      nodes_[n].hand_offs.validate();
      for (uint32_t o = 0; o < kObjects; ++o) {
        ASSERT_FALSE(freed_[o] && nodes_[n].wants[o]) << "freed while node " << n << " has it";
      }
    }
  }

  Random random_;
  TimeNs now_ = 0;
  OwnerBorrows owner_;
  std::array<Node, kNodes> nodes_;
  std::array<bool, kObjects> freed_{};
  std::vector<Flight> flights_;
};

TEST(Borrows, random_exchanges_free_exactly_what_nobody_wants) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Exchange(seed).run();
    if (testing::Test::HasFailure()) return;
  }
  for (const char* probe :
       {"borrows.old_update_ignored", "borrows.update_for_unknown_object",
        "borrows.set_releases_what_it_does_not_name", "borrows.released_before_confirmed",
        "borrows.taken_again_before_release_was_confirmed", "borrows.late_confirmation_ignored",
        "borrows.update_repeated", "borrows.held_answered_twice"})
    EXPECT_GT(probe_hits(probe), 0u) << probe;
}

}  // namespace
}  // namespace sundog::core
