#include "core/objects/pulls.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::core {
namespace {

using model::Member;
using model::PullChunk;
using model::PullDone;
using model::PullProbe;
using model::PullRequest;

constexpr PullLimits kLimits{100, 2, 50};

Member member(uint64_t n) {
  Member m;
  m.node.bytes[0] = static_cast<uint8_t>(n);
  m.epoch = n;
  return m;
}
ObjectId object(uint32_t n) { return {TaskId::root_of(JobId{1}), n}; }

TEST(Pulls, second_unit_waits_until_the_first_gives_its_room_back) {
  PullPlanner planner(kLimits);
  PullPlanner::Out out;
  planner.set_budget(0, 300, &out);
  planner.want(0, 1, PullClass::kQueued,
               {{object(1), 100, {member(1)}}, {object(2), 100, {member(1)}}}, &out);
  planner.want(0, 2, PullClass::kQueued,
               {{object(3), 100, {member(1)}}, {object(4), 100, {member(1)}}}, &out);
  planner.want(0, 3, PullClass::kRunningGet, {{object(5), 100, {member(1)}}}, &out);
  EXPECT_TRUE(planner.is_admitted(1));
  EXPECT_FALSE(planner.is_admitted(2)) << "half of a unit must not be reserved";
  EXPECT_TRUE(planner.is_admitted(3)) << "a running get passes the queue";
  EXPECT_EQ(planner.reserved(), 300u);
  for (uint32_t o : {1u, 2u}) {
    planner.chunk(1, member(1), {object(o), 0, 100, 100, false, {}, {}}, &out);
    planner.stored(1, object(o), &out);
  }
  EXPECT_TRUE(planner.is_admitted(2));
  planner.validate();
}

TEST(Pulls, dead_source_is_replaced_and_without_one_the_object_is_lost) {
  PullPlanner planner(kLimits);
  PullPlanner::Out out;
  planner.want(0, 1, PullClass::kWait, {{object(1), 250, {member(1), member(2)}}}, &out);
  out = {};
  planner.member_died(1, member(1), &out);
  ASSERT_FALSE(out.sends.empty());
  EXPECT_EQ(out.sends[0].to, member(2));
  out = {};
  planner.member_died(2, member(2), &out);
  EXPECT_EQ(out.lost, std::vector<ObjectId>{object(1)});
  EXPECT_EQ(planner.units(), 0u);
  EXPECT_EQ(planner.reserved(), 0u);
}

TEST(Pulls, holder_pins_once_and_gives_up_no_pin_by_time) {
  PullServer server(kLimits);
  EXPECT_TRUE(server.request(0, member(1), object(1)));
  EXPECT_FALSE(server.request(10, member(1), object(1)));
  EXPECT_TRUE(server.tick(50).empty());
  EXPECT_EQ(server.tick(200).size(), 1u) << "asks, but keeps the pin";
  EXPECT_EQ(server.sessions(), 1u);
  EXPECT_TRUE(server.done(member(1), object(1)));
  EXPECT_FALSE(server.done(member(1), object(1)));
}

// One receiver, three holders that may die, a bad network. The naive model: a sorted list of units
// that wait, and for each object whether a live holder has it.
class Transfer {
 public:
  explicit Transfer(uint64_t seed) : random_(seed), sizes_known_(seed % 2 == 0) {
    for (uint32_t o = 0; o < kObjects; ++o) {
      sizes_.push_back(1 + random_.below(450));
      for (uint64_t h = 1; h <= kHolders; ++h)
        if (random_.one_in(2)) has_.insert({h, o});
    }
  }

  void run() {
    PullPlanner::Out out;
    planner_.set_budget(0, kBudget, &out);
    for (int i = 0; i < 1200; ++i) {
      ++now_;
      if (i < 900) act();
      deliver(true);
      deliver(true);
      if (i % 10 == 0) tick();
      if (testing::Test::HasFatalFailure()) return;
    }
    for (int i = 0; i < 200 && (planner_.units() > 0 || sessions() > 0); ++i) {
      now_ += 60;
      tick();
      while (!flights_.empty()) deliver(false);
    }
    EXPECT_EQ(planner_.units(), 0u) << "every unit ends";
    EXPECT_EQ(planner_.reserved(), 0u);
    EXPECT_EQ(sessions(), 0u) << "every pin is given back";
  }

