#include "base/task_family.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sundog {
namespace {

constexpr JobId kJob{7};

TEST(TaskFamily, children_are_what_task_ids_are_made_of) {
  const TaskId parent = TaskId::root_of(kJob);
  const TaskFamily family(kJob, parent, 3);
  for (uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_EQ(family.child(index), TaskId::make(kJob, parent, 3, index));
    EXPECT_EQ(family.child(index).job(), kJob);
  }
}

TEST(TaskFamily, no_two_children_are_the_same_whatever_differs) {
  std::set<std::string> ids;
  size_t made = 0;
  for (uint32_t attempt = 0; attempt < 3; ++attempt) {
    for (uint64_t parent = 0; parent < 4; ++parent) {
      const TaskFamily family(kJob, TaskId::make(kJob, {}, 0, parent), attempt);
      for (uint64_t index = 0; index < 5'000; ++index, ++made) {
        ids.insert(family.child(index).hex());
        ids.insert(family.child(~index).hex());
      }
    }
  }
  EXPECT_EQ(ids.size(), 2 * made);
}

// Messages show the first digits behind the job's number, tables take the low bits of the hash.
TEST(TaskFamily, siblings_differ_where_people_and_tables_look) {
  const TaskFamily family(kJob, TaskId::root_of(kJob), 0);
  std::set<std::string> shown;
  std::set<uint64_t> low_bits;
  for (uint64_t index = 0; index < 4096; ++index) {
    shown.insert(family.child(index).hex().substr(8, 8));
    low_bits.insert(family.child(index).hash() & 4095);
  }
  EXPECT_EQ(shown.size(), 4096u);
  EXPECT_GT(low_bits.size(), 4096u * 6 / 10) << "of random ones 63 % would differ";
}

}  // namespace
}  // namespace sundog
