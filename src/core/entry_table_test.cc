// EntryTable against std::map.
#include "core/entry_table.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <vector>

#include "base/random.h"

namespace sundog::core {
namespace {

struct Entry {
  ObjectId id;
  Entry* next_of_bucket = nullptr;
};

TEST(EntryTable, agrees_with_a_map_whatever_is_added_and_taken_out) {
  Random random(5);
  EntryTable<Entry> table;
  std::map<ObjectId, Entry*> model;
  std::deque<Entry> memory;
  for (int step = 0; step < 20'000; ++step) {
    const ObjectId id{
        TaskId::make(JobId{1}, {}, 0, random.below(900)),
        static_cast<uint32_t>(random.below(3)) | (random.below(2) != 0 ? ObjectId::kPutBit : 0)};
    auto known = model.find(id);
    EXPECT_EQ(table.find(id), known == model.end() ? nullptr : known->second);
    if (known == model.end()) {
      table.insert(model[id] = &memory.emplace_back(Entry{id}));
    } else if (random.below(3) != 0) {
      table.erase(known->second);
      model.erase(known);
    }
    EXPECT_EQ(table.size(), model.size());
  }
  std::map<ObjectId, Entry*> visited;
  table.each([&](Entry* entry) { visited[entry->id] = entry; });
  EXPECT_EQ(visited, model);
  EXPECT_GT(model.size(), 1000u) << "it grew some times";
  table.clear();
  EXPECT_EQ(table.size(), 0u);
  for (const auto& [id, entry] : model) EXPECT_EQ(table.find(id), nullptr);
}

}  // namespace
}  // namespace sundog::core
