#include "node/batching.h"

#include <gtest/gtest.h>

namespace sundog::node {
namespace {

// Turns `gap` apart that all find and leave the same; how many of them are followed by a doze.
int dozes(Batching* batching, DurationNs gap, const TurnFacts& facts, int turns) {
  static TimeNs now = kSecond;
  int dozed = 0;
  for (int i = 0; i < turns; ++i) {
    now += gap;
    dozed += batching->after_turn(now, facts) ? 1 : 0;
  }
  return dozed;
}

constexpr DurationNs kOften = 10 * kMicrosecond;
constexpr TurnFacts kStorm{.records = 3, .tasks = 64, .waits = 1};
constexpr TurnFacts kOneCall{.records = 2, .tasks = 1, .waits = 1};

TEST(Batching, a_stream_of_short_tasks_gathers) {
  Batching batching;
  dozes(&batching, kOften, kStorm, 20);
  EXPECT_EQ(dozes(&batching, kOften, kStorm, 20), 20);
}

TEST(Batching, one_call_at_a_time_is_never_held_up) {
  Batching batching;
  // The daemon may see the call before the get that waits for it.
  constexpr TurnFacts kCallSeen{.records = 1, .tasks = 1, .waits = 0};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(dozes(&batching, kOften, kOneCall, 1), 0);
    EXPECT_EQ(dozes(&batching, kOften, kCallSeen, 1), 0);
  }
}

TEST(Batching, submissions_that_nobody_waits_for_gather_even_if_each_is_done_at_once) {
  Batching batching;
  constexpr TurnFacts kDoneAlready{.records = 2, .tasks = 0, .waits = 0};
  dozes(&batching, kOften, kDoneAlready, 50);
  EXPECT_EQ(dozes(&batching, kOften, kDoneAlready, 20), 20);
}

TEST(Batching, seldom_messages_are_not_held_up) {
  Batching batching;
  EXPECT_EQ(dozes(&batching, kMillisecond, kStorm, 100), 0);
}

TEST(Batching, a_daemon_that_is_waited_for_does_not_doze) {
  Batching batching;
  constexpr TurnFacts kFull{.records = 500, .tasks = 5'000, .waits = 1};
  EXPECT_EQ(dozes(&batching, kOften, kFull, 100), 0);
}

TEST(Batching, a_stream_after_a_pause_is_noticed_within_a_few_turns) {
  Batching batching;
  dozes(&batching, kSecond, kStorm, 5);
  EXPECT_GT(dozes(&batching, kOften, kStorm, 30), 10);
}

TEST(Batching, a_stream_that_pauses_is_not_held_up_when_it_goes_on) {
  Batching batching;
  dozes(&batching, kOften, kStorm, 50);
  EXPECT_FALSE(batching.after_turn(100 * kSecond, kStorm));
}

}  // namespace
}  // namespace sundog::node
