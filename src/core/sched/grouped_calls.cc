// Calls in placement groups (LocalScheduler, sixth part): their shapes, and the accounts that
// workers are charged to.
#include <algorithm>

#include "core/sched/local_scheduler.h"

namespace sundog::core {

uint32_t LocalScheduler::create_group(PlacementGroup group) {
  groups_may_fit_ = true;
  return groups_.create(std::move(group));
}

void LocalScheduler::reserve_groups(std::vector<uint32_t>* ready) {
  if (!groups_.has_pending() || !std::exchange(groups_may_fit_, false)) return;
  const size_t before = ready->size();
  groups_.reserve(ready);
  if (ready->size() > before) try_all_ = true;
}

void LocalScheduler::remove_group(uint32_t group) {
  groups_.remove(group);
  try_all();
}

void LocalScheduler::join_group(uint32_t task, uint32_t group, int32_t bundle) {
  TaskRecord& t = (*tasks_)[task];
  SUNDOG_CHECK(t.placement == kNoIndex && !t.queued);
  t.placement = group;
  t.shape = shape_in_group(tasks_->tmpl_of(t).shape, group, bundle);
  groups_.hold(group);
}

void LocalScheduler::leave_group(uint32_t task) {
  TaskRecord& t = (*tasks_)[task];
  SUNDOG_CHECK(!t.queued);
  groups_.let_go(std::exchange(t.placement, kNoIndex));
  t.shape = kNoIndex;
}

uint32_t LocalScheduler::shape_in_group(uint32_t outside, uint32_t group, int32_t bundle) {
  auto [at, is_new] = groups_[group].shapes.try_emplace({outside, bundle}, kNoIndex);
  if (!is_new) return at->second;
  uint32_t index;
  const uint32_t its_account = shapes_[outside].account;
  std::vector<uint32_t>& free = free_shapes_[its_account];
  if (free.empty()) {
    index = static_cast<uint32_t>(shapes_.size());
    shapes_.emplace_back();
    ready_.add_shape(its_account);
  } else {
    index = free.back();
    free.pop_back();
  }
  const Shape& base = shapes_[outside];
  Shape made;
  made.pool_key = base.pool_key;
  made.pool = base.pool;
  made.resources = base.resources;
  made.makes_actors = base.makes_actors;
  made.feasible = base.feasible;
  made.account = its_account;
  made.group = group;
  made.bundle = bundle;
  made.try_now = shapes_[index].try_now;  // it may still be on the list of those to try
  shapes_[index] = std::move(made);
  at->second = index;
  return index;
}

// Nobody holds them: no task has their shapes, no worker runs one.
void LocalScheduler::forget_groups() {
  for (const PlacementGroup& g : groups_.take_over()) {
    for (const auto& [key, index] : g.shapes) {
      Shape& shape = shapes_[index];
      SUNDOG_CHECK(shape.open.empty() && shape.leased.empty() && shape.leases_starting.empty() &&
                   ready_.count(index) == 0);
      const bool listed = shape.try_now;
      const uint32_t its_account = shape.account;
      shape = Shape{};
      shape.account = its_account;
      shape.over = true;
      shape.try_now = listed;
      free_shapes_[its_account].push_back(index);
    }
  }
}

bool LocalScheduler::choose_payer(const Shape& shape, Payer* payer) const {
  if (shape.group != kNoIndex)
    return groups_.choose(shape.group, shape.bundle, shape.resources, payer);
  *payer = {};
  return node_.available.covers(shape.resources);
}

void LocalScheduler::take_from(const Payer& payer, const model::ResourceSet& amount) {
  groups_.available(payer).subtract(amount);
  groups_.hold(payer.group);
}

// So many more tasks of the shape, at most `most`, have room now.
int64_t LocalScheduler::how_many_fit(const Shape& shape, int64_t most) const {
  auto fit_into = [&](const model::ResourceSet& available) {
    int64_t fit = most;
    for (const auto& need : shape.resources.entries())
      fit = std::min(fit, available.get(need.id) / need.amount);
    return std::max<int64_t>(fit, 0);
  };
  if (shape.group == kNoIndex) return fit_into(node_.available);
  int64_t fit = 0;
  const auto& bundles = groups_[shape.group].bundles;
  for (size_t b = 0; b < bundles.size() && fit < most; ++b)
    if (shape.bundle < 0 || static_cast<size_t>(shape.bundle) == b)
      fit += fit_into(bundles[b].available);
  return std::min(fit, most);
}

}  // namespace sundog::core
