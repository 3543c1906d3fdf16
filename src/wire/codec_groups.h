// How lists of resources and messages about placement groups lie in records. Private to src/wire;
// included by codec_client.cc and codec_node.cc.
#pragma once

#include "model/limits.h"
#include "model/messages.h"
#include "wire/codec.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

// An amount; its name follows.
struct AmountRecord {
  int64_t amount;
  uint32_t name_bytes, pad;
};
static_assert(sizeof(AmountRecord) == 16);

inline uint64_t amounts_size(std::span<const model::NamedAmount> amounts) {
  uint64_t total = 0;
  for (const model::NamedAmount& a : amounts) total += sizeof(AmountRecord) + padded(a.name.size());
  return total;
}
inline void write_amounts(std::span<const model::NamedAmount> amounts, Writer* w) {
  for (const model::NamedAmount& a : amounts) {
    w->header(AmountRecord{a.amount, static_cast<uint32_t>(a.name.size()), 0});
    w->text(a.name);
  }
}
inline std::span<const model::NamedAmount> read_amounts(uint32_t count, Reader* r,
                                                        std::vector<model::NamedAmount>* amounts) {
  amounts->clear();
  if (!r->can_hold(count, sizeof(AmountRecord), "resources")) return {};
  for (uint32_t i = 0; i < count && r->ok(); ++i) {
    const auto item = r->header<AmountRecord>();
    r->require(item.amount >= 0, "it asks for a negative amount of a resource");
    amounts->push_back({r->text(item.name_bytes, "resource name"), item.amount});
  }
  return *amounts;
}

template <>
struct Codec<model::CreatePlacementGroup> {
  static constexpr RecordType kType = RecordType::kCreatePlacementGroup;
  static constexpr const char* kName = "CreatePlacementGroup record";
  struct Fixed {
    TaskId group, parent;
    uint32_t name_space_bytes, name_bytes, num_bundles, num_resources;
    uint8_t strategy, detached, pad[6];
    ValueRecord ready;
  };
  static_assert(sizeof(Fixed) == 80);

  static uint64_t size(const model::CreatePlacementGroup& m) {
    return sizeof(Fixed) + padded(m.name_space.size()) + padded(m.name.size()) +
           padded(m.bundles.size_bytes()) + amounts_size(m.resources) + inline_size(m.ready);
  }
  static void write(const model::CreatePlacementGroup& m, Writer* w) {
    auto length = [](const auto& part) { return static_cast<uint32_t>(part.size()); };
    w->header(Fixed{m.group,
                    m.parent,
                    length(m.name_space),
                    length(m.name),
                    length(m.bundles),
                    length(m.resources),
                    static_cast<uint8_t>(m.strategy),
                    m.detached,
                    {},
                    to_record(m.ready)});
    w->text(m.name_space);
    w->text(m.name);
    w->array(m.bundles);
    write_amounts(m.resources, w);
    write_inline(m.ready, w);
  }
  static model::CreatePlacementGroup read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    model::CreatePlacementGroup m;
    m.group = f.group;
    m.parent = f.parent;
    m.strategy = static_cast<model::GroupStrategy>(f.strategy);
    r->require(
        f.strategy >= 1 && f.strategy <= static_cast<uint8_t>(model::GroupStrategy::kStrictSpread),
        "its strategy is unknown");
    m.detached = r->flag(f.detached, "its detached is neither 0 nor 1");
    r->require(f.name_space_bytes <= model::kNameSpaceBytesMax, "its namespace is too long");
    r->require(f.name_bytes <= model::kGroupNameBytesMax, "its name is too long");
    m.name_space = r->text(f.name_space_bytes, "namespace");
    m.name = r->text(f.name_bytes, "name");
    r->require(f.num_bundles >= 1 && f.num_bundles <= model::kBundlesMax,
               "its number of bundles is not from 1 to kBundlesMax");
    m.bundles = r->array<uint32_t>(f.num_bundles, "bundles");
    uint64_t of_all = 0;
    for (uint32_t of_one : m.bundles) of_all += of_one;
    r->require(of_all == f.num_resources, "its bundles share out other resources than it has");
    m.resources = read_amounts(f.num_resources, r, &scratch->resources);
    r->require(f.ready.in_extent == 0, "its value is not inline");
    m.ready = read_value(f.ready, r);
    return m;
  }
};

template <>
struct Codec<model::RemovePlacementGroup> {
  static constexpr RecordType kType = RecordType::kRemovePlacementGroup;
  static constexpr const char* kName = "RemovePlacementGroup record";

  static uint64_t size(const model::RemovePlacementGroup&) { return sizeof(TaskId); }
  static void write(const model::RemovePlacementGroup& m, Writer* w) { w->header(m.group); }
  static model::RemovePlacementGroup read(Reader* r, DecodeScratch*) {
    return {r->header<TaskId>()};
  }
};

template <>
struct Codec<model::GroupRemoved> {
  static constexpr RecordType kType = RecordType::kGroupRemoved;
  static constexpr const char* kName = "GroupRemoved record";

  static uint64_t size(const model::GroupRemoved&) { return sizeof(TaskId); }
  static void write(const model::GroupRemoved& m, Writer* w) { w->header(m.group); }
  static model::GroupRemoved read(Reader* r, DecodeScratch*) { return {r->header<TaskId>()}; }
};

}  // namespace sundog::wire