 private:
  static constexpr uint32_t kObjects = 40;
  static constexpr uint64_t kHolders = 3;
  static constexpr uint64_t kBudget = 600;
  struct Flight {
    bool to_holder;
    uint64_t holder;
    model::PeerMessage message;
  };
  struct Naive {
    PullClass cls;
    uint64_t order, id;
    auto key() const { return std::tuple(cls, order, id); }
  };

  size_t sessions() const {
    size_t all = 0;
    for (uint64_t h = 1; h <= kHolders; ++h)
      if (!dead_[h]) all += servers_[h].sessions();
    return all;
  }

  void act() {
    PullPlanner::Out out;
    uint64_t choice = random_.below(40);
    if (choice < 10) {
      uint64_t unit = ++last_unit_;
      std::vector<PullObject> objects;
      for (uint64_t k = 1 + random_.below(3); k > 0; --k) {
        auto o = static_cast<uint32_t>(random_.below(kObjects));
        if (stored_.contains(o)) continue;
        PullObject wanted{object(o), !sizes_known_ && random_.one_in(4) ? 0 : sizes_[o], {}};
        for (uint64_t h = 1; h <= kHolders; ++h)
          if (!dead_[h] && (has_.contains({h, o}) || random_.one_in(5)))
            wanted.locations.push_back(member(h));
        objects.push_back(wanted);
      }
      if (objects.empty()) return;
      auto cls = static_cast<PullClass>(random_.below(3));
      waiting_.push_back({cls, unit, unit});
      planner_.want(now_, unit, cls, objects, &out);
    } else if (choice < 12 && last_unit_ > 0) {
      uint64_t unit = 1 + random_.below(last_unit_);
      std::erase_if(waiting_, [&](const Naive& w) { return w.id == unit; });
      planner_.cancel(now_, unit, &out);
    } else if (choice < 14 && last_unit_ > 0) {
      uint64_t unit = 1 + random_.below(last_unit_);
      for (Naive& w : waiting_)
        if (w.id == unit) w.cls = std::min(w.cls, PullClass::kRunningGet);
      planner_.raise(now_, unit, PullClass::kRunningGet, &out);
    } else if (choice == 14 && random_.one_in(4)) {
      uint64_t h = 1 + random_.below(kHolders);
      if (!dead_[h]) {
        dead_[h] = true;
        planner_.member_died(now_, member(h), &out);
      }
    } else if (choice == 15) {  // evicted here again: may be wanted once more
      stored_.clear();
    }
    perform(out);
  }

  void perform(const PullPlanner::Out& out) {
    for (const auto& send : out.sends) flights_.push_back({true, send.to.epoch, send.message});
    for (const ObjectId& id : out.lost) {
      for (uint64_t h = 1; h <= kHolders; ++h)
        if (!dead_[h]) lost_although_held_ += has_.contains({h, id.index}) ? 1 : 0;
    }
    for (const ObjectId& id : out.complete) {
      ASSERT_EQ(bytes_[id.index], sizes_[id.index]) << "every byte came exactly once";
      bytes_[id.index] = 0;
      stored_.insert(id.index);
      PullPlanner::Out more;
      planner_.stored(now_, id, &more);
      perform(more);
    }
    check();
  }

  void check() {
    planner_.validate();
    std::sort(waiting_.begin(), waiting_.end(),
              [](const Naive& a, const Naive& b) { return a.key() < b.key(); });
    // Whatever left the list left it from the front, or because all its objects came here.
    std::erase_if(waiting_, [&](const Naive& w) { return !planner_.knows(w.id); });
    bool still_waiting = false;
    for (const Naive& w : waiting_) {
      if (planner_.is_admitted(w.id)) {
        ASSERT_FALSE(still_waiting) << "unit " << w.id << " passed another";
      } else
        still_waiting = true;
    }
    std::erase_if(waiting_, [&](const Naive& w) { return planner_.is_admitted(w.id); });
    // Only a single unit that is larger than the budget may exceed it, and a unit has 3 objects.
    if (sizes_known_ && planner_.fetching() > 3) {
      ASSERT_LE(planner_.reserved(), kBudget);
    }
  }

