#include "core/sched/placement_groups.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

using model::kGpu;
using model::ResourceSet;

uint32_t PlacementGroups::find(const TaskId& id) const {
  auto at = by_id_.find(id);
  return at == by_id_.end() ? kNoIndex : at->second;
}

uint32_t PlacementGroups::find_named(const std::string& name_space, const std::string& name) const {
  auto at = by_name_.find({name_space, name});
  return at == by_name_.end() ? kNoIndex : at->second;
}

uint32_t PlacementGroups::create(PlacementGroup group) {
  const uint32_t index = groups_.allocate();
  group.live = true;
  group.state = GroupState::kPending;
  for (const Bundle& b : group.bundles) group.sum.add(b.total);
  bool is_new = by_id_.emplace(group.id, index).second;
  if (!group.name.empty())
    is_new &= by_name_.emplace(std::pair(group.name_space, group.name), index).second;
  SUNDOG_CHECK(is_new);
  pending_.push_back(index);
  groups_[index] = std::move(group);
  return index;
}

bool PlacementGroups::feasible(uint32_t index) const {
  const PlacementGroup& g = groups_[index];
  const bool apart = g.strategy == model::GroupStrategy::kStrictSpread && g.bundles.size() > 1;
  return !apart && node_->total.covers(g.sum);
}

void PlacementGroups::reserve(std::vector<uint32_t>* ready) {
  std::erase_if(pending_, [&](uint32_t index) {
    if (!feasible(index) || !reserve_one(&groups_[index])) return false;
    ready->push_back(index);
    return true;
  });
}

// All of its bundles, or nothing.
bool PlacementGroups::reserve_one(PlacementGroup* g) {
  if (!node_->available.covers(g->sum)) return false;
  for (size_t i = 0; i < g->bundles.size(); ++i) {
    const int64_t gpus = g->bundles[i].total.get(kGpu);
    if (gpus == 0) continue;
    if (auto taken = node_->gpus.take(gpus)) {
      g->bundles[i].gpus.give_back(*taken);
      continue;
    }
    SUNDOG_PROBE("groups.gpus_in_pieces");
    for (size_t j = 0; j < i; ++j) node_->gpus.give_back(g->bundles[j].gpus.take_all());
    return false;
  }
  node_->available.subtract(g->sum);
  for (Bundle& b : g->bundles) b.available = b.total;
  g->state = GroupState::kReady;
  return true;
}

void PlacementGroups::remove(uint32_t index) {
  PlacementGroup& g = groups_[index];
  SUNDOG_CHECK(g.live && g.state != GroupState::kRemoved);
  by_id_.erase(g.id);
  if (!g.name.empty()) by_name_.erase({g.name_space, g.name});
  if (g.state == GroupState::kPending) {
    std::erase(pending_, index);
  } else {
    for (Bundle& b : g.bundles) {
      node_->available.add(b.available);
      node_->gpus.give_back(b.gpus.take_all());
    }
  }
  g.state = GroupState::kRemoved;
  if (g.holders == 0) {
    over_.push_back(index);
  } else {
    SUNDOG_PROBE("groups.removed_in_use");
  }
}

// ---------------------------------------------------------------- accounts

bool PlacementGroups::choose(uint32_t index, int32_t bundle, const ResourceSet& need,
                             Payer* payer) const {
  const PlacementGroup& g = groups_[index];
  if (g.state != GroupState::kReady) return false;
  auto fits = [&](const Bundle& b) {
    const int64_t gpus = need.get(kGpu);
    return b.available.covers(need) && (gpus == 0 || b.gpus.has(gpus));
  };
  size_t at = 0;
  if (bundle >= 0) {
    at = static_cast<size_t>(bundle);
    if (at >= g.bundles.size() || !fits(g.bundles[at])) return false;
  } else {
    while (at < g.bundles.size() && !fits(g.bundles[at])) ++at;
    if (at == g.bundles.size()) return false;
  }
  *payer = {index, static_cast<uint32_t>(at)};
  return true;
}

bool PlacementGroups::could_hold(uint32_t index, int32_t bundle, const ResourceSet& need) const {
  const auto& bundles = groups_[index].bundles;
  if (bundle >= 0)
    return static_cast<size_t>(bundle) < bundles.size() &&
           bundles[static_cast<size_t>(bundle)].total.covers(need);
  return std::any_of(bundles.begin(), bundles.end(),
                     [&](const Bundle& b) { return b.total.covers(need); });
}

Bundle* PlacementGroups::bundle_of(const Payer& payer) {
  if (payer.group == kNoIndex) return nullptr;
  PlacementGroup& g = groups_[payer.group];
  return g.state == GroupState::kReady ? &g.bundles[payer.bundle] : nullptr;
}

ResourceSet& PlacementGroups::available(const Payer& payer) {
  Bundle* b = bundle_of(payer);
  return b == nullptr ? node_->available : b->available;
}

const ResourceSet& PlacementGroups::total(const Payer& payer) const {
  const Bundle* b = const_cast<PlacementGroups*>(this)->bundle_of(payer);
  return b == nullptr ? node_->total : b->total;
}

GpuIds& PlacementGroups::gpus(const Payer& payer) {
  Bundle* b = bundle_of(payer);
  return b == nullptr ? node_->gpus : b->gpus;
}

void PlacementGroups::hold(uint32_t group) {
  if (group != kNoIndex) ++groups_[group].holders;
}

void PlacementGroups::let_go(uint32_t group) {
  if (group == kNoIndex) return;
  PlacementGroup& g = groups_[group];
  SUNDOG_CHECK(g.holders > 0);
  if (--g.holders == 0 && g.state == GroupState::kRemoved) over_.push_back(group);
}

std::vector<PlacementGroup> PlacementGroups::take_over() {
  std::vector<PlacementGroup> taken;
  for (uint32_t index : over_) {
    taken.push_back(std::move(groups_[index]));
    groups_.release(index);
  }
  over_.clear();
  return taken;
}

std::string PlacementGroups::validate() const {
  size_t removed = 0, pending = 0;
  for (uint32_t i = 0; i < groups_.end(); ++i) {
    const PlacementGroup& g = groups_[i];
    if (!g.live) continue;
    const std::string who = "placement group " + g.id.hex() + ": ";
    const bool is_over = std::find(over_.begin(), over_.end(), i) != over_.end();
    if (g.state == GroupState::kRemoved) {
      ++removed;
      if (is_over != (g.holders == 0)) return who + "removed, and neither held nor over";
      continue;
    }
    auto id = by_id_.find(g.id);
    if (is_over || id == by_id_.end() || id->second != i) return who + "is not found by its id";
    auto name = by_name_.find({g.name_space, g.name});
    if (!g.name.empty() && (name == by_name_.end() || name->second != i))
      return who + "is not found by its name";
    if (g.state == GroupState::kPending) ++pending;
    if (g.state == GroupState::kPending &&
        std::find(pending_.begin(), pending_.end(), i) == pending_.end())
      return who + "waits, and nobody knows";
    ResourceSet sum;
    for (const Bundle& b : g.bundles) {
      sum.add(b.total);
      if (g.state == GroupState::kReady && b.gpus.free() != b.available.get(kGpu))
        return who + "its GPUs and their number disagree";
    }
    if (sum != g.sum) return who + "its bundles are not its sum";
  }
  if (pending != pending_.size()) return "waiting placement groups are miscounted";
  if (by_name_.size() > by_id_.size()) return "more placement groups have names than there are";
  return by_id_.size() + removed == groups_.live() ? "" : "placement groups are miscounted";
}

}  // namespace sundog::core
