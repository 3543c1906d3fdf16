// Workers, resources and blocking of LocalScheduler; placement is in placement.cc.
#include "core/sched/local_scheduler.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

using model::kCpu;

LocalScheduler::LocalScheduler(TaskTable* tasks, model::ResourceSet total)
    : tasks_(tasks),
      node_{total, total, GpuIds(total.get(model::kGpu))},
      groups_(&node_),
      ready_(tasks),
      shares_(total.get(kCpu)) {
  has_gpus_ = total.get(model::kGpu) > 0;
}

uint32_t LocalScheduler::intern_shape(const TaskTemplate& t) {
  JobId job = t.language == model::Language::kCpp ? JobId{} : t.job;
  PoolKey key{job, t.language, t.runtime_env};
  bool makes_actors = t.kind == model::CallKind::kCreateActor;
  uint32_t its_account = account(t.job);
  for (uint32_t i = 0; i < shapes_.size(); ++i)
    if (shapes_[i].group == kNoIndex && !shapes_[i].over && shapes_[i].pool_key == key &&
        shapes_[i].resources == t.resources && shapes_[i].makes_actors == makes_actors &&
        shapes_[i].account == its_account)
      return i;
  Shape& shape = shapes_.emplace_back();
  shape.pool_key = key;
  shape.pool = pool_of(key);
  shape.resources = t.resources;
  shape.makes_actors = makes_actors;
  shape.feasible = node_.total.covers(t.resources);
  shape.account = its_account;
  ready_.add_shape(its_account);
  return static_cast<uint32_t>(shapes_.size() - 1);
}

uint32_t LocalScheduler::pool_of(const PoolKey& key) {
  for (uint32_t i = 0; i < pools_.size(); ++i)
    if (pools_[i].key == key) return i;
  pools_.push_back({key, {}, 0, 0, 0, 0, key.language == model::Language::kPython});
  return static_cast<uint32_t>(pools_.size() - 1);
}

bool LocalScheduler::pool_has_workers(const PoolKey& key) const {
  for (const Pool& p : pools_)
    if (p.key == key) return p.workers + p.starting > 0;
  return false;
}

std::vector<const Worker*> LocalScheduler::workers() const {
  std::vector<const Worker*> all;
  for (const Worker& w : workers_)
    if (w.live) all.push_back(&w);
  return all;
}

void LocalScheduler::worker_joined(ClientId client, const PoolKey& key, uint32_t pid,
                                   uint64_t token, TimeNs now, bool warm) {
  if (client.index() >= workers_.size()) workers_.resize(client.index() + 1);
  Worker& w = workers_[client.index()];
  SUNDOG_CHECK(!w.live);
  w = Worker{};
  w.live = true;
  w.client = client;
  w.pid = pid;
  w.pool = pool_of(key);
  w.warm = warm;
  Pool& pool = pools_[w.pool];
  pool.failures = 0;
  ++live_workers_;
  if (auto it = starting_.find(token); it != starting_.end()) {
    Starting starting = std::move(it->second);
    starting_.erase(it);
    if (starting.shape != kNoIndex) return lease_joined(&w, token, std::move(starting));
    --pools_[starting.pool].starting;
  }
  w.pooled = true;
  ++pool.workers;
  became_idle(&w, now);
  auto& idle = pool.idle;  // those that have run something are warmer
  std::rotate(idle.begin(), idle.end() - 1, idle.end());
  if (warm) retire_cold(&pool);
}

std::vector<uint32_t> LocalScheduler::worker_left(ClientId client) {
  Worker* w = worker(client);
  if (w == nullptr) return {};
  groups_.gpus(w->payer).give_back(w->gpus);
  if (!w->gpus.empty() && w->shape != kNoIndex)
    std::erase_if(shapes_[w->shape].leased, [&](const auto& l) { return l.second == client; });
  close(w);
  release_resources(w);
  Pool& pool = pools_[w->pool];
  std::erase(pool.idle, client);
  std::erase_if(resumes_, [&](const Resume& r) { return r.worker == client; });
  if (w->pooled) --pool.workers;
  --live_workers_;
  std::vector<uint32_t> queue = std::exchange(w->queue, {});
  refresh_deep(w);
  for (uint32_t task : queue) {
    count_offered(task, -1);
    if ((*tasks_)[task].state == TaskState::kRevoking) --revoking_;
  }
  *w = Worker{};
  try_all();
  return queue;
}

