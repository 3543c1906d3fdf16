// LocalScheduler: which task runs in which worker of this node, and when (DESIGN section 5).
//
// It owns resources, workers and ready queues; it never sees an object or a message. Its decisions
// are appended to an Actions list that NodeCore turns into effects.
//
// Rules, each with a test in local_scheduler_test.cc:
//  - A worker with a task holds its shape's resources once; tasks queued behind it hold none.
//  - Behind a running task only tasks of the same shape are offered, as many as their measured
//    running time justifies; a task of unknown length never has one behind it.
//  - A worker that blocks, overruns or dies loses what it has not claimed, at no cost to the task.
//  - A blocked worker gives its CPU back. It resumes at once while at most twice the CPUs run,
//    else it is the first to get one.
//  - While as many workers of a job are blocked as there are CPUs and deeper tasks of it are with
//    workers, no wider one of it gets a CPU or waits behind a running one, unless nothing has ended
//    for a while: blocked workers follow the depth of a program, not its width.
//  - Of several jobs the one that is furthest behind its share goes first (fair_share.h); the order
//    above holds among the tasks of one job. Whoever cannot be placed holds nobody up.
//  - Waking an idle worker costs more than a very short task: such tasks go to an awake one.
//  - Tasks of a runtime environment that is not prepared are left where they are, and hold nothing.
//  - A creation of an actor is placed like a task of unknown length. Its worker belongs to the
//  actor
//    from then on: it leaves the pool and holds what the actor keeps (actor_workers.cc).
//  - A call in a placement group has a shape of its own, which names group and bundle, and is
//    charged to a bundle; everything else is charged to the node (grouped_calls.cc).
#pragma once

#include <algorithm>
#include <boost/container/flat_map.hpp>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "core/sched/fair_share.h"
#include "core/sched/gpu_ids.h"
#include "core/sched/placement_groups.h"
#include "core/sched/ready_queues.h"
#include "core/tasks/task_table.h"
#include "model/limits.h"

namespace sundog::core {

struct PoolKey {
  JobId job;  // 0 for workers of any job (C++)
  model::Language language = model::Language::kPython;
  uint64_t runtime_env = 0;
  auto operator<=>(const PoolKey&) const = default;
};

struct Action {
  enum class Kind : uint8_t {
    kAssign,
    kRevoke,
    kSpawn,
    kStop,
    kResume,
    kPrepare
  } kind = Kind::kAssign;
  uint32_t task = kNoIndex;  // kAssign
  ClientId worker;           // kAssign, kRevoke, kStop, kResume
  uint32_t slot = 0, generation = 0;
  uint64_t token = 0;          // kSpawn: a number of its own; kResume: what block() was given
  PoolKey pool;                // kSpawn, kPrepare: its environment is wanted
  std::vector<uint32_t> gpus;  // kSpawn: what the process may see; empty: as the driver does
};
using Actions = std::vector<Action>;

struct Worker {
  bool live = false;
  bool pooled = false;  // counted in its pool: neither an actor's nor started for a GPU
  bool holds_resources = false;
  bool overrun = false;
  bool stopping = false;
  bool overdrawn = false;  // resumed beyond the CPUs: takes nothing more until it is idle
  bool warm = true;        // its zygote had imported everything when it was forked
  bool used = false;       // something was offered to it
  bool actor = false;      // belongs to one; `lifetime` is what it holds
  model::ResourceSet lifetime;
  int64_t charged = 0;  // of the CPUs, to its job's account; while there are several jobs
  Payer payer;          // of what it holds
  ClientId client;
  uint32_t pool = 0;
  uint32_t pid = 0;
  uint32_t shape = kNoIndex;
  uint32_t blocked = 0;              // blocking gets under way
  std::vector<uint32_t> queue;       // offered tasks in order; the first one runs
  std::vector<uint32_t> slots;       // task of each claim word used so far
  std::vector<uint32_t> free_slots;  // of those, the ones without a task
  uint32_t generation = 0;
  DurationNs expected_ns = 0;  // of the whole queue
  TimeNs front_since = 0;
  TimeNs shape_since = 0;
  TimeNs idle_since = 0;
  uint32_t open_position = kNoIndex;  // in its shape's open list
  std::vector<GpuShare> gpus;         // for its whole life
  uint32_t deep_position = kNoIndex;  // in the list of deep workers
};

class LocalScheduler {
 public:
  static constexpr DurationNs kPipelineWindow = 500 * kMicrosecond;
  static constexpr DurationNs kWakeWorth = 20 * kMicrosecond;
  static constexpr uint32_t kPipelineDepthMax = 32;
  static constexpr DurationNs kOverrunMin = 2 * kMillisecond;
  static constexpr DurationNs kWidenAfter =
      10 * kMillisecond;  // doubled for each that only blocked
  static constexpr int64_t kWidenDoublingsMax = 3;
  static constexpr DurationNs kHeldMax = 100 * kMillisecond;  // whatever ends meanwhile
  // Deeper ones pass a ready task so long at most; doubled for each blocked worker beyond the CPUs.
  static constexpr DurationNs kPassedMax = 100 * kMillisecond;
  static constexpr int64_t kPassedDoublingsMax = 6;
  static constexpr DurationNs kShapeQuantum = 10 * kMillisecond;
  static constexpr DurationNs kIdleWorkerKept = 10 * kSecond;
  static constexpr DurationNs kUnknownDuration = kSecond;
  static constexpr uint32_t kWorkersMax = 3500;
  static constexpr uint32_t kSpawnFailuresMax = 5;
  static constexpr int64_t kStartedAhead = 4;  // workers for creations that wait for a CPU

