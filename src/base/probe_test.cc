#include "base/probe.h"

#include <gtest/gtest.h>

namespace sundog {
namespace {

void rare(bool take) {
  if (take) SUNDOG_PROBE("probe_test.rare");
}

TEST(Probe, counts_hits_of_one_name_over_several_places) {
  EXPECT_EQ(probe_hits("probe_test.rare"), 0u);
  rare(false);
  EXPECT_EQ(probe_hits("probe_test.rare"), 0u);
  rare(true);
  rare(true);
  SUNDOG_PROBE("probe_test.rare");
  EXPECT_EQ(probe_hits("probe_test.rare"), 3u);
  EXPECT_EQ(probe_hits("probe_test.unknown"), 0u);
}

TEST(Probe, list_is_sorted_by_name) {
  SUNDOG_PROBE("probe_test.b");
  SUNDOG_PROBE("probe_test.a");
  auto all = all_probe_hits();
  for (size_t i = 1; i < all.size(); ++i) EXPECT_LT(all[i - 1].first, all[i].first);
}

}  // namespace
}  // namespace sundog