  void deliver(bool faults) {
    if (flights_.empty()) return;
    size_t pick = random_.below(flights_.size());
    Flight flight = flights_[pick];
    if (!(faults && random_.one_in(6))) flights_.erase(flights_.begin() + static_cast<long>(pick));
    if ((faults && random_.one_in(6)) || dead_[flight.holder]) return;
    uint64_t h = flight.holder;
    PullPlanner::Out out;
    if (auto* request = std::get_if<PullRequest>(&flight.message)) {
      PullChunk chunk;
      chunk.id = request->id;
      chunk.offset = request->offset;
      chunk.total = sizes_[request->id.index];
      if (!has_.contains({h, request->id.index})) {
        chunk.missing = true;
      } else {
        servers_[h].request(now_, member(9), request->id);
        chunk.length = std::min(request->length, chunk.total - request->offset);
      }
      flights_.push_back({false, h, chunk});
    } else if (auto* done = std::get_if<PullDone>(&flight.message)) {
      servers_[h].done(member(9), done->id);
    } else if (auto* chunk = std::get_if<PullChunk>(&flight.message)) {
      if (random_.one_in(30)) chunk->length += 7;  // a peer that errs
      // What is cancelled or lost starts from nothing when it is fetched again.
      if (planner_.fetching() == 0) bytes_.clear();
      if (planner_.chunk(now_, member(h), *chunk, &out)) bytes_[chunk->id.index] += chunk->length;
    } else if (auto* probe = std::get_if<PullProbe>(&flight.message)) {
      planner_.probed(now_, member(h), probe->id, &out);
    }
    for (auto at = bytes_.begin(); at != bytes_.end();)
      at = planner_.is_fetching(object(at->first)) ? std::next(at) : bytes_.erase(at);
    perform(out);
  }

  void tick() {
    PullPlanner::Out out;
    planner_.tick(now_, &out);
    perform(out);
    for (uint64_t h = 1; h <= kHolders; ++h)
      for (auto& [to, id] : servers_[h].tick(now_)) flights_.push_back({false, h, PullProbe{id}});
  }

  Random random_;
  bool sizes_known_;
  TimeNs now_ = 0;
  PullPlanner planner_{kLimits};
  PullServer servers_[kHolders + 1] = {PullServer(kLimits), PullServer(kLimits),
                                       PullServer(kLimits), PullServer(kLimits)};
  std::vector<uint64_t> sizes_;
  std::set<std::pair<uint64_t, uint32_t>> has_;
  bool dead_[kHolders + 1] = {};
  std::vector<Flight> flights_;
  std::vector<Naive> waiting_;
  std::map<uint32_t, uint64_t> bytes_;
  std::set<uint32_t> stored_;
  uint64_t last_unit_ = 0;

 public:
  uint64_t lost_although_held_ = 0;
};

TEST(Pulls, random_transfers_complete_in_order_and_give_everything_back) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Transfer transfer(seed);
    transfer.run();
    EXPECT_EQ(transfer.lost_although_held_, 0u);
    if (testing::Test::HasFailure()) return;
  }
  for (const char* probe :
       {"pulls.waiting_unit_raised", "pulls.unit_waits_for_room", "pulls.fetch_shared",
        "pulls.chunk_of_nothing_wanted", "pulls.location_lacks_it", "pulls.chunk_repeated",
        "pulls.chunk_does_not_fit", "pulls.fetch_cancelled", "pulls.lost", "pulls.source_died",
        "pulls.probe_answered_with_done", "pulls.request_repeated"})
    EXPECT_GT(probe_hits(probe), 0u) << probe;
}

}  // namespace
}  // namespace sundog::core
