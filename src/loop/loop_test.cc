#include "loop/loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "loop/loop_thread.h"
#include "os/clock.h"

namespace sundog::loop {
namespace {

std::unique_ptr<EventLoop> make_loop() { return *EventLoop::create(); }

TEST(EventLoop, a_readable_descriptor_reaches_its_watcher) {
  auto loop = make_loop();
  auto pipe = *os::make_pipe(true);
  int calls = 0;
  FunctionWatcher watcher([&](const os::Readiness& r) { calls += r.readable; });
  ASSERT_TRUE(loop->watch(pipe.read.get(), &watcher).ok());
  EXPECT_FALSE(loop->poll(0));
  ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
  EXPECT_TRUE(loop->poll(kNever));
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, a_watcher_removed_in_the_same_pass_is_not_called) {
  auto loop = make_loop();
  auto a = *os::make_pipe(true);
  auto b = *os::make_pipe(true);
  int calls = 0;
  FunctionWatcher watch_a([&](const os::Readiness&) {
    ++calls;
    loop->unwatch(b.read.get());
  });
  FunctionWatcher watch_b([&](const os::Readiness&) {
    ++calls;
    loop->unwatch(a.read.get());
  });
  ASSERT_TRUE(loop->watch(a.read.get(), &watch_a).ok());
  ASSERT_TRUE(loop->watch(b.read.get(), &watch_b).ok());
  ASSERT_EQ(::write(a.write.get(), "x", 1), 1);
  ASSERT_EQ(::write(b.write.get(), "x", 1), 1);
  loop->poll(kNever);
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, each_signal_of_a_bell_ends_one_wait_although_nobody_drains_it) {
  auto loop = make_loop();
  auto bell = *os::make_eventfd();
  ASSERT_TRUE(loop->watch_bell(bell.get()).ok());
  const TimeNs end = os::now() + 20 * kSecond;
  for (int i = 0; i < 3; ++i) {
    os::signal_eventfd(bell.get());
    EXPECT_FALSE(loop->poll(end));  // nothing to run, but it came back
  }
  EXPECT_LT(os::now(), end);
  const TimeNs soon = os::now() + 2 * kMillisecond;
  while (os::now() < soon) EXPECT_FALSE(loop->poll(soon));
}

TEST(EventLoop, a_bell_rung_before_the_wait_is_heard_by_it) {
  auto loop = make_loop();
  auto bell = *os::make_eventfd();
  os::signal_eventfd(bell.get());
  ASSERT_TRUE(loop->watch_bell(bell.get()).ok());
  const TimeNs end = os::now() + 20 * kSecond;
  loop->poll(end);
  EXPECT_LT(os::now(), end);
}

TEST(EventLoop, a_hang_up_is_reported) {
  auto loop = make_loop();
  auto pipe = *os::make_pipe(true);
  bool gone = false;
  FunctionWatcher watcher([&](const os::Readiness& r) { gone = r.hang_up; });
  ASSERT_TRUE(loop->watch(pipe.read.get(), &watcher).ok());
  pipe.write.reset();
  loop->poll(kNever);
  EXPECT_TRUE(gone);
}

TEST(EventLoop, timers_run_in_the_order_of_their_moments_and_not_when_cancelled) {
  auto loop = make_loop();
  std::string order;
  TimeNs start = os::now();
  loop->at(start + 2 * kMillisecond, [&] { order += 'b'; });
  loop->at(start + kMillisecond, [&] { order += 'a'; });
  TimerId cancelled = loop->at(start, [&] { order += 'x'; });
  loop->cancel(cancelled);
  while (order.size() < 2) loop->poll(kNever);
  EXPECT_EQ(order, "ab");
  EXPECT_GE(os::now() - start, 2 * kMillisecond);
}

TEST(EventLoop, a_deadline_that_comes_nearer_is_kept_and_one_that_moves_away_ends_early_at_most) {
  auto loop = make_loop();
  const TimeNs start = os::now();
  int ran = 0;
  TimerId far = loop->at(start + 30 * kSecond, [&] { ran = 30; });
  loop->at(start + 5 * kMillisecond, [&] { ran = 5; });
  while (ran == 0) loop->poll(start + 20 * kSecond);
  EXPECT_EQ(ran, 5);
  EXPECT_LT(os::now() - start, 10 * kSecond);
  loop->cancel(far);
  // The descriptor may still be armed for an earlier moment: a pass or two in which nothing is due.
  const TimeNs until = os::now() + 3 * kMillisecond;
  int passes = 0;
  while (os::now() < until) passes += loop->poll(until) ? 100 : 1;
  EXPECT_LE(passes, 3);
  EXPECT_GE(os::now(), until);
}

TEST(EventLoop, posts_of_another_thread_run_here_in_order) {
  auto loop = make_loop();
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop->post([&seen, i] { seen.push_back(i); });
    loop->stop();
  });
  loop->run();
  other.join();
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_EQ(seen[99], 99);
}

TEST(LoopThread, what_was_posted_before_stop_has_run_after_it) {
  LoopThread thread("test");
  ASSERT_TRUE(thread.start().ok());
  int ran = 0;
  for (int i = 0; i < 10; ++i) thread.loop().post([&] { ++ran; });
  thread.stop();
  EXPECT_EQ(ran, 10);
}

}  // namespace
}  // namespace sundog::loop
