// ExtentAllocator against a byte map that knows nothing of lists.
#include "core/objects/extent_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace sundog::core {
namespace {

using model::kHugePageBytes;
using model::kPageBytes;

TEST(ExtentAllocator, gives_a_freed_range_to_the_next_request_of_its_size) {
  ExtentAllocator a(64 << 20);
  auto first = a.allocate(8 << 20);
  a.allocate(8 << 20);
  a.release(*first);
  EXPECT_EQ(a.allocate(8 << 20), first);
}

TEST(ExtentAllocator, places_large_ranges_at_huge_page_boundaries) {
  ExtentAllocator a(64 << 20);
  a.allocate(kPageBytes);
  auto large = a.allocate(kHugePageBytes + 1);
  ASSERT_TRUE(large.has_value());
  EXPECT_EQ(*large % kHugePageBytes, 0u);
}

TEST(ExtentAllocator, shrinking_gives_whole_pages_back) {
  ExtentAllocator a(1 << 20);
  auto range = a.allocate(10 * kPageBytes);
  a.shrink(*range, 2 * kPageBytes + 1);
  EXPECT_EQ(a.used(), 3 * kPageBytes);
  EXPECT_EQ(a.size_at(*range), 3 * kPageBytes);
  EXPECT_EQ(a.validate(), "");
}

// The naive model: one flag a page.
class PageMap {
 public:
  explicit PageMap(size_t pages) : used_(pages, false) {}
  void take(uint64_t offset, uint64_t size) {
    for (uint64_t p = offset / kPageBytes; p < round_up(offset + size, kPageBytes) / kPageBytes;
         ++p) {
      ASSERT_LT(p, used_.size()) << "beyond the arena";
      ASSERT_FALSE(used_[p]) << "page " << p << " is given twice";
      used_[p] = true;
    }
  }
  void give(uint64_t offset, uint64_t size) {
    for (uint64_t p = offset / kPageBytes; p < round_up(offset + size, kPageBytes) / kPageBytes;
         ++p)
      used_[p] = false;
  }
  // Whether `size` bytes fit anywhere at the alignment that the size asks for.
  bool fits(uint64_t size) const {
    uint64_t pages = round_up(size, kPageBytes) / kPageBytes;
    uint64_t step = round_up(size, kPageBytes) >= kHugePageBytes ? kHugePageBytes / kPageBytes : 1;
    for (uint64_t start = 0; start + pages <= used_.size(); start += step) {
      bool free = true;
      for (uint64_t p = start; p < start + pages && free; ++p) free = !used_[p];
      if (free) return true;
    }
    return false;
  }
  uint64_t used() const {
    uint64_t n = 0;
    for (bool u : used_) n += u;
    return n * kPageBytes;
  }

 private:
  std::vector<bool> used_;
};

TEST(ExtentAllocator, random_use_agrees_with_a_map_of_pages) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    constexpr uint64_t kCapacity = 16 << 20;
    ExtentAllocator a(kCapacity);
    PageMap map(kCapacity / kPageBytes);
    std::map<uint64_t, uint64_t> ranges;
    for (int i = 0; i < 600; ++i) {
      if (ranges.empty() || !random.one_in(2)) {
        uint64_t size = 1 + random.below(random.one_in(4) ? 5 << 20 : 64 << 10);
        auto offset = a.allocate(size);
        ASSERT_EQ(offset.has_value(), map.fits(size)) << "seed " << seed << " step " << i;
        if (!offset) continue;
        map.take(*offset, size);
        ranges[*offset] = size;
      } else {
        auto it = std::next(ranges.begin(), static_cast<long>(random.below(ranges.size())));
        if (random.one_in(3)) {
          uint64_t keep = 1 + random.below(it->second);
          a.shrink(it->first, keep);
          map.give(it->first, it->second);
          map.take(it->first, keep);
          it->second = keep;
        } else {
          a.release(it->first);
          map.give(it->first, it->second);
          ranges.erase(it);
        }
      }
      ASSERT_EQ(a.used(), map.used());
      ASSERT_EQ(a.validate(), "");
    }
  }
}

}  // namespace
}  // namespace sundog::core
