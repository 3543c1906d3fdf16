// Streams: its rules one by one, then random use against a list of items.
#include "core/tasks/streams.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace sundog::core {
namespace {

using Arrival = Streams::Arrival;

constexpr ClientId kAnn = ClientId::make(1, 1), kBen = ClientId::make(2, 1);
constexpr uint64_t kOverhead = model::kStreamItemOverheadBytes;

TaskId task(uint64_t number) { return TaskId::make(JobId{1}, {}, 0, number); }

TEST(Streams, an_attempt_that_begins_again_adds_only_what_follows) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {});
  EXPECT_EQ(streams.arrive(s, 0, 10), Arrival::kNew);
  EXPECT_EQ(streams.arrive(s, 1, 10), Arrival::kNew);
  EXPECT_EQ(streams.arrive(s, 0, 99), Arrival::kKnown);
  EXPECT_EQ(streams.arrive(s, 3, 10), Arrival::kWrong);
  EXPECT_EQ(streams.arrive(s, 1, 99), Arrival::kKnown);
  EXPECT_EQ(streams.arrive(s, 2, 10), Arrival::kNew);
  EXPECT_EQ(streams[s].produced, 3u);
  EXPECT_EQ(streams[s].untaken_bytes, 3 * (10 + kOverhead)) << "the first values stay";
}

TEST(Streams, credit_is_what_is_left_of_the_window) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {4, 10'000});
  EXPECT_EQ(streams.credit(s, 0), (StreamAmount{4, 10'000}));
  for (uint32_t i = 0; i < 4; ++i) streams.arrive(s, i, 100);
  EXPECT_EQ(streams.credit(s, 4).items, 0u);
  EXPECT_FALSE(streams.may_go_on(s, 4));
  streams.take(s, 1);
  EXPECT_FALSE(streams.may_go_on(s, 4)) << "more than half is untaken";
  streams.take(s, 2);
  EXPECT_TRUE(streams.may_go_on(s, 4));
  EXPECT_EQ(streams.credit(s, 4), (StreamAmount{2, 10'000 - 2 * (100 + kOverhead)}));
}

TEST(Streams, a_window_of_one_item_lets_one_pass_at_a_time) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {1, UINT64_MAX});
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(streams.may_go_on(s, i));
    streams.arrive(s, i, 1);
    EXPECT_FALSE(streams.may_go_on(s, i + 1));
    streams.take(s, i + 1);
  }
}

TEST(Streams, one_item_larger_than_the_window_waits_until_it_is_taken) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {UINT64_MAX, 1000});
  streams.arrive(s, 0, 50'000);
  EXPECT_TRUE(streams.credit(s, 1).is_spent());
  EXPECT_FALSE(streams.may_go_on(s, 1));
  streams.take(s, 1);
  EXPECT_TRUE(streams.may_go_on(s, 1));
}

TEST(Streams, a_repetition_is_not_held_back_by_what_was_taken_already) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {2, UINT64_MAX});
  for (uint32_t i = 0; i < 2; ++i) streams.arrive(s, i, 1);
  streams.take(s, 1);
  EXPECT_TRUE(streams.may_go_on(s, 1)) << "what it repeated is taken";
  EXPECT_EQ(streams.credit(s, 1).items, 2u);
  EXPECT_EQ(streams.credit(s, 2).items, 1u);
}

TEST(Streams, windows_shrink_with_their_number_and_stay_under_half_of_the_store) {
  Streams streams;
  constexpr uint64_t kStore = 48 << 20;
  uint64_t sum = 0, last = UINT64_MAX;
  for (uint64_t i = 1; i <= 60; ++i) {
    const uint64_t bytes = streams.next_window_bytes(kStore);
    EXPECT_LE(bytes, kStore / model::kStreamStoreShare / i);
    EXPECT_LE(bytes, last);
    EXPECT_GE(bytes, 1u) << "one item at a time always passes";
    streams.open(task(i), 7, kAnn, {UINT64_MAX, bytes});
    sum += last = bytes;
    ASSERT_LE(sum, kStore / 2 + i);
    ASSERT_EQ(streams.validate(), "");
  }
  for (uint64_t i = 1; i <= 60; ++i) {
    const uint32_t s = streams.find(task(i));
    streams.close(s);
    streams.end(s);
    streams.forget_if_over(s);
  }
  EXPECT_EQ(streams.validate(), "");
  EXPECT_EQ(streams.next_window_bytes(kStore), kStore / 4) << "what is over counts no more";
}

TEST(Streams, it_is_forgotten_when_ended_and_closed) {
  Streams streams;
  uint32_t a = streams.open(task(1), 7, kAnn, {}), b = streams.open(task(2), 8, kBen, {});
  EXPECT_EQ(streams.of_consumer(kBen), std::vector<uint32_t>{b});
  streams.end(a);
  streams.forget_if_over(a);
  EXPECT_EQ(streams.find(task(1)), a);
  streams.close(a);
  streams.forget_if_over(a);
  EXPECT_EQ(streams.find(task(1)), kNoIndex);
  streams.close(b);
  streams.forget_if_over(b);
  EXPECT_EQ(streams.find(task(2)), b);
  EXPECT_EQ(streams.arrive(b, 0, 1), Arrival::kUnwanted);
  streams.end(b);
  streams.forget_if_over(b);
  EXPECT_EQ(streams.live(), 0u);
}

