#include "core/sched/gpu_ids.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "model/resources.h"

namespace sundog::core {

using model::kResourceUnit;

GpuIds::GpuIds(int64_t total) {
  for (; total > 0; total -= kResourceUnit) free_.push_back(std::min(total, kResourceUnit));
}

std::optional<std::vector<GpuShare>> GpuIds::take(int64_t amount) {
  std::vector<GpuShare> taken;
  if (amount < kResourceUnit) {
    size_t best = free_.size();
    for (size_t i = 0; i < free_.size(); ++i)
      if (free_[i] >= amount && (best == free_.size() || free_[i] < free_[best])) best = i;
    if (best < free_.size()) taken.push_back({static_cast<uint32_t>(best), amount});
  } else if (amount % kResourceUnit == 0) {
    for (size_t i = 0; i < free_.size() && amount > 0; ++i) {
      if (free_[i] < kResourceUnit) continue;
      taken.push_back({static_cast<uint32_t>(i), kResourceUnit});
      amount -= kResourceUnit;
    }
    if (amount > 0) taken.clear();
  }
  if (taken.empty()) return std::nullopt;
  for (const GpuShare& share : taken) free_[share.gpu] -= share.amount;
  return taken;
}

bool GpuIds::has(int64_t amount) const {
  if (amount < kResourceUnit)
    return std::any_of(free_.begin(), free_.end(), [&](int64_t free) { return free >= amount; });
  return std::count_if(free_.begin(), free_.end(),
                       [](int64_t free) { return free >= kResourceUnit; }) *
                 kResourceUnit >=
             amount &&
         amount % kResourceUnit == 0;
}

void GpuIds::give_back(const std::vector<GpuShare>& shares) {
  for (const GpuShare& share : shares) {
    if (share.gpu >= free_.size()) free_.resize(share.gpu + 1);
    free_[share.gpu] += share.amount;
  }
}

std::vector<GpuShare> GpuIds::take_all() {
  std::vector<GpuShare> taken;
  for (size_t i = 0; i < free_.size(); ++i)
    if (free_[i] > 0) taken.push_back({static_cast<uint32_t>(i), std::exchange(free_[i], 0)});
  return taken;
}

int64_t GpuIds::free() const { return std::accumulate(free_.begin(), free_.end(), int64_t{0}); }

}  // namespace sundog::core
