#include "os/light_mutex.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

namespace sundog::os {
namespace {

TEST(LightMutex, threads_that_want_it_get_it_one_by_one) {
  constexpr int kThreads = 4, kSteps = 20'000;
  LightMutex mutex;
  int64_t counted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kSteps; ++i) {
        std::unique_lock lock(mutex);
        ++counted;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counted, int64_t{kThreads} * kSteps);
}

TEST(LightMutex, wakes_who_sleeps_behind_it) {
  LightMutex mutex;
  int turn = 0;
  std::vector<std::thread> threads;
  std::unique_lock held(mutex);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::unique_lock lock(mutex);
      ++turn;
    });
  }
  EXPECT_EQ(turn, 0);
  held.unlock();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(turn, 3);
}

}  // namespace
}  // namespace sundog::os