TEST(Streams, room_may_come_from_a_consumer_that_is_somebody_else) {
  Streams streams;
  uint32_t s = streams.open(task(1), 7, kAnn, {});
  auto anybody = [](ClientId) { return true; };
  EXPECT_FALSE(streams.others_may_take(kBen, anybody)) << "there is nothing to take";
  streams.arrive(s, 0, 1 << 20);
  EXPECT_TRUE(streams.others_may_take(kBen, anybody));
  EXPECT_FALSE(streams.others_may_take(kAnn, anybody)) << "she waits herself";
  EXPECT_FALSE(streams.others_may_take(kBen, [](ClientId) { return false; }));
  streams.close(s);
  EXPECT_FALSE(streams.others_may_take(kBen, anybody));
}

// The naive model: all items ever made in a list, sums by walking over it, and a producer that
// obeys its credit. It must never hold more than the window, nor wait while nothing is untaken.
struct Naive {
  StreamAmount window;
  std::vector<uint64_t> weights;
  uint32_t taken = 0;
  uint32_t at = 0;  // of the present attempt
  StreamAmount credit;
  bool waits = false, closed = false, ended = false;

  StreamAmount held(uint32_t upto) const {
    StreamAmount sum{0, 0};
    for (uint32_t i = taken; i < upto && i < weights.size(); ++i) {
      ++sum.items;
      sum.bytes += weights[i];
    }
    return sum;
  }
};

TEST(Streams, random_use_agrees_with_a_list_of_items) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    Streams streams;
    std::map<uint64_t, Naive> naive;
    uint64_t opened = 0;
    for (int step = 0; step < 600; ++step) {
      if (naive.size() < 3 && random.one_in(3)) {
        StreamAmount window{random.one_in(3) ? UINT64_MAX : 1 + random.below(6),
                            1000 + random.below(20'000)};
        streams.open(task(++opened), 1, kAnn, window);
        naive[opened] = {window, {}, 0, 0, window, false, false, false};
      }
      if (naive.empty()) continue;
      auto which = naive.begin();
      std::advance(which, random.below(naive.size()));
      Naive& n = which->second;
      uint32_t s = streams.find(task(which->first));
      ASSERT_NE(s, kNoIndex);
      switch (random.below(6)) {
        case 0:
        case 1:
        case 2: {  // the producer yields, or asks
          if (n.ended) break;
          if (n.credit.is_spent()) {
            n.waits = true;
            break;
          }
          // Equal in each attempt: what is repeated costs what is there.
          const uint64_t bytes = Random(which->first * 1000 + n.at).below(3000);
          auto arrived = streams.arrive(s, n.at, bytes);
          const bool is_new = n.at == n.weights.size();
          ASSERT_EQ(arrived, n.closed ? Arrival::kUnwanted
                             : is_new ? Arrival::kNew
                                      : Arrival::kKnown);
          if (is_new && !n.closed) n.weights.push_back(bytes + kOverhead);
          ++n.at;
          n.credit.spend(bytes);
          break;
        }
        case 3: {  // the consumer takes
          auto there = static_cast<uint32_t>(n.weights.size());
          n.taken += static_cast<uint32_t>(random.below(there - n.taken + 1));
          streams.take(s, n.taken + (n.taken == there ? 5 : 0));
          break;
        }
        case 4:  // the producer dies
          if (n.ended || !random.one_in(4)) break;
          n.at = 0;
          n.waits = false;
          n.credit = n.window;
          break;
        default:
          if (!random.one_in(12)) break;
          if (random.one_in(2)) {
            n.closed = true;
            streams.close(s);
          } else if (!n.waits) {
            n.ended = true;
            streams.end(s);
          }
          if (!n.ended || !n.closed) break;
          streams.forget_if_over(s);
          ASSERT_EQ(streams.find(task(which->first)), kNoIndex);
          naive.erase(which);
          ASSERT_EQ(streams.validate(), "");
          continue;
      }
      const StreamAmount held = n.held(n.at), all = n.held(UINT32_MAX);
      ASSERT_EQ(streams[s].produced, n.weights.size());
      ASSERT_EQ(streams[s].taken, n.taken);
      ASSERT_EQ(streams[s].untaken_bytes, all.bytes);
      if (n.window.items != UINT64_MAX) ASSERT_LE(all.items, n.window.items);
      // The last item may reach over the edge.
      ASSERT_LE(all.bytes, n.window.bytes + 3000 + kOverhead);
      if (n.waits) {
        const bool low = held.items <= n.window.items / 2 && held.bytes <= n.window.bytes / 2;
        ASSERT_EQ(streams.may_go_on(s, n.at), low || n.closed);
        if (low || n.closed) {
          n.credit = streams.credit(s, n.at);
          if (!n.closed) ASSERT_FALSE(n.credit.is_spent()) << "it would ask again at once";
          n.waits = false;
        }
      }
      ASSERT_EQ(streams.validate(), "") << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace sundog::core
