#include "client/copy.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"

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

}  // namespace
}  // namespace sundog::client