uint32_t LocalScheduler::spawn_failed(uint64_t token, PoolKey* key) {
  auto it = starting_.find(token);
  if (it == starting_.end()) return 0;
  Pool& pool = pools_[it->second.pool];
  *key = pool.key;
  if (it->second.shape != kNoIndex) {
    lease_failed(token, it->second);
  } else {
    --pool.starting;
  }
  starting_.erase(it);
  try_all();
  return ++pool.failures;
}

void LocalScheduler::prestart(const PoolKey& key, uint32_t count, Actions* actions) {
  uint32_t pool = pool_of(key);
  uint32_t have = pools_[pool].workers + pools_[pool].starting;
  auto cpus = static_cast<uint32_t>(node_.total.get(kCpu) / model::kResourceUnit);
  pools_[pool].can_start = true;
  try_all();
  pools_[pool].wanted = std::max(pools_[pool].wanted, std::min(count, cpus));
  if (!is_prepared(pools_[pool])) return ask_to_prepare(pools_[pool], actions);
  if (count > have) spawn(pool, count - have, actions);
}

void LocalScheduler::ask_to_prepare(const Pool& pool, Actions* actions) {
  Action a;
  a.kind = Action::Kind::kPrepare;
  a.pool = pool.key;
  actions->push_back(a);
}

void LocalScheduler::environment_ready(uint64_t runtime_env, Actions* actions) {
  prepared_.insert(runtime_env);
  for (uint32_t p = 0; p < pools_.size(); ++p) {
    const Pool& pool = pools_[p];
    const uint32_t have = pool.workers + pool.starting;
    if (pool.key.runtime_env == runtime_env && pool.wanted > have)
      spawn(p, pool.wanted - have, actions);
  }
  try_all();
}

void LocalScheduler::spawn(uint32_t pool, uint32_t count, Actions* actions) {
  for (uint32_t i = 0; i < count && live_workers_ + starting_.size() < kWorkersMax; ++i) {
    Action a;
    a.kind = Action::Kind::kSpawn;
    a.token = ++last_token_;
    a.pool = pools_[pool].key;
    starting_.emplace(a.token, Starting{pool, kNoIndex, {}, {}});
    ++pools_[pool].starting;
    actions->push_back(a);
  }
}

// ---------------------------------------------------------------- queues of workers

void LocalScheduler::became_idle(Worker* w, TimeNs now) {
  SUNDOG_CHECK(w->queue.empty());
  w->shape = kNoIndex;
  w->idle_since = now;
  w->overrun = false;
  w->overdrawn = false;
  w->expected_ns = 0;
  pools_[w->pool].idle.push_back(w->client);
  try_all();
}

void LocalScheduler::release_resources(Worker* w) {
  if (!w->holds_resources) return;
  const model::ResourceSet& held = held_by(*w);
  model::ResourceSet& available = groups_.available(w->payer);
  available.add(held);
  // While it is blocked its CPU is counted as available already.
  if (w->blocked > 0) {
    model::ResourceSet cpu;
    cpu.set(kCpu, held.get(kCpu));
    available.subtract(cpu, true);
  }
  set_blocked(w, 0);
  w->holds_resources = false;
  charge(w);
  groups_.let_go(std::exchange(w->payer, Payer{}).group);
  try_all();
}

void LocalScheduler::count_offered(uint32_t task, int change) {
  auto& offered = depths_[account_of(task)].offered;
  const uint16_t depth = (*tasks_)[task].depth;
  const bool deepest = !offered.empty() && offered.rbegin()->first == depth;
  auto at = deepest ? std::prev(offered.end()) : offered.try_emplace(depth, 0).first;
  at->second += static_cast<uint32_t>(change);
  if (at->second == 0) offered.erase(at);
}