  LocalScheduler(TaskTable* tasks, model::ResourceSet total);

  // ---- jobs (job_shares.cc)
  // The moment of what follows.
  void at(TimeNs now) { now_ = now; }
  void set_weight(JobId job, uint32_t weight);
  void job_ended(JobId job);

  // ---- shapes
  uint32_t intern_shape(const TaskTemplate& t);
  bool feasible(uint32_t shape) const { return shapes_[shape].feasible; }

  // ---- placement groups (grouped_calls.cc)
  const PlacementGroups& groups() const { return groups_; }
  PlacementGroup& group(uint32_t index) { return groups_[index]; }
  uint32_t create_group(PlacementGroup group);
  // What is pending and fits is ready now; appended to *ready.
  void reserve_groups(std::vector<uint32_t>* ready);
  // After its tasks and actors were ended, which may take a while: they hold what they have.
  void remove_group(uint32_t group);
  // The task, whose template has a shape outside of groups, is the group's from now on: it holds
  // the group until leave_group().
  void join_group(uint32_t task, uint32_t group, int32_t bundle);
  void leave_group(uint32_t task);

  // ---- workers
  void worker_joined(ClientId client, const PoolKey& pool, uint32_t pid, uint64_t token, TimeNs now,
                     bool warm = true);
  // Starts warm workers for those that are cold and unused; they go as the new ones come.
  void replace_cold(Actions* actions);
  // Takes the worker out and gives its resources back; returns what was offered to it, in order.
  std::vector<uint32_t> worker_left(ClientId client);
  // Returns how often in a row starts in this pool failed.
  uint32_t spawn_failed(uint64_t token, PoolKey* pool);
  // From now on workers of this pool can be started; the first `count` are.
  void prestart(const PoolKey& pool, uint32_t count, Actions* actions);
  Worker* worker(ClientId client) {
    const uint32_t i = client.index();
    if (i >= workers_.size() || !workers_[i].live || workers_[i].client != client) return nullptr;
    return &workers_[i];
  }
  const Worker* worker(ClientId client) const {
    return const_cast<LocalScheduler*>(this)->worker(client);
  }
  uint32_t num_workers() const { return live_workers_; }
  // Live workers in the order of their client index.
  std::vector<const Worker*> workers() const;
  bool pool_has_workers(const PoolKey& pool) const;
  // The same of the pool that tasks of this shape run in.
  bool shape_has_workers(uint32_t shape) const {
    const Pool& pool = pools_[shapes_[shape].pool];
    return pool.workers + pool.starting > 0;
  }
  // Whether the worker of this token was asked for and neither came nor failed.
  bool awaits(uint64_t token) const { return starting_.contains(token); }
  // From now on workers of this runtime environment can be started; those that were asked for are.
  void environment_ready(uint64_t runtime_env, Actions* actions);
  // No more, until it is ready again. Its workers stay.
  void environment_gone(uint64_t runtime_env) { prepared_.erase(runtime_env); }

  // ---- tasks
  void enqueue(uint32_t task);
  // Takes a task out of the ready queue.
  void forget(uint32_t task) { ready_.remove(task); }
  void set_awaited(uint32_t task) { ready_.set_awaited(task); }
  // The worker finished `task`. False if it was not offered to this worker.
  bool task_done(ClientId client, uint32_t task, TimeNs now);
  // Answer to kRevoke. Returns the task if it is back in the ready queue (a call of an actor: in no
  // queue), else kNoIndex.
  uint32_t claim_revoked(ClientId client, uint32_t slot, uint32_t generation, bool won);
  // Asks the task, which was offered, back from its worker; the answer is claim_revoked().
  void ask_back(uint32_t task, Actions* actions);
  // Nothing more comes to the worker, and what it has not begun is asked back.
  void retire(ClientId client, Actions* actions);
  uint32_t task_at(ClientId client, uint32_t slot) const {
    const Worker* w = worker(client);
    return w == nullptr || slot >= w->slots.size() ? kNoIndex : w->slots[slot];
  }

