#include "node/batching.h"

#include <gtest/gtest.h>

namespace sundog::node {
namespace {

// Turns `gap` apart that all find and leave the same; how many of them are followed by a nap.
int naps(Batching* batching, DurationNs gap, const TurnFacts& facts, int turns) {
  static TimeNs now = kSecond;
  int napped = 0;
  for (int i = 0; i < turns; ++i) {
    now += gap;
    napped += batching->after_turn(now, facts) > 0 ? 1 : 0;
  }
  return napped;
}

constexpr DurationNs kOften = 10 * kMicrosecond;
constexpr TurnFacts kStorm{.records = 3, .tasks = 64, .waits = 1};
constexpr TurnFacts kOneCall{.records = 2, .tasks = 1, .waits = 1};

TEST(Batching, a_stream_of_short_tasks_gathers) {
  Batching batching;
  naps(&batching, kOften, kStorm, 20);
  EXPECT_EQ(naps(&batching, kOften, kStorm, 20), 20);
}

TEST(Batching, one_call_at_a_time_is_never_held_up) {
  Batching batching;
  // The daemon may see the call before the get that waits for it.
  constexpr TurnFacts kCallSeen{.records = 1, .tasks = 1, .waits = 0};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(naps(&batching, kOften, kOneCall, 1), 0);
    EXPECT_EQ(naps(&batching, kOften, kCallSeen, 1), 0);
  }
}

TEST(Batching, submissions_that_nobody_waits_for_gather_even_if_each_is_done_at_once) {
  Batching batching;
  constexpr TurnFacts kDoneAlready{.records = 2, .tasks = 0, .waits = 0};
  naps(&batching, kOften, kDoneAlready, 50);
  EXPECT_EQ(naps(&batching, kOften, kDoneAlready, 20), 20);
}

TEST(Batching, seldom_messages_are_not_held_up) {
  Batching batching;
  EXPECT_EQ(naps(&batching, kMillisecond, kStorm, 100), 0);
}

TEST(Batching, a_daemon_that_is_waited_for_does_not_nap) {
  Batching batching;
  constexpr TurnFacts kFull{.records = 500, .tasks = 5'000, .waits = 1};
  EXPECT_EQ(naps(&batching, kOften, kFull, 100), 0);
}

TEST(Batching, a_stream_after_a_pause_is_noticed_within_a_few_turns) {
  Batching batching;
  naps(&batching, kSecond, kStorm, 5);
  EXPECT_GT(naps(&batching, kOften, kStorm, 30), 10);
}

TEST(Batching, a_nap_that_gathers_little_is_followed_by_a_longer_one_up_to_a_limit) {
  Batching batching;
  naps(&batching, kOften, kStorm, 50);
  EXPECT_EQ(batching.after_turn(100 * kSecond, kStorm), 0);  // a pause
  Batching other;
  naps(&other, kOften, {.records = 63, .tasks = 32, .waits = 1}, 50);
  TimeNs now = 200 * kSecond;
  DurationNs last = 0;
  for (int i = 0; i < 40; ++i) {
    DurationNs nap = other.after_turn(now += kOften, kStorm);
    if (nap == 0) continue;
    EXPECT_GE(nap, last);
    EXPECT_LE(nap, Batching::kNapMax);
    last = nap;
  }
  EXPECT_EQ(last, Batching::kNapMax);
}

}  // namespace
}  // namespace sundog::node
