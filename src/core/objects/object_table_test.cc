// ObjectTable against a naive model: sets of tokens, and reachability computed from scratch.
#include "core/objects/object_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"

namespace sundog::core {
namespace {

ObjectId id_of(uint32_t n) { return {TaskId::root_of(JobId{1}), ObjectId::kPutBit | n}; }

TEST(HolderCounts, keeps_one_entry_a_process) {
  HolderCounts h;
  ClientId a{1}, b{2};
  h.add(a, 1);
  h.add(b, 2);
  EXPECT_EQ(h.remove(a, 1), 1u);
  h.add(b, 1);
  EXPECT_EQ(h.count(b), 3u);
  EXPECT_EQ(h.remove(b, 5), 3u);
  EXPECT_TRUE(h.empty());
}

struct NaiveObject {
  std::map<uint32_t, uint32_t> refs, pins;  // client -> count
  uint32_t internal = 0;
  std::vector<uint32_t> contained;
  bool extent = false;
};

// Removes what nobody holds until nothing changes.
void sweep(std::map<uint32_t, NaiveObject>* all) {
  for (bool changed = true; changed;) {
    changed = false;
    std::map<uint32_t, uint32_t> by_containers;
    for (auto& [n, o] : *all)
      for (uint32_t inner : o.contained) ++by_containers[inner];
    for (auto it = all->begin(); it != all->end();) {
      const NaiveObject& o = it->second;
      if (o.refs.empty() && o.pins.empty() && o.internal == 0 && by_containers[it->first] == 0) {
        it = all->erase(it);
        changed = true;
      } else {
        ++it;
      }
    }
  }
}

TEST(ObjectTable, random_references_and_pins_agree_with_a_naive_sweep) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    ObjectTable table(64 << 20);
    std::map<uint32_t, NaiveObject> naive;
    std::vector<model::Extent> freed;
    uint32_t next = 0;
    auto pick = [&]() -> uint32_t {
      if (naive.empty()) return kNoIndex;
      return std::next(naive.begin(), static_cast<long>(random.below(naive.size())))->first;
    };
    for (int i = 0; i < 800; ++i) {
      table.begin_step();
      ClientId client{static_cast<uint32_t>(1 + random.below(3))};
      uint32_t n = pick();
      switch (random.below(8)) {
        case 0:
        case 1: {
          n = ++next;
          NaiveObject o;
          model::ValueView value;
          value.format = model::Format::kRaw;
          o.extent = random.one_in(2);
          if (o.extent) {
            uint64_t size = 1 + random.below(100'000);
            value.extent = {0, 0, *table.allocator().allocate(size), size};
          }
          std::vector<uint32_t> contained;
          for (uint64_t k = random.below(3); k > 0; --k) {
            uint32_t inner = pick();
            if (inner == kNoIndex) break;
            o.contained.push_back(inner);
            contained.push_back(table.find(id_of(inner)));
          }
          uint32_t index = table.create(id_of(n), 0);
          table.add_refs(index, client, 1);
          table.set_value(index, value, contained);
          ++o.refs[client.value];
          naive[n] = std::move(o);
          break;
        }
        case 2:
          if (n == kNoIndex) break;
          table.add_refs(table.find(id_of(n)), client, 2);
          naive[n].refs[client.value] += 2;
          break;
        case 3: {
          if (n == kNoIndex) break;
          bool had = naive[n].refs.contains(client.value);
          EXPECT_EQ(table.drop_refs(table.find(id_of(n)), client, 1), had);
          if (had && --naive[n].refs[client.value] == 0) naive[n].refs.erase(client.value);
          break;
        }
        case 4:
          if (n == kNoIndex || !naive[n].extent) break;
          table.pin(table.find(id_of(n)), client);
          ++naive[n].pins[client.value];
          break;
        case 5: {
          if (n == kNoIndex) break;
          bool had = naive[n].pins.contains(client.value);
          EXPECT_EQ(table.unpin(table.find(id_of(n)), client, 1), had);
          if (had && --naive[n].pins[client.value] == 0) naive[n].pins.erase(client.value);
          break;
        }
        case 6:
          if (n == kNoIndex) break;
          if (naive[n].internal > 0 && random.one_in(2)) {
            table.drop_internal(table.find(id_of(n)));
            --naive[n].internal;
          } else {
            table.add_internal(table.find(id_of(n)));
            ++naive[n].internal;
          }
          break;
        case 7:
          if (!random.one_in(20)) break;
          table.drop_client(client);
          for (auto& [k, o] : naive) {
            o.refs.erase(client.value);
            o.pins.erase(client.value);
          }
          break;
      }
      table.collect(&freed);
      sweep(&naive);
      ASSERT_EQ(table.live(), naive.size()) << "seed " << seed << " step " << i;
      for (auto& [k, o] : naive) ASSERT_NE(table.find(id_of(k)), kNoIndex);
      ASSERT_EQ(table.validate(), "");
    }
  }
}

TEST(ObjectTable, bytes_that_an_effect_views_survive_the_step) {
  ObjectTable table(1 << 20);
  std::vector<model::Extent> freed;
  table.begin_step();
  uint32_t o = table.create(id_of(1), 0);
  table.set_value(o, {model::Format::kText, {}, as_bytes("seen")}, {});
  table.viewed(o);
  table.collect(&freed);
  ASSERT_EQ(table.live(), 1u);
  table.begin_step();
  table.collect(&freed);
  EXPECT_EQ(table.live(), 0u);
}

}  // namespace
}  // namespace sundog::core
