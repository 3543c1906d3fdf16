#include "os/fresh_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "os/memory.h"

namespace sundog::os {
namespace {

class FreshPagesTest : public testing::Test {
 protected:
  Fd memory_ = *create_sealed_memory("test", 4 * kLargePage);
  Mapping mapping_ =
      *Mapping::map(memory_.get(), 0, 4 * kLargePage, Access::kReadWrite, Sharing::kShared);
  std::byte* at(uint64_t offset) { return mapping_.data() + offset; }
  uint64_t resident() { return *memory_resident(memory_.get()); }
};

TEST_F(FreshPagesTest, a_page_is_missing_until_somebody_made_it) {
  EXPECT_TRUE(is_page_missing(at(0)));
  *at(5) = std::byte{1};
  EXPECT_FALSE(is_page_missing(at(kSmallPage - 1)));
  EXPECT_TRUE(is_page_missing(at(kSmallPage)));
  Mapping other = *Mapping::map(memory_.get(), 0, kLargePage, Access::kReadWrite, Sharing::kShared);
  other.data()[kSmallPage] = std::byte{1};
  EXPECT_FALSE(is_page_missing(at(kSmallPage)));
  ASSERT_TRUE(allocate_pages(memory_.get(), kLargePage, kSmallPage));
  EXPECT_TRUE(is_page_missing(at(kLargePage))) << "not zeroed yet";
}

TEST_F(FreshPagesTest, a_large_page_keeps_what_lay_there) {
  *at(kLargePage + 7) = std::byte{42};
  const bool made = make_large_page(at(2 * kLargePage - 1));
  EXPECT_EQ(*at(kLargePage + 7), std::byte{42});
  EXPECT_FALSE(is_page_missing(at(2 * kLargePage - 1)));
  // Where the kernel has none the two pages that were touched are all there is.
  EXPECT_EQ(resident(), made ? kLargePage : 2 * kSmallPage);
}

TEST_F(FreshPagesTest, a_large_page_is_refused_where_its_mapping_ends) {
  Mapping part = *Mapping::map(memory_.get(), 0, kLargePage + kSmallPage, Access::kReadWrite,
                               Sharing::kShared);
  EXPECT_FALSE(make_large_page(part.data() + kLargePage));
  EXPECT_EQ(resident(), kSmallPage);
}

TEST_F(FreshPagesTest, small_pages_are_made_for_every_page_of_the_range) {
  ASSERT_TRUE(make_small_pages(at(kSmallPage + 100), kSmallPage));
  EXPECT_EQ(resident(), 2 * kSmallPage);
  EXPECT_TRUE(is_page_missing(at(0)));
}

class PageFillerTest : public FreshPagesTest {
 protected:
  PageFillerTest() : bytes_(8 * kSmallPage + 3) {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i * 7 + i / 251);
  }
  void SetUp() override {
    if (!filler_) GTEST_SKIP() << "no userfaultfd here";
  }
  std::vector<std::byte> bytes_;
  std::optional<PageFiller> filler_ = PageFiller::open();
};

TEST_F(PageFillerTest, pages_come_with_their_bytes_from_any_address) {
  EXPECT_EQ(filler_->fill(at(kSmallPage), bytes_.data() + 3, 8 * kSmallPage), 8 * kSmallPage);
  EXPECT_TRUE(std::equal(bytes_.begin() + 3, bytes_.end(), at(kSmallPage)));
  EXPECT_EQ(resident(), 8 * kSmallPage);
}

TEST_F(PageFillerTest, it_stops_at_a_page_that_is_there) {
  *at(2 * kSmallPage) = std::byte{42};
  EXPECT_EQ(filler_->fill(at(0), bytes_.data(), 8 * kSmallPage), 2 * kSmallPage);
  EXPECT_EQ(*at(2 * kSmallPage), std::byte{42});
}

TEST_F(PageFillerTest, afterwards_a_missing_page_is_an_ordinary_one) {
  *at(kSmallPage) = std::byte{1};
  EXPECT_EQ(filler_->fill(at(0), bytes_.data(), 8 * kSmallPage), kSmallPage);
  *at(3 * kSmallPage) = std::byte{42};  // would wait for ever
  EXPECT_EQ(*at(3 * kSmallPage), std::byte{42});
}

}  // namespace
}  // namespace sundog::os
