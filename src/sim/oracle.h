// Oracle: what must be true, told apart from what the core believes. Model processes tell it what
// they write, start, finish and read; it knows the right value of every object and which failures
// are justified.
//
// The meaning of a result is a hash of the task's seed, the result's index and the meanings of its
// arguments: it does not depend on attempts, so that a retried task must give the same meaning.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/messages.h"

namespace sundog::sim {

uint64_t mix(uint64_t a, uint64_t b);

struct Written {
  ObjectId id;
  uint32_t attempt = 0;
  uint64_t meaning = 0;
  uint64_t size = 0;  // bytes
  bool is_error = false;
  std::vector<ObjectId> contained;
};

struct TaskFacts {
  uint64_t seed = 0;
  uint32_t num_results = 1;
  int32_t max_retries = 0;
  int64_t cpu = 0, gpu = 0;   // 1/10000
  uint32_t owner = 0;         // node
  std::set<uint32_t> ran_on;  // nodes
  std::vector<ObjectId> arguments;
  std::set<uint32_t> started;  // attempts that were claimed
  uint32_t crashes = 0;        // attempts whose worker died before their end was published
  bool raised = false;         // its program failed by itself
  bool finished = false;       // an end was published
  bool running = false;
  TaskId parent;
  bool timed = false;        // may run only so long
  uint64_t environment = 0;  // 0: none, which needs no preparing
  bool may_run = true;       // its environment can be built, a bundle of its group is large enough
  bool cancelled = false, cancels_children = false;
  // What the owner knew when it heard of it: attempts after this one are wrong, and any if the task
  // was with nobody.
  uint32_t last_attempt = UINT32_MAX;
  bool was_queued = false;
  // ---- a call
  ObjectId actor;         // nil: it is none
  uint64_t caller = 0;    // the process that made it
  uint64_t sequence = 0;  // among the calls of that process
  // ---- a generator
  uint32_t items = 0;  // that it yields before it ends or raises
  // ---- of a placement group; nil: none
  TaskId group;
  int32_t bundle = -1;
  model::CaptureChildren capture = model::CaptureChildren::kAsParent;
  bool outside_groups = false;
  bool captures = false;  // what it submits runs in its group
  bool captured = false;  // it runs in its parent's
};

struct GroupFacts {
  struct Amounts {
    int64_t cpu = 0, gpu = 0;  // 1/10000
  };
  uint32_t node = 0;
  std::vector<Amounts> bundles;
  bool feasible = true;
  bool detached = false;
  bool named = false;    // another one may have the name: then there is no such group
  bool removed = false;  // somebody asked for it
  bool lost = false;     // with its node
  // What was with workers when its node removed it: these attempts may still begin.
  std::set<std::pair<TaskId, uint32_t>> with_workers;
};

struct ActorFacts {
  uint32_t node = 0;
  int32_t max_restarts = 0;
  int64_t lifetime_cpu = 0, lifetime_gpu = 0;  // 1/10000
  bool detached = false;
  bool has_io = false;  // a concurrency group
  bool killed = false;  // for good, by somebody
  bool exited = false;
  uint32_t deaths = 0;                        // of processes whose constructor had begun
  std::map<uint64_t, uint64_t> last_started;  // caller -> sequence
};

class Oracle {
 public:
  // ---- told by model processes
  void submitted(const TaskId& task, TaskFacts facts);
  void put(const ObjectId& id, uint64_t meaning, uint32_t node) {
    meanings_[id] = meaning;
    put_on_[id.task] = node;
  }
  // The number that stands for a written value in bytes and arenas.
  uint64_t write(Written value);
  void started(const TaskId& task, uint32_t attempt, uint32_t node);
  void published_end(const TaskId& task, uint32_t attempt, bool raised, bool will_retry);
  void crashed(const TaskId& task, uint32_t attempt);
  // Somebody wants the task to end; its failure, and with `recursive` that of its children, is
  // justified from now on.
  void cancelled(const TaskId& task, bool recursive);
  // Its owner heard of that, and the task was in this attempt.
  void cancel_heard(const TaskId& task, uint32_t attempt, bool queued);
  // A worker dies for a cancelled task while it runs this one.
  void killed_for_cancelling(const TaskId& running);
  // From now on nobody is owed the results of this job.
  void job_ended(JobId job) { ended_jobs_.insert(job); }
  // What this node owned or ran may be lost.
  void node_died(uint32_t node);
  // The node is cut off for so long that others will take it for dead while it still runs.
  void node_isolated(uint32_t node) {
    node_died(node);
    isolated_.insert(node);
  }
  // The controller says so of this life of the node; told once for each message about it.
  void declared_dead(uint32_t node, uint64_t epoch);
  // A value arrived: it must be the right one.
  void check_value(const ObjectId& id, uint64_t content);
  // An error of the runtime arrived: something must justify it.
  void check_error(const ObjectId& id, std::string_view text);
  // A stream ended behind so many good items; `failed`: and an error.
  void check_end(const TaskId& task, uint32_t items, bool failed);
  // ---- actors
  void actor_made(const ObjectId& handle, ActorFacts facts) { actors_[handle] = std::move(facts); }
  ActorFacts* actor(const ObjectId& handle);
  void actor_process_died(const ObjectId& handle);
  // Whether calls of it may fail for its death.
  bool may_be_dead(const ObjectId& handle) const;
  // Detached actors of a node that nobody killed.
  std::vector<ObjectId> detached_on(uint32_t node) const;
  // Actors and detached groups that hold what tasks need too, and were not ended.
  uint32_t holding(uint32_t node) const;
  // ---- placement groups
  void group_made(const TaskId& id, GroupFacts facts) { groups_[id] = std::move(facts); }
  GroupFacts* group(const TaskId& id);
  // Whether what runs in it may end for that: it was removed, or never made, or is lost.
  bool group_over(const TaskId& id) const;
  // Whether a bundle of it (-1: any) is as large as that.
  bool group_holds(const TaskId& id, int32_t bundle, int64_t cpu, int64_t gpu) const;
  std::vector<TaskId> detached_groups_on(uint32_t node) const;

  // From now on a failure of this object is justified (its node died, its store was full).
  void excuse(const TaskId& task, std::string why) { excused_[task] = std::move(why); }

  const Written* find(uint64_t content) const;
  TaskFacts* task(const TaskId& id);
  bool may_be_cancelled(const TaskId& id) const;
  uint64_t meaning_of(const ObjectId& id) const;
  bool may_fail(const ObjectId& id) const;

  void fail(std::string what);
  const std::vector<std::string>& failures() const { return failures_; }
  size_t num_tasks() const { return tasks_.size(); }

 private:
  std::map<TaskId, TaskFacts> tasks_;
  std::map<ObjectId, ActorFacts> actors_;
  std::map<TaskId, GroupFacts> groups_;
  std::map<ObjectId, uint64_t> meanings_;
  std::map<TaskId, std::string> excused_;
  std::set<JobId> ended_jobs_;
  std::map<TaskId, uint32_t> put_on_;
  uint32_t node_deaths_ = 0;
  std::set<uint32_t> isolated_;
  std::set<uint32_t> death_known_;  // nodes whose death was no surprise
  std::set<uint64_t> declared_;     // epochs of dead lives
  std::vector<Written> written_;
  std::vector<std::string> failures_;
};

}  // namespace sundog::sim
