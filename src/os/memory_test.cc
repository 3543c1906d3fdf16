#include "os/memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sundog::os {
namespace {

TEST(Memory, cannot_be_resized_by_anyone) {
  Fd memory = *create_sealed_memory("test", 1 << 20);
  EXPECT_NE(ftruncate(memory.get(), 4096), 0);
  EXPECT_NE(ftruncate(memory.get(), 2 << 20), 0);
  EXPECT_EQ(*memory_size(memory.get()), 1u << 20);
  EXPECT_EQ(*memory_resident(memory.get()), 0u);
}

TEST(Memory, read_only_descriptor_refuses_shared_writable_mappings) {
  Fd memory = *create_sealed_memory("test", 1 << 20);
  Fd read_only = *reopen_read_only(memory.get());
  EXPECT_FALSE(Mapping::map(read_only.get(), 0, 4096, Access::kReadWrite, Sharing::kShared));
  EXPECT_TRUE(Mapping::map(read_only.get(), 0, 4096, Access::kRead, Sharing::kShared));
}

TEST(Memory, private_writes_reach_nobody_else) {
  Fd memory = *create_sealed_memory("test", 1 << 20);
  Fd read_only = *reopen_read_only(memory.get());
  Mapping writer = *Mapping::map(memory.get(), 4096, 4096, Access::kReadWrite, Sharing::kShared);
  writer.data()[7] = std::byte{42};
  Mapping view = *Mapping::map(read_only.get(), 4096, 4096, Access::kReadWrite, Sharing::kPrivate);
  EXPECT_EQ(view.data()[7], std::byte{42});
  view.data()[7] = std::byte{1};
  EXPECT_EQ(writer.data()[7], std::byte{42});
  std::byte read{};
  ASSERT_TRUE(read_memory(read_only.get(), 4096 + 7, {&read, 1}));
  EXPECT_EQ(read, std::byte{42});
}

TEST(Memory, protection_of_the_first_bytes_leaves_the_others) {
  Fd memory = *create_sealed_memory("test", 1 << 20);
  Mapping all = *Mapping::map(memory.get(), 0, 3 * 4096, Access::kReadWrite, Sharing::kShared);
  ASSERT_TRUE(all.protect(Access::kRead, 4096 + 1));  // two pages
  all.data()[2 * 4096] = std::byte{7};
  EXPECT_EQ(all.data()[2 * 4096], std::byte{7});
  EXPECT_DEATH(all.data()[4096] = std::byte{7}, "");
  ASSERT_TRUE(all.protect(Access::kReadWrite, 1 << 20));  // no further than the mapping
  all.data()[4096] = std::byte{7};
}

TEST(Memory, allocated_pages_are_given_back_by_a_hole) {
  Fd memory = *create_sealed_memory("test", 1 << 20);
  ASSERT_TRUE(allocate_pages(memory.get(), 0, 64 << 10));
  EXPECT_EQ(*memory_resident(memory.get()), 64u << 10);
  ASSERT_TRUE(punch_hole(memory.get(), 0, 64 << 10));
  EXPECT_EQ(*memory_resident(memory.get()), 0u);
}

TEST(Memory, reading_past_the_end_is_an_error_and_not_a_fault) {
  Fd memory = *create_sealed_memory("test", 4096);
  std::byte out[16];
  EXPECT_FALSE(read_memory(memory.get(), 4090, out));
}

}  // namespace
}  // namespace sundog::os
