// GpuIds: which GPUs of a node are whose. Whole GPUs are given out one by one, lowest number first;
// a share of less than one goes where the least is left that suffices.
//
// Owned by LocalScheduler, pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sundog::core {

struct GpuShare {
  uint32_t gpu = 0;    // 0-based
  int64_t amount = 0;  // 1/10000
  bool operator==(const GpuShare&) const = default;
};

class GpuIds {
 public:
  GpuIds() = default;              // none, until some are given back
  explicit GpuIds(int64_t total);  // 1/10000; a share of one at the end is a GPU too

  // Nothing if the amount cannot be had in one piece now: whole GPUs, or a share of one.
  std::optional<std::vector<GpuShare>> take(int64_t amount);
  // Whether take() would give something.
  bool has(int64_t amount) const;
  void give_back(const std::vector<GpuShare>& shares);
  // Everything that is free, taken.
  std::vector<GpuShare> take_all();
  int64_t free() const;

 private:
  std::vector<int64_t> free_;
};

}  // namespace sundog::core
