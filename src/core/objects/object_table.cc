#include "core/objects/object_table.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

// ---------------------------------------------------------------- HolderCounts

void HolderCounts::add_further(ClientId client, uint32_t count) {
  if (count == 0) return;
  if (!more_) more_ = std::make_unique<std::vector<HolderCount>>();
  // One entry a client: it may have one here although the first place is free.
  for (auto& h : *more_) {
    if (h.client == client) {
      h.count += count;
      return;
    }
  }
  if (first_.count == 0) {
    first_ = {client, count};
    return;
  }
  more_->push_back({client, count});
}

uint32_t HolderCounts::remove_further(ClientId client, uint32_t count) {
  for (size_t i = 0; i < more_->size(); ++i) {
    HolderCount& h = (*more_)[i];
    if (h.client != client) continue;
    uint32_t taken = std::min(count, h.count);
    h.count -= taken;
    if (h.count == 0) {
      h = more_->back();
      more_->pop_back();
      if (more_->empty()) more_.reset();
    }
    return taken;
  }
  return 0;
}

uint32_t HolderCounts::count_further(ClientId client) const {
  for (const auto& h : *more_)
    if (h.client == client) return h.count;
  return 0;
}

uint64_t HolderCounts::total() const {
  uint64_t sum = 0;
  each([&](const HolderCount& h) { sum += h.count; });
  return sum;
}

// ---------------------------------------------------------------- ObjectTable

uint32_t ObjectTable::try_create(const ObjectId& id, TimeNs now) {
  uint32_t index = objects_.allocate();
  if (!index_.try_emplace(id, index).second) {
    objects_.release(index);
    return kNoIndex;
  }
  ObjectRecord& o = objects_[index];
  o.id = id;
  o.created = now;
  return index;
}

void ObjectTable::set_value(uint32_t index, const model::ValueView& value,
                            std::vector<uint32_t> contained) {
  ObjectRecord& o = objects_[index];
  SUNDOG_CHECK(!o.ready);
  o.ready = true;
  o.order = next_order();
  o.format = value.format;
  if (value.in_extent()) {
    o.extent = value.extent;
  } else if (!value.bytes.empty()) {
    o.bytes.assign(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
    inline_bytes_ += o.bytes.size();
  }
  o.contained = std::move(contained);
  for (uint32_t inner : o.contained) add_internal(inner);
  if (!o.referenced()) suspect(index);
}

void ObjectTable::drop_internal(uint32_t index) {
  ObjectRecord& o = objects_[index];
  SUNDOG_CHECK(o.internal_refs > 0);
  if (--o.internal_refs == 0) suspect(index);
}

void ObjectTable::pin(uint32_t index, ClientId client) {
  SUNDOG_CHECK(!objects_[index].extent.empty());
  objects_[index].pins.add(client, 1);
}

bool ObjectTable::unpin(uint32_t index, ClientId client, uint32_t count) {
  ObjectRecord& o = objects_[index];
  uint32_t taken = o.pins.remove(client, count);
  if (!o.referenced()) suspect(index);
  return taken == count;
}

void ObjectTable::drop_client(ClientId client) {
  for (uint32_t i = 0; i < objects_.end(); ++i) {
    ObjectRecord& o = objects_[i];
    if (!o.live) continue;
    bool touched = o.refs.remove(client, UINT32_MAX) != 0;
    touched |= o.pins.remove(client, UINT32_MAX) != 0;
    if (o.submitter == client) o.submitter = ClientId{};
    if (touched && !o.referenced()) suspect(i);
  }
}

void ObjectTable::collect(std::vector<model::Extent>* freed) {
  // Dropping a container may make what it contained a suspect: the list grows while we walk it.
  size_t later = 0;  // those to look at again move to its beginning
  for (size_t i = 0; i < suspects_.size(); ++i) {
    uint32_t index = suspects_[i];
    ObjectRecord& o = objects_[index];
    o.deferred = false;
    // A task names its results by their records until it ends, those it delivered ahead too.
    bool its_task_lives = o.producer != kNoIndex;
    if (o.referenced() || its_task_lives) continue;
    if (o.first_wait != kNoIndex || o.first_dependent != kNoIndex) continue;
    if (o.shared) unreferenced_.push_back(o.id);
    if (!o.pins.empty()) continue;
    if (o.viewed_in_step == step_) {
      SUNDOG_PROBE("objects.freed_a_step_later");
      o.deferred = true;
      suspects_[later++] = index;
      continue;
    }
    inline_bytes_ -= o.bytes.size();
    if (!o.extent.empty()) free_extent(o.extent, freed);
    if (o.actor != kNoIndex) freed_handles_.push_back(o.actor);
    index_.erase(o.id);
    if (o.contained.empty()) {
      objects_.release(index);
      continue;
    }
    const std::vector<uint32_t> contained = std::move(o.contained);
    objects_.release(index);
    for (uint32_t inner : contained) drop_internal(inner);
  }
  suspects_.resize(later);
}

void ObjectTable::free_extent(const model::Extent& extent, std::vector<model::Extent>* freed) {
  model::Extent whole = extent;
  whole.size = allocator_.size_at(extent.offset);
  allocator_.release(extent.offset);
  freed->push_back(whole);
}

uint64_t ObjectTable::pinned_objects() const {
  uint64_t count = 0;
  for (uint32_t i = 0; i < objects_.end(); ++i)
    if (objects_[i].live && !objects_[i].pins.empty()) ++count;
  return count;
}

bool ObjectTable::others_will_unpin(ClientId client) const {
  for (uint32_t i = 0; i < objects_.end(); ++i) {
    const ObjectRecord& o = objects_[i];
    if (!o.live || o.referenced() || o.pins.empty()) continue;
    if (o.pins.total() > o.pins.count(client)) return true;
  }
  return false;
}

std::string ObjectTable::validate() const {
  if (std::string wrong = allocator_.validate(); !wrong.empty()) return "allocator: " + wrong;
  uint64_t inline_sum = 0;
  std::vector<uint32_t> containers(objects_.end(), 0);
  for (uint32_t i = 0; i < objects_.end(); ++i)
    if (objects_[i].live)
      for (uint32_t inner : objects_[i].contained) ++containers[inner];
  for (uint32_t i = 0; i < objects_.end(); ++i) {
    const ObjectRecord& o = objects_[i];
    if (!o.live) continue;
    std::string who = "object " + o.id.hex() + ": ";
    if (find(o.id) != i) return who + "not in the index";
    if (o.ready && o.extent.empty()) inline_sum += o.bytes.size();
    if (!o.extent.empty() && allocator_.size_at(o.extent.offset) < o.extent.size)
      return who + "its extent is not allocated";
    if (!o.pins.empty() && o.extent.empty()) return who + "pinned without an extent";
    if (o.internal_refs < containers[i]) return who + "a container does not count";
    if (o.ready && !o.referenced() && o.pins.empty() && o.producer == kNoIndex && !o.deferred)
      return who + "nobody holds it";
    // Without a task it is a placement group's, which holds it: NodeCore looks whose.
    if (!o.ready && o.producer == kNoIndex && !o.shared && o.internal_refs == 0)
      return who + "pending without a producer";
  }
  if (inline_sum != inline_bytes_) return "inline bytes are miscounted";
  if (index_.size() != objects_.live()) return "the index has strangers";
  return {};
}

}  // namespace sundog::core
