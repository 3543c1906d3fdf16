#include "core/sched/gpu_ids.h"

#include <gtest/gtest.h>

namespace sundog::core {
namespace {

using Shares = std::vector<GpuShare>;

TEST(GpuIds, whole_gpus_come_lowest_first_and_come_back) {
  GpuIds ids(30'000);
  auto first = ids.take(10'000);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, (Shares{{0, 10'000}}));
  EXPECT_EQ(*ids.take(20'000), (Shares{{1, 10'000}, {2, 10'000}}));
  EXPECT_FALSE(ids.take(10'000));
  ids.give_back(*first);
  EXPECT_EQ(*ids.take(10'000), (Shares{{0, 10'000}}));
}

TEST(GpuIds, shares_fill_one_gpu_before_they_open_another) {
  GpuIds ids(20'000);
  EXPECT_EQ(*ids.take(5'000), (Shares{{0, 5'000}}));
  EXPECT_EQ(*ids.take(2'500), (Shares{{0, 2'500}}));
  EXPECT_EQ(*ids.take(5'000), (Shares{{1, 5'000}}));
  EXPECT_EQ(*ids.take(2'500), (Shares{{0, 2'500}}));
  EXPECT_EQ(ids.free(), 5'000);
}

TEST(GpuIds, halves_of_two_gpus_are_no_whole_one) {
  GpuIds ids(20'000);
  auto a = ids.take(6'000), b = ids.take(6'000);
  ASSERT_TRUE(a && b);
  EXPECT_NE((*a)[0].gpu, (*b)[0].gpu);
  EXPECT_FALSE(ids.take(8'000)) << "0.8 is free, in two pieces";
}

TEST(GpuIds, more_than_one_must_be_whole) {
  GpuIds ids(20'000);
  EXPECT_FALSE(ids.take(15'000));
  EXPECT_EQ(ids.free(), 20'000);
}

}  // namespace
}  // namespace sundog::core
