// Workers that were forked before their zygote had imported all that it is to import
// (LocalScheduler, fifth part). They are there at once; when the zygote is warm, those that have
// not run anything yet are replaced, one by one, by workers that have the imports already. What ran
// something stays: it has imported what it needs.
#include <algorithm>

#include "base/probe.h"
#include "core/sched/local_scheduler.h"

namespace sundog::core {

// From now on workers start warm.
void LocalScheduler::replace_cold(Actions* actions) {
  for (uint32_t p = 0; p < pools_.size(); ++p) {
    if (pools_[p].key.language != model::Language::kPython) continue;
    auto is_cold = [&](ClientId client) { return is_replaceable(*worker(client)); };
    auto cold = std::count_if(pools_[p].idle.begin(), pools_[p].idle.end(), is_cold);
    if (cold == 0) continue;
    SUNDOG_PROBE("workers.cold_ones_replaced");
    spawn(p, static_cast<uint32_t>(cold), actions);
  }
}

bool LocalScheduler::is_replaceable(const Worker& w) const { return !w.warm && !w.used; }

// A warm worker joined: a cold one of its pool that never ran anything may go.
void LocalScheduler::retire_cold(Pool* pool) {
  auto cold = std::find_if(pool->idle.begin(), pool->idle.end(),
                           [&](ClientId client) { return is_replaceable(*worker(client)); });
  if (cold == pool->idle.end()) return;
  SUNDOG_PROBE("workers.cold_one_retired");
  worker(*cold)->stopping = true;
  retired_.push_back(*cold);
  pool->idle.erase(cold);
}

void LocalScheduler::stop_retired(Actions* actions) {
  for (ClientId client : retired_) {
    if (worker(client) == nullptr) continue;
    Action a;
    a.kind = Action::Kind::kStop;
    a.worker = client;
    actions->push_back(a);
  }
  retired_.clear();
}

}  // namespace sundog::core