  // ---- workers of actors (actor_workers.cc)
  // The creation `task` ended: the worker is the actor's, with `lifetime` of what it held. The pool
  // it came from is filled up again.
  void creation_done(ClientId client, uint32_t task, const model::ResourceSet& lifetime, TimeNs now,
                     Actions* actions);
  // Whether another call may be offered to the actor's worker.
  bool has_room(ClientId client) const;
  // A call, in no ready queue, is offered to its actor's worker.
  void offer(ClientId client, uint32_t call, TimeNs now, Actions* actions);

  // ---- blocking
  void block(ClientId client, Actions* actions);
  // The wait is over: runs again at once if it may (true), else kResume{token} follows.
  bool resume(ClientId client, uint64_t token);
  // The wait ended otherwise (timeout): runs again whatever is free.
  void resume_now(ClientId client, uint64_t token);
  // Its wait is over, and it waits for a CPU.
  bool waits_to_resume(ClientId client) const;

  // ---- deciding
  void schedule(TimeNs now, Actions* actions);
  void tick(TimeNs now, Actions* actions);
  TimeNs next_timer() const { return next_timer_; }

  const model::ResourceSet& total() const { return node_.total; }
  const model::ResourceSet& available() const { return node_.available; }
  const ReadyQueues& ready() const { return ready_; }
  // Whether some ready task will run in a moment: there is room for it and somebody to run it.
  bool ready_task_fits() const;
  std::string validate() const;

 private:
  struct Shape {
    PoolKey pool_key;
    uint32_t pool = 0;
    model::ResourceSet resources;
    bool makes_actors = false;
    bool feasible = false;       // the node has that much
    uint32_t account = 0;        // of its job, which the pool of C++ workers does not tell
    std::vector<ClientId> open;  // busy workers of this shape with room behind
    bool try_now = false;
    std::map<uint64_t, ClientId> leased;  // started for a GPU, without a task yet; by spawn token
    std::set<uint64_t> leases_starting;   // spawn tokens of those that have not joined
    uint32_t group = kNoIndex;            // a placement group, and its bundle or -1
    int32_t bundle = -1;
    bool over = false;  // of a group that is no more: to be used again
  };
  struct Pool {
    PoolKey key;
    std::vector<ClientId> idle;  // the last one was busy most recently
    uint32_t starting = 0;
    uint32_t workers = 0;
    uint32_t failures = 0;   // starts in a row that failed
    uint32_t wanted = 0;     // workers that are kept at hand beside those of actors
    bool can_start = false;  // Python's always; C++'s once a program for them is known
  };
  struct Starting {
    uint32_t pool = 0;
    uint32_t shape = kNoIndex;  // of a worker for a GPU
    std::vector<GpuShare> gpus;
    Payer payer;
  };
  // What blocked workers of a job wait for.
  struct Depths {
    uint32_t blocked = 0;                                    // workers
    boost::container::flat_map<uint16_t, uint32_t> offered;  // tasks of each depth
  };
  struct Resume {
    ClientId worker;
    uint64_t token = 0;
  };

