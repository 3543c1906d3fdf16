#include "node/arena.h"

#include <gtest/gtest.h>

#include "model/limits.h"
#include "os/clock.h"
#include "os/memory.h"

namespace sundog::node {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

class ArenaTest : public testing::Test {
 protected:
  std::unique_ptr<loop::EventLoop> loop_ = *loop::EventLoop::create();
  std::unique_ptr<Arena> arena_ = *Arena::create(256 * kMegabyte, loop_.get());

  // Waits for the range, however it is made.
  void make(uint64_t offset, uint64_t size) {
    bool there = false;
    auto room = arena_->make_room(offset, size, [&](Status s) {
      EXPECT_TRUE(s.ok());
      there = true;
    });
    ASSERT_NE(room, Arena::Room::kFailed);
    while (room == Arena::Room::kLater && !there) loop_->poll(kNever);
  }
  Arena::Room lend(uint64_t offset, uint64_t size) {
    return arena_->make_room(
        offset, size, [](Status) { FAIL() << "nobody waits"; }, Arena::Maker::kClient);
  }
  uint64_t resident() { return *os::memory_resident(arena_->memory()); }
};

TEST_F(ArenaTest, starts_without_a_page) {
  EXPECT_EQ(resident(), 0u);
  EXPECT_EQ(*os::memory_size(arena_->memory()), 256 * kMegabyte);
}

TEST_F(ArenaTest, a_small_range_is_there_at_once) {
  EXPECT_EQ(arena_->make_room(4096, 100, [](Status) {}), Arena::Room::kThere);
  EXPECT_EQ(resident(), kArenaChunkBytes);
  EXPECT_EQ(arena_->make_room(8192, 4096, [](Status) {}), Arena::Room::kThere);
  EXPECT_EQ(resident(), kArenaChunkBytes);
}

TEST_F(ArenaTest, a_large_range_comes_later_and_whole) {
  ASSERT_EQ(arena_->make_room(0, 40 * kMegabyte, [](Status) {}), Arena::Room::kLater);
  make(0, 40 * kMegabyte);
  EXPECT_GE(resident(), 40 * kMegabyte);
}

TEST_F(ArenaTest, a_range_that_is_being_made_is_waited_for) {
  bool first_done = false;
  ASSERT_EQ(arena_->make_room(0, 64 * kMegabyte, [&](Status) { first_done = true; }),
            Arena::Room::kLater);
  make(2 * kMegabyte, 4096);
  EXPECT_TRUE(first_done);
}

TEST_F(ArenaTest, after_the_first_large_range_more_is_made_ahead) {
  make(0, 32 * kMegabyte);
  while (arena_->made_bytes() < 64 * kMegabyte) loop_->poll(kNever);
  EXPECT_EQ(arena_->make_room(32 * kMegabyte, 32 * kMegabyte, [](Status) {}), Arena::Room::kThere);
}

TEST_F(ArenaTest, bytes_of_a_neighbour_survive_making_pages) {
  auto mapping = *os::Mapping::map(arena_->memory(), 0, 4 * kMegabyte, os::Access::kReadWrite,
                                   os::Sharing::kShared);
  make(3 * kMegabyte, 4096);
  mapping.data()[3 * kMegabyte] = std::byte{42};
  make(0, 16 * kMegabyte);
  EXPECT_EQ(mapping.data()[3 * kMegabyte], std::byte{42});
}

TEST_F(ArenaTest, room_is_made_ahead_also_while_one_range_after_the_other_is_asked_for) {
  make(0, 32 * kMegabyte);
  TimeNs end = os::now() + 20 * kAheadDelay;
  while (arena_->made_bytes() < 64 * kMegabyte && os::now() < end) {
    make(0, 32 * kMegabyte);  // there already, as in a stream of puts into recycled room
    loop_->poll(os::now() + kAheadDelay / 10);
  }
  EXPECT_GE(arena_->made_bytes(), 64 * kMegabyte);
}

TEST_F(ArenaTest, a_large_range_is_lent_to_a_client_that_makes_its_pages) {
  EXPECT_EQ(lend(0, 32 * kMegabyte), Arena::Room::kThere);
  EXPECT_EQ(resident(), 0u);
  EXPECT_EQ(lend(64 * kMegabyte, 4096), Arena::Room::kThere) << "a small one is made at once";
  EXPECT_EQ(resident(), kArenaChunkBytes);
}

TEST_F(ArenaTest, what_a_client_was_lent_and_did_not_make_is_made_for_the_next) {
  ASSERT_EQ(lend(0, 32 * kMegabyte), Arena::Room::kThere);
  arena_->freed(0, 32 * kMegabyte, os::now());  // it was killed before it touched a page
  make(kMegabyte, 4096);
  EXPECT_EQ(resident(), kArenaChunkBytes);
  make(0, 32 * kMegabyte);
  EXPECT_GE(resident(), 32 * kMegabyte);
}

TEST_F(ArenaTest, room_ahead_is_made_behind_what_was_lent_and_not_in_it) {
  ASSERT_EQ(lend(0, 32 * kMegabyte), Arena::Room::kThere);
  while (arena_->made_bytes() < 32 * kMegabyte) loop_->poll(kNever);
  EXPECT_EQ(resident(), 32 * kMegabyte);
  EXPECT_EQ(lend(32 * kMegabyte, 32 * kMegabyte), Arena::Room::kThere);
}

TEST_F(ArenaTest, a_range_that_is_being_made_is_not_lent) {
  ASSERT_EQ(arena_->make_room(0, 32 * kMegabyte, [](Status) {}), Arena::Room::kLater);
  bool there = false;
  ASSERT_EQ(
      arena_->make_room(
          16 * kMegabyte, 32 * kMegabyte, [&](Status s) { there = s.ok(); }, Arena::Maker::kClient),
      Arena::Room::kLater);
  while (!there) loop_->poll(kNever);
  EXPECT_GE(resident(), 48 * kMegabyte);
}

TEST_F(ArenaTest, a_range_outside_is_refused) {
  EXPECT_EQ(arena_->make_room(255 * kMegabyte, 2 * kMegabyte, [](Status) {}), Arena::Room::kFailed);
  EXPECT_EQ(arena_->make_room(~0ull - 4096, 8192, [](Status) {}), Arena::Room::kFailed);
}

TEST_F(ArenaTest, freed_pages_are_kept_while_memory_is_plenty) {
  make(0, 16 * kMegabyte);
  uint64_t before = resident();
  arena_->freed(0, 16 * kMegabyte, os::now());
  EXPECT_GE(resident(), before);
}

}  // namespace
}  // namespace sundog::node
