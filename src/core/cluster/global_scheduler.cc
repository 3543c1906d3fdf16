#include "core/cluster/global_scheduler.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

using model::Member;

void GlobalScheduler::report(const Member& member, NodeReport report) {
  nodes_[member] = std::move(report);
}

GlobalScheduler::Outcome GlobalScheduler::place(const Request& request, Member* out) {
  bool feasible = false;
  const Member* best = nullptr;
  std::tuple<uint64_t, uint32_t> best_rank{0, 0};  // more local bytes, then fewer queued
  for (const auto& [member, node] : nodes_) {
    if (!node.total.covers(request.resources)) continue;
    feasible = true;
    if (!node.available.covers(request.resources)) continue;
    if (std::find(request.excluded.begin(), request.excluded.end(), member) !=
        request.excluded.end()) {
      SUNDOG_PROBE("global_scheduler.refused_node_skipped");
      continue;
    }
    uint64_t local = 0;
    for (const auto& argument : request.arguments)
      if (argument.member == member) local += argument.bytes;
    std::tuple rank{local, UINT32_MAX - node.queued_tasks};
    if (best != nullptr && rank <= best_rank) continue;
    best = &member;
    best_rank = rank;
  }
  if (best == nullptr) return feasible ? Outcome::kNotNow : Outcome::kInfeasible;
  if (std::get<0>(best_rank) > 0) SUNDOG_PROBE("global_scheduler.placed_by_locality");
  *out = *best;
  nodes_.at(*best).available.subtract(request.resources);
  return Outcome::kPlaced;
}

void GlobalScheduler::validate() const {
  for (const auto& [member, node] : nodes_)
    for (const auto& e : node.available.entries()) SUNDOG_CHECK(e.amount <= node.total.get(e.id));
}

}  // namespace sundog::core
