#include "core/objects/extent_allocator.h"

#include "base/bytes.h"
#include "base/check.h"

namespace sundog::core {

using model::kHugePageBytes;
using model::kPageBytes;

ExtentAllocator::ExtentAllocator(uint64_t capacity)
    : capacity_(capacity / kPageBytes * kPageBytes) {
  if (capacity_ > 0) add_free(0, capacity_);
}

std::optional<uint64_t> ExtentAllocator::allocate(uint64_t size) {
  SUNDOG_CHECK(size > 0);
  if (size > capacity_) return std::nullopt;
  size = round_up(size, kPageBytes);
  uint64_t alignment = size >= kHugePageBytes ? kHugePageBytes : kPageBytes;
  for (auto it = free_by_size_.lower_bound({size, 0}); it != free_by_size_.end(); ++it) {
    auto [free_size, free_offset] = *it;
    uint64_t start = round_up(free_offset, alignment);
    uint64_t skipped = start - free_offset;
    if (skipped + size > free_size) continue;
    remove_free(free_offset, free_size);
    if (skipped > 0) add_free(free_offset, skipped);
    uint64_t rest = free_size - skipped - size;
    if (rest > 0) add_free(start + size, rest);
    allocated_.emplace(start, size);
    used_ += size;
    return start;
  }
  return std::nullopt;
}

void ExtentAllocator::release(uint64_t offset) {
  auto it = allocated_.find(offset);
  SUNDOG_CHECK(it != allocated_.end());
  uint64_t size = it->second;
  allocated_.erase(it);
  used_ -= size;
  auto after = free_.lower_bound(offset);
  if (after != free_.end() && after->first == offset + size) {
    uint64_t after_size = after->second;
    remove_free(offset + size, after_size);
    size += after_size;
  }
  auto before = free_.lower_bound(offset);
  if (before != free_.begin()) {
    --before;
    auto [before_offset, before_size] = *before;
    if (before_offset + before_size == offset) {
      remove_free(before_offset, before_size);
      offset = before_offset;
      size += before_size;
    }
  }
  add_free(offset, size);
}

void ExtentAllocator::shrink(uint64_t offset, uint64_t used) {
  auto it = allocated_.find(offset);
  SUNDOG_CHECK(it != allocated_.end() && used > 0);
  uint64_t keep = round_up(used, kPageBytes);
  if (keep >= it->second) return;
  uint64_t rest = it->second - keep;
  it->second = keep;
  used_ -= rest;
  // Freed through release() so that it joins its neighbours.
  allocated_.emplace(offset + keep, rest);
  used_ += rest;
  release(offset + keep);
}

uint64_t ExtentAllocator::size_at(uint64_t offset) const {
  auto it = allocated_.find(offset);
  return it == allocated_.end() ? 0 : it->second;
}

void ExtentAllocator::add_free(uint64_t offset, uint64_t size) {
  free_.emplace(offset, size);
  free_by_size_.emplace(size, offset);
}

void ExtentAllocator::remove_free(uint64_t offset, uint64_t size) {
  SUNDOG_CHECK(free_.erase(offset) == 1 && free_by_size_.erase({size, offset}) == 1);
}

std::string ExtentAllocator::validate() const {
  uint64_t at = 0, used = 0;
  auto a = allocated_.begin();
  auto f = free_.begin();
  bool last_was_free = false;
  while (at < capacity_) {
    if (a != allocated_.end() && a->first == at) {
      at += a->second;
      used += a->second;
      ++a;
      last_was_free = false;
    } else if (f != free_.end() && f->first == at) {
      if (last_was_free) return "two free ranges touch at " + std::to_string(at);
      if (!free_by_size_.contains({f->second, f->first}))
        return "the size index misses " + std::to_string(at);
      at += f->second;
      ++f;
      last_was_free = true;
    } else {
      return "no range starts at " + std::to_string(at);
    }
  }
  if (at != capacity_ || a != allocated_.end() || f != free_.end())
    return "ranges overlap or overrun";
  if (used != used_) return "used bytes are miscounted";
  if (free_by_size_.size() != free_.size()) return "the size index has strangers";
  return {};
}

}  // namespace sundog::core