  uint32_t pool_of(const PoolKey& key);
  bool is_prepared(const Pool& pool) const {
    return pool.key.runtime_env == 0 || prepared_.contains(pool.key.runtime_env);
  }
  void ask_to_prepare(const Pool& pool, Actions* actions);
  const model::ResourceSet& held_by(const Worker& w) const {
    return w.actor ? w.lifetime : shapes_[w.shape].resources;
  }
  int64_t cpu_of(const Worker& w) const;
  bool may_resume(const Worker& w) const;
  void take_cpu(Worker* w);
  // Where a task of this shape can be charged now.
  bool choose_payer(const Shape& shape, Payer* payer) const;
  void take_from(const Payer& payer, const model::ResourceSet& amount);
  void forget_groups();
  uint32_t shape_in_group(uint32_t shape, uint32_t group, int32_t bundle);
  int64_t how_many_fit(const Shape& shape, int64_t most) const;
  void place_all(TimeNs now, Actions* actions);
  bool place_one(uint32_t shape, TimeNs now, Actions* actions);
  bool place_it(uint32_t shape_index, uint32_t task, TimeNs now, Actions* actions);
  void note_passed(uint32_t placed, TimeNs now);
  void begin_passing(TimeNs now);
  void place_oldest(TimeNs now, Actions* actions);
  bool place_behind(uint32_t shape, uint32_t task, DurationNs length, DurationNs limit, TimeNs now,
                    Actions* actions);
  void spawn_for(uint32_t shape, Actions* actions);
  void spawn(uint32_t pool, uint32_t count, Actions* actions);
  void assign(Worker* w, uint32_t task, DurationNs length, TimeNs now, Actions* actions);
  void put_into_slot(Worker* w, uint32_t task, TimeNs now, Actions* actions);
  void revoke_behind_front(Worker* w, Actions* actions);
  void erase_from_queue(Worker* w, size_t position);
  void count_offered(uint32_t task, int change);
  uint32_t account_of(uint32_t task) const {
    return shapes_[tasks_->tmpl_of((*tasks_)[task]).shape].account;
  }
  // ---- job_shares.cc
  uint32_t account(JobId job);
  void charge_anew();
  int64_t cost_of(const Worker& w) const;
  void charge(Worker* w);
  std::string validate_shares() const;
  bool would_only_widen(uint32_t task, TimeNs now);
  void set_blocked(Worker* w, uint32_t blocked);
  void became_idle(Worker* w, TimeNs now);
  void release_resources(Worker* w);
  void refresh_open(Worker* w);
  void refresh_deep(Worker* w) {
    const bool deep = w->queue.size() > 1 && !w->actor;
    if (deep != (w->deep_position != kNoIndex)) change_deep(w, deep);
  }
  void change_deep(Worker* w, bool deep);
  void close(Worker* w);
  void try_all() { try_all_ = groups_may_fit_ = true; }
  void serve_resumes(Actions* actions);
  // ---- cold_workers.cc
  bool is_replaceable(const Worker& w) const;
  void retire_cold(Pool* pool);
  void stop_retired(Actions* actions);
  // ---- gpu_leases.cc
  bool needs_gpu(uint32_t shape) const { return has_gpus_ && shape_needs_gpu(shape); }
  bool shape_needs_gpu(uint32_t shape) const;
  bool place_on_gpu(uint32_t shape, TimeNs now, Actions* actions);
  void lease_joined(Worker* w, uint64_t token, Starting starting);
  void lease_failed(uint64_t token, const Starting& starting);
  void end_lease(Worker* w);
  void stop_ended_leases(Actions* actions);
  void stop_surplus(TimeNs now, Actions* actions);
  DurationNs expected(uint32_t task) const {
    const TaskTemplate& t = tasks_->tmpl_of((*tasks_)[task]);
    // A task that may run only so long, or whose worker may end with it, has a worker to itself.
    if (t.samples == 0 || t.timeout > 0 || t.max_calls > 0) return kUnknownDuration;
    return std::max<DurationNs>(t.average_ns, kMicrosecond);
  }
  uint32_t best_shape(TimeNs now);
  void try_shape(uint32_t shape) {
    if (shapes_[shape].try_now) return;
    shapes_[shape].try_now = true;
    to_try_.push_back(shape);
  }
  void try_none();

  TaskTable* tasks_;
  NodeAccount node_;
  bool has_gpus_ = false;  // the node, any
  PlacementGroups groups_;
  ReadyQueues ready_;
  std::vector<Shape> shapes_;
  std::map<uint32_t, std::vector<uint32_t>> free_shapes_;  // by account
  std::vector<Pool> pools_;
  std::set<uint64_t> prepared_;            // runtime environments whose workers can be started
  std::vector<Worker> workers_;            // by client index
  std::map<uint64_t, Starting> starting_;  // by spawn token
  std::vector<ClientId> ended_leases_;
  std::vector<ClientId> retired_;
  std::deque<Resume> resumes_;
  uint32_t live_workers_ = 0;
  uint32_t revoking_ = 0;  // tasks asked back whose answer is outstanding
  FairShare shares_;
  std::vector<Depths> depths_;  // by account
  TimeNs now_ = 0;
  TimeNs held_since_ = kNever;    // no task ended since then, and a wider one is held back
  TimeNs held_from_ = kNever;     // when that one was held back first
  DurationNs held_patience_ = 0;  // how long nothing may end until it starts
  bool may_widen_ = false;        // that lasted long enough: one may start
  TimeNs passed_since_ = kNever;  // since then deeper tasks went before others that are ready
  DurationNs passed_patience_ = kPassedMax;
  bool overdue_ = false;        // that lasted too long: the oldest gets the next CPU
  std::vector<ClientId> deep_;  // with a task behind the running one; no actors' workers
  uint64_t last_token_ = 0;
  TimeNs next_timer_ = kNever;
  bool try_all_ = false;
  bool groups_may_fit_ = false;   // since the last look
  std::vector<uint32_t> to_try_;  // shapes whose try_now is set
};

}  // namespace sundog::core
