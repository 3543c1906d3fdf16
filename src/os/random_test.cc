#include "os/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace sundog::os {
namespace {

TEST(Random, bytes_differ_between_calls_and_reach_the_last_one) {
  std::array<unsigned char, 4096> first{}, second{};
  fill_random(first.data(), first.size());
  fill_random(second.data(), second.size());
  EXPECT_NE(first, second);
  // 64 zero bytes at the end come by chance once in 2^512.
  EXPECT_NE(std::count(first.end() - 64, first.end(), 0), 64);
}

}  // namespace
}  // namespace sundog::os
