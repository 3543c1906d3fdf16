#include "client/copy.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "os/memory.h"

namespace sundog::client {
namespace {

std::vector<std::byte> noise(size_t size, uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
  return bytes;
}

constexpr std::byte kGuard{0xa5};

// Copies with `shift` bytes before the target and behind it, which must stay as they are.
void expect_copied(size_t size, size_t from_shift, size_t to_shift) {
  const std::vector<std::byte> source = noise(size + from_shift, size + 1);
  std::vector<std::byte> target(size + to_shift + 128, kGuard);
  const Bytes from(source.data() + from_shift, size);
  copy_bytes(target.data() + to_shift, from);
  EXPECT_TRUE(std::equal(from.begin(), from.end(), target.begin() + static_cast<long>(to_shift)))
      << size << " bytes, from + " << from_shift << ", to + " << to_shift;
  for (size_t i = 0; i < to_shift; ++i) ASSERT_EQ(target[i], kGuard);
  for (size_t i = size + to_shift; i < target.size(); ++i) ASSERT_EQ(target[i], kGuard);
}

TEST(Copy, every_size_and_alignment_arrives_and_nothing_beside) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{4097}}) {
    expect_copied(size, 3, 5);
  }
  for (size_t size : {kTwoThreadsBytes - 1, kTwoThreadsBytes + 1, kStreamBytes - 1, kStreamBytes}) {
    expect_copied(size, 0, 0);
  }
  for (size_t shift : {1, 16, 40, 63}) expect_copied(kStreamBytes + 77, shift, 64 - shift);
}

TEST(Copy, parts_of_all_sizes_are_shared_out_by_their_bytes) {
  Random random(7);
  std::vector<std::vector<std::byte>> sources, targets;
  for (size_t total = 0; total < kStreamBytes + 1000;) {
    const size_t size = random.below(4) == 0 ? random.below(100) : random.below(3 << 20);
    sources.push_back(noise(size, total));
    targets.emplace_back(size);
    total += size;
  }
  std::vector<Copy> parts;
  for (size_t i = 0; i < sources.size(); ++i) parts.push_back({targets[i].data(), sources[i]});
  copy_parts(parts);
  EXPECT_TRUE(sources == targets);
}

// Shared memory without a page, as a large grant is.
class FreshTarget : public testing::Test {
 protected:
  static constexpr size_t kBytes = kStreamBytes + (8 << 20);
  os::Fd memory_ = *os::create_sealed_memory("test", kBytes);
  os::Mapping mapping_ =
      *os::Mapping::map(memory_.get(), 0, kBytes, os::Access::kReadWrite, os::Sharing::kShared);
};

TEST_F(FreshTarget, bytes_arrive_at_every_alignment_and_nothing_beside) {
  for (size_t size : {kTwoThreadsBytes + 5, kStreamBytes + 4097}) {
    for (size_t shift : {size_t{0}, size_t{4096}, size_t{4160}, (size_t{2} << 20) - 64}) {
      ASSERT_TRUE(os::punch_hole(memory_.get(), 0, kBytes));
      const std::vector<std::byte> source = noise(size, size + shift);
      copy_bytes(mapping_.data() + shift, source);
      EXPECT_TRUE(std::equal(source.begin(), source.end(), mapping_.data() + shift));
      const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
      EXPECT_TRUE(std::all_of(mapping_.data(), mapping_.data() + shift, is_zero)) << shift;
      const std::byte* end = mapping_.data() + shift + size;
      EXPECT_TRUE(std::all_of(end, end + 8192, is_zero)) << shift;
    }
  }
}

TEST_F(FreshTarget, what_lies_between_the_parts_stays) {
  const std::vector<std::byte> source = noise(kBytes, 3);
  std::vector<Copy> parts;
  std::vector<size_t> gaps;
  Random random(11);
  for (size_t at = 0; at < kBytes;) {
    const size_t size = std::min<size_t>(kBytes - at, 1 + random.below(3 << 20));
    parts.push_back({mapping_.data() + at, Bytes(source).subspan(at, size)});
    at += size;
    if (at >= kBytes) break;
    mapping_.data()[at] = kGuard;  // one that has its page already
    gaps.push_back(at);
    at += 1 + random.below(20'000);
  }
  copy_parts(parts);
  for (const Copy& part : parts) {
    ASSERT_TRUE(std::equal(part.from.begin(), part.from.end(), part.to));
  }
  for (size_t at : gaps) ASSERT_EQ(mapping_.data()[at], kGuard);
}

TEST_F(FreshTarget, pages_can_be_had_without_bytes) {
  mapping_.data()[100] = kGuard;
  make_pages(mapping_.data(), kStreamBytes + 100);
  EXPECT_GE(*os::memory_resident(memory_.get()), kStreamBytes + 4096);
  EXPECT_EQ(mapping_.data()[100], kGuard);
}

}  // namespace
}  // namespace sundog::client
