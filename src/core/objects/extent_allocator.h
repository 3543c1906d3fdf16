// ExtentAllocator: which pages of an arena are in use. Pure arithmetic, no memory is touched.
//
// Best fit with coalescing; sizes are rounded up to pages, extents of a huge page and more start
// at a huge-page boundary so that the shell can collapse them. Best fit gives a range that was
// just freed to the next request of the same size: a writer that puts the same array again gets
// pages that are warm in its own page table (DESIGN section 6).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "model/limits.h"

namespace sundog::core {

class ExtentAllocator {
 public:
  // `capacity`: bytes, rounded down to a page.
  explicit ExtentAllocator(uint64_t capacity);

  // The offset of a range of at least `size` bytes (> 0); nullopt if none is free.
  std::optional<uint64_t> allocate(uint64_t size);
  // Gives a whole range back; `offset` must be what allocate() returned.
  void release(uint64_t offset);
  // Gives back the pages of a range beyond `used` bytes (> 0).
  void shrink(uint64_t offset, uint64_t used);

  // Rounded bytes of the range at `offset`, 0 if nothing is allocated there.
  uint64_t size_at(uint64_t offset) const;
  uint64_t capacity() const { return capacity_; }
  uint64_t used() const { return used_; }
  uint64_t count() const { return allocated_.size(); }

  // The empty string, or which invariant does not hold.
  std::string validate() const;

 private:
  void add_free(uint64_t offset, uint64_t size);
  void remove_free(uint64_t offset, uint64_t size);

  uint64_t capacity_;
  uint64_t used_ = 0;
  std::map<uint64_t, uint64_t> allocated_;                // offset -> size
  std::map<uint64_t, uint64_t> free_;                     // offset -> size, never adjacent
  std::set<std::pair<uint64_t, uint64_t>> free_by_size_;  // (size, offset)
};

}  // namespace sundog::core
