// EntryTable: the entries of a client process, found by the ids that lie in them.
//
// Chains through the entries themselves, from an array of as many heads as there are entries at
// most. An id is a hash already, and the numbers of one task's objects differ in their low bits: no
// more is mixed. To add one is two stores, and nothing is moved but when the array doubles.
// Entries are not owned. One caller at a time.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace sundog::core {

// `Entry` has a member `id` and a member `next_of_bucket`, which is the table's.
template <typename Entry>
class EntryTable {
 public:
  Entry* find(const ObjectId& id) const {
    Entry* entry = heads_[bucket_of(id)];
    while (entry != nullptr && !(entry->id == id)) entry = entry->next_of_bucket;
    return entry;
  }
  // What find() reads first, on its way into the cache: most chains have one entry.
  void prefetch(const ObjectId& id) const {
    const Entry* first = heads_[bucket_of(id)];
    asm volatile("" : : "r"(first));  // gcc drops a call that does nothing but prefetch
    if (first == nullptr) return;
    __builtin_prefetch(&first->id, 1);
    __builtin_prefetch(reinterpret_cast<const std::byte*>(first) + sizeof(Entry) - 1, 1);
  }
  // Of an id that is not in the table.
  void insert(Entry* entry) {
    if (size_ == heads_.size()) [[unlikely]]
      grow();
    ++size_;
    link(entry);
  }
  // Of one that is.
  void erase(Entry* entry) {
    Entry** at = &heads_[bucket_of(entry->id)];
    while (*at != entry) at = &(*at)->next_of_bucket;
    *at = entry->next_of_bucket;
    --size_;
  }
  void clear() {
    heads_.assign(kHeadsMin, nullptr);
    size_ = 0;
  }
  size_t size() const { return size_; }
  // In no order that means anything.
  template <typename Visit>
  void each(Visit&& visit) const {
    for (Entry* entry : heads_) {
      for (; entry != nullptr; entry = entry->next_of_bucket) visit(entry);
    }
  }

 private:
  static constexpr size_t kHeadsMin = 64;

  size_t bucket_of(const ObjectId& id) const { return id.hash() & (heads_.size() - 1); }
  void link(Entry* entry) {
    Entry*& head = heads_[bucket_of(entry->id)];
    entry->next_of_bucket = std::exchange(head, entry);
  }
  void grow() {
    const std::vector<Entry*> before = std::move(heads_);
    heads_.assign(2 * before.size(), nullptr);
    for (Entry* entry : before) {
      while (entry != nullptr) link(std::exchange(entry, entry->next_of_bucket));
    }
  }

  std::vector<Entry*> heads_ = std::vector<Entry*>(kHeadsMin);  // a power of two
  size_t size_ = 0;
};

}  // namespace sundog::core
