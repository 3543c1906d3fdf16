// Workers that belong to actors (LocalScheduler, third part). They are in no pool: never idle,
// never stopped as surplus, and no other task comes to them.
#include "core/sched/local_scheduler.h"

namespace sundog::core {

void LocalScheduler::creation_done(ClientId client, uint32_t task,
                                   const model::ResourceSet& lifetime, TimeNs now,
                                   Actions* actions) {
  Worker* w = worker(client);
  SUNDOG_CHECK(w != nullptr && w->queue.size() == 1 && w->queue[0] == task);
  erase_from_queue(w, 0);
  close(w);
  if (w->blocked > 0) take_cpu(w);  // a thread of the constructor waits on
  set_blocked(w, 0);
  model::ResourceSet rest = shapes_[w->shape].resources;
  rest.subtract(lifetime);
  groups_.available(w->payer).add(rest);
  w->actor = true;
  w->lifetime = lifetime;
  w->overrun = w->overdrawn = false;
  w->front_since = now;
  charge(w);
  try_all();
  if (!w->pooled) return;  // made for a GPU: no pool misses it
  w->pooled = false;
  Pool& pool = pools_[w->pool];
  --pool.workers;
  uint32_t have = pool.workers + pool.starting;
  if (pool.wanted > have) spawn(w->pool, pool.wanted - have, actions);
}

bool LocalScheduler::has_room(ClientId client) const {
  const Worker* w = worker(client);
  return w != nullptr && w->actor && w->queue.size() < model::kClaimSlots;
}

void LocalScheduler::offer(ClientId client, uint32_t call, TimeNs now, Actions* actions) {
  Worker* w = worker(client);
  SUNDOG_CHECK(w != nullptr && w->actor);
  if (w->queue.empty()) w->front_since = now;
  put_into_slot(w, call, now, actions);
}

}  // namespace sundog::core
