// Slab<T>: records addressed by a dense 32-bit index, in chunks that never move. The core keeps
// tasks, objects and waits here; an index is valid from allocate() to release().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"

namespace sundog::core {

constexpr uint32_t kNoIndex = UINT32_MAX;

template <typename T>
class Slab {
 public:
  uint32_t allocate() {
    if (free_.empty()) grow();
    uint32_t index = free_.back();
    free_.pop_back();
    ++live_;
    (*this)[index].live = true;  // release() left it as new
    return index;
  }
  void release(uint32_t index) {
    T& record = (*this)[index];
    SUNDOG_CHECK(record.live);
    std::destroy_at(&record);
    std::construct_at(&record);
    free_.push_back(index);
    --live_;
  }
  T& operator[](uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  const T& operator[](uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }
  uint32_t live() const { return live_; }
  // One past the largest index ever used. Iterate with `live` checks: ascending, deterministic.
  uint32_t end() const { return static_cast<uint32_t>(chunks_.size() * kChunk); }

 private:
  static constexpr uint32_t kChunk = 256;

  void grow() {
    auto base = static_cast<uint32_t>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<T[]>(kChunk));
    for (uint32_t i = kChunk; i-- > 0;) free_.push_back(base + i);
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<uint32_t> free_;
  uint32_t live_ = 0;
};

}  // namespace sundog::core