void LocalScheduler::erase_from_queue(Worker* w, size_t position) {
  uint32_t task = w->queue[position];
  count_offered(task, -1);
  if ((*tasks_)[task].state == TaskState::kRevoking) --revoking_;  // also if it was done first
  const uint32_t slot = (*tasks_)[task].slot;
  w->slots[slot] = kNoIndex;
  w->free_slots.push_back(slot);
  if (w->actor) {  // no lengths are kept: nobody else could run its calls
    w->queue.erase(w->queue.begin() + static_cast<ptrdiff_t>(position));
    return;
  }
  w->expected_ns -= std::min(w->expected_ns, expected(task));
  w->queue.erase(w->queue.begin() + static_cast<ptrdiff_t>(position));
  refresh_deep(w);
  // Averages move between the addition and this; the sum is made exact where that is cheap.
  if (w->queue.size() <= 1) w->expected_ns = w->queue.empty() ? 0 : expected(w->queue[0]);
}

bool LocalScheduler::task_done(ClientId client, uint32_t task, TimeNs now) {
  Worker* w = worker(client);
  if (w == nullptr) return false;
  auto at = std::find(w->queue.begin(), w->queue.end(), task);
  if (at == w->queue.end()) return false;
  erase_from_queue(w, static_cast<size_t>(at - w->queue.begin()));
  w->front_since = now;
  w->overrun = false;
  if (w->actor) return true;
  may_widen_ = false;
  // Something moves; but a program that looks again and again must not hold others back for ever.
  if (held_since_ != kNever) {
    held_since_ = std::min(now, held_from_ + kHeldMax - held_patience_);
  }
  if (!w->gpus.empty()) {
    end_lease(w);
    return true;
  }
  if (w->queue.empty()) {
    close(w);
    release_resources(w);
    if (!w->stopping) became_idle(w, now);
  } else {
    refresh_open(w);
    try_shape(w->shape);
  }
  return true;
}

void LocalScheduler::revoke_behind_front(Worker* w, Actions* actions) {
  // The last first: taken back in this order, each goes to the front of the ready queue, so that
  // they stand there in their old order.
  for (size_t i = w->queue.size(); i-- > 1;) {
    if ((*tasks_)[w->queue[i]].state == TaskState::kOffered) ask_back(w->queue[i], actions);
  }
}

void LocalScheduler::ask_back(uint32_t task, Actions* actions) {
  TaskRecord& t = (*tasks_)[task];
  SUNDOG_CHECK(t.state == TaskState::kOffered);
  t.state = TaskState::kRevoking;
  ++revoking_;
  Action a;
  a.kind = Action::Kind::kRevoke;
  a.worker = t.worker;
  a.slot = t.slot;
  a.generation = t.generation;
  actions->push_back(a);
}

void LocalScheduler::retire(ClientId client, Actions* actions) {
  Worker* w = worker(client);
  if (w == nullptr || w->actor || w->stopping) return;
  w->stopping = true;
  close(w);
  std::erase(pools_[w->pool].idle, client);
  revoke_behind_front(w, actions);
}

uint32_t LocalScheduler::claim_revoked(ClientId client, uint32_t slot, uint32_t generation,
                                       bool won) {
  Worker* w = worker(client);
  uint32_t task = task_at(client, slot);
  if (w == nullptr || task == kNoIndex) return kNoIndex;
  TaskRecord& t = (*tasks_)[task];
  if (t.generation != generation || t.state != TaskState::kRevoking) return kNoIndex;
  if (!won) {
    --revoking_;
    t.state = TaskState::kOffered;
    return kNoIndex;
  }
  auto at = std::find(w->queue.begin(), w->queue.end(), task);
  SUNDOG_CHECK(at != w->queue.end());
  erase_from_queue(w, static_cast<size_t>(at - w->queue.begin()));
  t.worker = ClientId{};
  if (w->actor) return task;
  ready_.push_front(task);
  try_shape(tasks_->shape_of(t));
  if (w->queue.empty()) {  // the task in front ended while this one was asked back
    SUNDOG_PROBE("workers.last_task_taken_back");
    close(w);
    release_resources(w);
    if (!w->stopping) became_idle(w, w->front_since);
  } else {
    refresh_open(w);
  }
  return task;
}

void LocalScheduler::close(Worker* w) {
  if (w->open_position == kNoIndex) return;
  auto& open = shapes_[w->shape].open;
  ClientId last = open.back();
  open[w->open_position] = last;
  worker(last)->open_position = w->open_position;
  open.pop_back();
  w->open_position = kNoIndex;
}

