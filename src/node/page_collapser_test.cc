#include "node/page_collapser.h"

#include <gtest/gtest.h>

#include <cstring>

#include "loop/loop_thread.h"
#include "os/clock.h"
#include "os/memory.h"

namespace sundog::node {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;
constexpr uint64_t kBytes = 64 * kMegabyte;
constexpr DurationNs kShort = kMillisecond;

class PageCollapserTest : public testing::Test {
 protected:
  explicit PageCollapserTest(DurationNs slow = kSecond) : slow_(slow) {}
  void SetUp() override { ASSERT_TRUE(thread_.start().ok()); }
  void TearDown() override { thread_.stop(); }

  void make_small_pages() {
    for (uint64_t at = 0; at < kBytes; at += 64 * 1024)
      ASSERT_TRUE(os::allocate_pages(memory_.get(), at, 64 * 1024).ok());
  }
  void grant_and_read_twice(uint64_t offset, uint64_t size) {
    collapser_.granted(offset, size);
    collapser_.read(offset);
    collapser_.read(offset);
  }
  void let_time_pass() {
    TimeNs end = os::now() + 30 * kShort;
    while (os::now() < end) loop_->poll(end);
  }
  // Whether this kernel collapses pages of shared memory at all.
  bool kernel_can() {
    auto probe = *os::create_sealed_memory("probe", 2 * kMegabyte);
    auto mapping = *os::Mapping::map(probe.get(), 0, 2 * kMegabyte, os::Access::kReadWrite,
                                     os::Sharing::kShared);
    return mapping.collapse_to_huge_pages();
  }

  os::Fd memory_ = *os::create_sealed_memory("test", kBytes);
  std::unique_ptr<loop::EventLoop> loop_ = *loop::EventLoop::create();
  loop::LoopThread thread_{"pages"};
  int windows_ = 0;
  DurationNs slow_;  // a megabyte
  PageCollapser collapser_{memory_.get(), kBytes, loop_.get(),
                           [this](std::function<void()> f) {
                             ++windows_;
                             thread_.loop().post(std::move(f));
                           },
                           PageCollapser::Pace{.delay = kShort,
                                               .slow_per_megabyte = slow_,
                                               .bytes_read_per_slow_window = 96 * kMegabyte}};
};

class SlowPageCollapserTest : public PageCollapserTest {
 protected:
  SlowPageCollapserTest() : PageCollapserTest(-1) {}  // every window takes longer than that
};

TEST_F(PageCollapserTest, small_pages_of_a_value_that_stays_become_huge_and_keep_their_bytes) {
  if (!kernel_can()) GTEST_SKIP() << "this kernel does not collapse pages of shared memory";
  make_small_pages();
  auto view =
      *os::Mapping::map(memory_.get(), 0, kBytes, os::Access::kReadWrite, os::Sharing::kShared);
  for (uint64_t at = 0; at < kBytes; at += 4096) std::memcpy(view.data() + at, &at, sizeof at);
  grant_and_read_twice(2 * kMegabyte, 37 * kMegabyte);
  while (collapser_.huge_bytes() < 36 * kMegabyte) loop_->poll(kNever);
  EXPECT_EQ(collapser_.huge_bytes(), 36 * kMegabyte) << "the last MB shares a page with others";
  EXPECT_EQ(windows_, 3);
  for (uint64_t at = 0; at < kBytes; at += 4096)
    ASSERT_EQ(std::memcmp(view.data() + at, &at, sizeof at), 0) << at;
}

TEST_F(SlowPageCollapserTest, on_a_slow_host_a_window_follows_when_its_readers_paid_as_much) {
  if (!kernel_can()) GTEST_SKIP() << "this kernel does not collapse pages of shared memory";
  make_small_pages();
  grant_and_read_twice(0, 48 * kMegabyte);
  while (collapser_.huge_bytes() < 16 * kMegabyte) loop_->poll(kNever);
  collapser_.read(0);
  let_time_pass();
  EXPECT_EQ(windows_, 1) << "it rests";
  collapser_.granted(48 * kMegabyte, 16 * kMegabyte);
  collapser_.read(48 * kMegabyte);
  let_time_pass();
  EXPECT_EQ(windows_, 1) << "reads of a value that waits for nothing do not count";
  for (uint64_t window = 2; window <= 3; ++window) {
    collapser_.read(0);
    if (window == 3) collapser_.read(0);
    while (collapser_.huge_bytes() < window * 16 * kMegabyte) loop_->poll(kNever);
    EXPECT_EQ(windows_, static_cast<int>(window));
  }
}

TEST_F(PageCollapserTest, a_value_that_is_freed_or_read_once_costs_nothing) {
  make_small_pages();
  grant_and_read_twice(0, 16 * kMegabyte);
  collapser_.freed(0, 16 * kMegabyte);
  collapser_.granted(16 * kMegabyte, 16 * kMegabyte);
  collapser_.read(16 * kMegabyte);
  collapser_.read(40 * kMegabyte);  // where none is known
  let_time_pass();
  EXPECT_EQ(windows_, 0);
}

TEST_F(PageCollapserTest, pages_that_are_huge_are_left_alone) {
  collapser_.set_huge(0, 32 * kMegabyte, true);
  EXPECT_EQ(collapser_.huge_bytes(), 32 * kMegabyte);
  grant_and_read_twice(0, 32 * kMegabyte);
  let_time_pass();
  EXPECT_EQ(windows_, 0);
  collapser_.set_huge(3 * kMegabyte, 64 * 1024, false);  // a hole
  EXPECT_EQ(collapser_.huge_bytes(), 30 * kMegabyte);
}

TEST_F(PageCollapserTest, a_kernel_that_refuses_is_left_in_peace) {
  memory_.reset();
  grant_and_read_twice(0, 32 * kMegabyte);
  let_time_pass();
  EXPECT_EQ(windows_, 1) << "it rests after a failure";
  EXPECT_EQ(collapser_.huge_bytes(), 0u);
}

}  // namespace
}  // namespace sundog::node
