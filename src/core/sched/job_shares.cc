// What each job holds of this node (LocalScheduler, fifth part), told to FairShare while there are
// several jobs. What a worker is charged changes in one function only, so that nothing is counted
// twice: `charge`, after whatever changes what it holds.
#include <algorithm>

#include "core/sched/local_scheduler.h"

namespace sundog::core {

using model::kCpu;

uint32_t LocalScheduler::account(JobId job) {
  const bool had_several = shares_.several();
  const uint32_t index = shares_.account(job);
  if (index >= depths_.size()) depths_.resize(index + 1);
  if (shares_.several() != had_several) charge_anew();
  return index;
}

void LocalScheduler::set_weight(JobId job, uint32_t weight) {
  account(job);
  shares_.set_weight(job, weight);
}

void LocalScheduler::job_ended(JobId job) {
  const bool had_several = shares_.several();
  shares_.ended(job);
  if (shares_.several() != had_several) charge_anew();
}

// One job became several, or the other way round.
void LocalScheduler::charge_anew() {
  for (Worker& w : workers_) {
    if (!w.live) continue;
    w.charged = 0;
    charge(&w);
  }
}

// In CPUs: what it holds of them, or of the GPUs if that is the larger part of all.
int64_t LocalScheduler::cost_of(const Worker& w) const {
  if (!w.holds_resources) return 0;
  const model::ResourceSet& held = held_by(w);
  int64_t cost = w.blocked > 0 ? 0 : held.get(kCpu);
  const int64_t gpus = node_.total.get(model::kGpu);
  if (gpus > 0) cost = std::max(cost, held.get(model::kGpu) * node_.total.get(kCpu) / gpus);
  return cost;
}

void LocalScheduler::charge(Worker* w) {
  if (!shares_.several()) return;
  const int64_t cost = cost_of(*w);
  if (cost == w->charged) return;
  shares_.holds(shapes_[w->shape].account, cost - w->charged, now_);
  w->charged = cost;
}

std::string LocalScheduler::validate_shares() const {
  if (std::string wrong = shares_.validate(); !wrong.empty()) return wrong;
  std::vector<Depths> depths(depths_.size());
  std::vector<int64_t> held(depths_.size());
  for (const Worker& w : workers_) {
    if (!w.live) continue;
    for (uint32_t task : w.queue) ++depths[account_of(task)].offered[(*tasks_)[task].depth];
    if (w.charged != (shares_.several() ? cost_of(w) : 0))
      return "a worker is charged something else than it holds";
    if (w.shape == kNoIndex) continue;
    if (w.blocked > 0 && !w.actor) ++depths[shapes_[w.shape].account].blocked;
    held[shapes_[w.shape].account] += w.charged;
  }
  for (uint32_t i = 0; i < depths.size(); ++i) {
    if (depths[i].blocked != depths_[i].blocked) return "blocked workers are miscounted";
    if (depths[i].offered != depths_[i].offered) return "offered tasks are miscounted";
    if (held[i] != shares_.held(i)) return "what a job holds is miscounted";
  }
  return {};
}

}  // namespace sundog::core