void LocalScheduler::change_deep(Worker* w, bool deep) {
  if (deep) {
    w->deep_position = static_cast<uint32_t>(deep_.size());
    deep_.push_back(w->client);
  } else {
    ClientId last = deep_.back();
    deep_[w->deep_position] = last;
    worker(last)->deep_position = w->deep_position;
    deep_.pop_back();
    w->deep_position = kNoIndex;
  }
}

void LocalScheduler::refresh_open(Worker* w) {
  bool room = !w->queue.empty() && w->gpus.empty() && !w->overrun && !w->overdrawn &&
              !w->stopping && w->blocked == 0 && w->queue.size() < kPipelineDepthMax &&
              w->expected_ns < kPipelineWindow;
  if (!room) {
    close(w);
  } else if (w->open_position == kNoIndex) {
    auto& open = shapes_[w->shape].open;
    w->open_position = static_cast<uint32_t>(open.size());
    open.push_back(w->client);
  }
}

// ---------------------------------------------------------------- blocking

int64_t LocalScheduler::cpu_of(const Worker& w) const {
  return w.actor || w.shape != kNoIndex ? held_by(w).get(kCpu) : 0;
}

void LocalScheduler::set_blocked(Worker* w, uint32_t blocked) {
  const bool was_blocked = w->blocked > 0;
  w->blocked = blocked;
  if (was_blocked == (blocked > 0)) return;
  if (!w->actor) depths_[shapes_[w->shape].account].blocked += was_blocked ? -1 : 1;
  charge(w);
}

void LocalScheduler::block(ClientId client, Actions* actions) {
  Worker* w = worker(client);
  if (w == nullptr || !w->holds_resources) return;
  set_blocked(w, w->blocked + 1);
  if (w->blocked > 1) return;
  model::ResourceSet cpu;
  cpu.set(kCpu, cpu_of(*w));
  groups_.available(w->payer).add(cpu);
  try_all();
  if (w->actor) return;  // its calls are nobody else's
  close(w);
  revoke_behind_front(w, actions);
}

bool LocalScheduler::may_resume(const Worker& w) const {
  return groups_.available(w.payer).get(kCpu) - cpu_of(w) >= -groups_.total(w.payer).get(kCpu);
}

void LocalScheduler::take_cpu(Worker* w) {
  model::ResourceSet cpu;
  cpu.set(kCpu, cpu_of(*w));
  model::ResourceSet& available = groups_.available(w->payer);
  available.subtract(cpu, true);
  w->overdrawn = available.get(kCpu) < 0 && !w->actor;
}

bool LocalScheduler::resume(ClientId client, uint64_t token) {
  Worker* w = worker(client);
  if (w == nullptr || w->blocked == 0) return true;
  if (w->actor) {  // never waits for a CPU
    resume_now(client, token);
    return true;
  }
  if (w->blocked > 1) {
    --w->blocked;
    return true;
  }
  if (!resumes_.empty() || overdue_ || !may_resume(*w)) {
    resumes_.push_back({client, token});
    return false;
  }
  set_blocked(w, 0);
  take_cpu(w);
  refresh_open(w);
  return true;
}

void LocalScheduler::resume_now(ClientId client, uint64_t token) {
  std::erase_if(resumes_, [&](const Resume& r) { return r.worker == client && r.token == token; });
  Worker* w = worker(client);
  if (w == nullptr || w->blocked == 0) return;
  set_blocked(w, w->blocked - 1);
  if (w->blocked == 0) {
    take_cpu(w);
    if (!w->actor) refresh_open(w);
  }
}

bool LocalScheduler::waits_to_resume(ClientId client) const {
  return std::any_of(resumes_.begin(), resumes_.end(),
                     [&](const Resume& r) { return r.worker == client; });
}

void LocalScheduler::serve_resumes(Actions* actions) {
  while (!resumes_.empty()) {
    Resume r = resumes_.front();
    Worker* w = worker(r.worker);
    if (w != nullptr && w->blocked == 1 && !may_resume(*w)) return;
    resumes_.pop_front();
    if (w == nullptr) continue;
    set_blocked(w, w->blocked - 1);
    if (w->blocked == 0) {
      take_cpu(w);
      refresh_open(w);
    }
    Action a;
    a.kind = Action::Kind::kResume;
    a.worker = r.worker;
    a.token = r.token;
    actions->push_back(a);
  }
}

// ---------------------------------------------------------------- checking

bool LocalScheduler::ready_task_fits() const {
  for (uint32_t s = 0; s < shapes_.size(); ++s) {
    const Pool& pool = pools_[shapes_[s].pool];
    Payer payer;
    if (ready_.count(s) > 0 && choose_payer(shapes_[s], &payer) && pool.workers + pool.starting > 0)
      return true;
  }
  return false;
}

std::string LocalScheduler::validate() const {
  if (std::string wrong = ready_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = groups_.validate(); !wrong.empty()) return wrong;
  std::map<std::pair<uint32_t, uint32_t>, model::ResourceSet> charged;  // to bundles
  std::map<uint32_t, uint32_t> holders;                                 // of groups
  model::ResourceSet sum = node_.available;
  auto count = [&](const Payer& payer, const model::ResourceSet& held) {
    if (payer.group != kNoIndex) ++holders[payer.group];
    const bool in_bundle =
        payer.group != kNoIndex && groups_[payer.group].state == GroupState::kReady;
    (in_bundle ? charged[{payer.group, payer.bundle}] : sum).add(held);
  };
  uint32_t revoking = 0;
  size_t deep = 0;
  for (const Worker& w : workers_) {
    if (!w.live) continue;
    if (w.queue.size() > 1 && !w.actor) ++deep;
    if (w.deep_position != kNoIndex && deep_[w.deep_position] != w.client)
      return "the list of deep workers is torn";
    if (w.holds_resources != (w.actor || !w.queue.empty() || !w.gpus.empty()))
      return "a worker holds resources without a task, or a task without resources";
    if (w.holds_resources) {
      model::ResourceSet held = held_by(w);
      if (w.blocked > 0) held.set(kCpu, 0);
      count(w.payer, held);
    }
    if ((w.queue.empty() || w.actor) && w.open_position != kNoIndex)
      return "an idle worker, or an actor's, is open";
    for (uint32_t task : w.queue) {
      const TaskRecord& t = (*tasks_)[task];
      if (t.state == TaskState::kRevoking) ++revoking;
      if (!t.live || t.worker != w.client || w.slots[t.slot] != task)
        return "a worker's queue and its tasks disagree";
      if (!w.actor && tasks_->shape_of(t) != w.shape) return "tasks of two shapes share a queue";
    }
  }
  uint32_t for_gpus = 0;
  for (const auto& [token, starting] : starting_) {
    if (starting.shape == kNoIndex) continue;
    ++for_gpus;
    count(starting.payer, shapes_[starting.shape].resources);
  }
  for (uint32_t i = 0; i < tasks_->end(); ++i)
    if ((*tasks_)[i].live && (*tasks_)[i].placement != kNoIndex) ++holders[(*tasks_)[i].placement];
  for (uint32_t g = 0; g < groups_.end(); ++g) {
    if (!groups_[g].live) continue;
    if (groups_[g].holders != holders[g]) return "the holders of a placement group are miscounted";
    if (groups_[g].state != GroupState::kReady) continue;
    sum.add(groups_[g].sum);
    for (uint32_t b = 0; b < groups_[g].bundles.size(); ++b) {
      model::ResourceSet of_bundle = groups_[g].bundles[b].available;
      of_bundle.add(charged[{g, b}]);
      if (of_bundle != groups_[g].bundles[b].total)
        return "resources of a bundle are not conserved";
    }
  }
  if (node_.gpus.free() != node_.available.get(model::kGpu))
    return "GPUs and their number disagree";
  if (revoking != revoking_) return "tasks that are being asked back are miscounted";
  if (sum != node_.total) return "resources are not conserved";
  if (deep != deep_.size()) return "deep workers are miscounted";
  if (std::string wrong = validate_shares(); !wrong.empty()) return wrong;
  uint32_t starting = 0;
  for (const Pool& p : pools_) {
    starting += p.starting;
    for (ClientId c : p.idle)
      if (worker(c) == nullptr || !worker(c)->queue.empty() || worker(c)->actor)
        return "an idle list holds a busy worker";
  }
  return starting + for_gpus == starting_.size() ? "" : "starting workers are miscounted";
}

}  // namespace sundog::core
