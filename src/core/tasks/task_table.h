// TaskTable: specifications and states of tasks that this node owns or runs, the templates that
// calls share, and the edges from awaited objects to the tasks that wait for them.
//
// Owned by NodeCore, pure. It keeps facts; LocalScheduler decides who runs.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/tables.h"
#include "base/time.h"
#include "core/slab.h"
#include "model/messages.h"
#include "model/resources.h"

namespace sundog::core {

// What calls of one remote function with one set of options share; interned by content.
struct TaskTemplate {
  JobId job;
  model::Language language = model::Language::kPython;
  ObjectId function;
  std::string name;   // as the client named it; of a creation, its class
  std::string title;  // for people: the name, "Counter.__init__" for a creation
  std::string source;
  model::ResourceSet resources;
  int32_t max_retries = 0;
  bool retry_exceptions = false;
  int32_t priority = 0;
  uint64_t runtime_env = 0;
  uint32_t shape = 0;  // LocalScheduler's number for what may share a worker's queue
  model::CallKind kind = model::CallKind::kTask;
  std::string method;           // kMethod
  model::ResourceSet lifetime;  // kCreateActor: what of `resources` the actor keeps
  int32_t max_restarts = 0;
  bool detached = false;
  uint32_t max_concurrency = 1;  // kCreateActor: calls of no group that may run at once
  std::vector<std::pair<std::string, uint32_t>> groups;
  bool out_of_order = false;
  std::string group;  // kMethod
  model::Returns returns = model::Returns::kFixed;
  uint64_t stream_items = 0;  // kStream: 0: no limit
  DurationNs timeout = 0;     // of an attempt; 0: none
  uint32_t max_calls = 0;     // of this function in one worker; 0: any number
  TaskId placement_group;     // nil: see model::DefineTemplate
  int32_t bundle = -1;
  model::CaptureChildren capture_children = model::CaptureChildren::kAsParent;
  bool outside_groups = false;
  bool unrecorded = false;
  bool names_group = false;  // one of these four asks for something
  uint16_t cpus = 1;         // whole ones of `resources`, at least 1; intern_template() counts
  // Running time, exponentially weighted; 0: never ran.
  DurationNs average_ns = 0;
  uint32_t samples = 0;
};

enum class TaskState : uint8_t {
  kWaiting,   // for arguments
  kReady,     // in its shape's queue
  kOffered,   // sent to a worker: running, or behind another task there
  kRevoking,  // asked back from the worker, answer outstanding
  kRemote,    // given, or about to be given, to another node
  kAtActor,   // a call whose arguments are there: in its actor's lists
  kKept,      // a creation that is done, kept for the actor's restart
};

// Memory of a few bytes in place, or apart. Allocated once.
class TaskBlock {
 public:
  TaskBlock() = default;
  ~TaskBlock() {
    if (apart_) delete[] memory_apart();
  }
  TaskBlock(const TaskBlock&) = delete;
  TaskBlock& operator=(const TaskBlock&) = delete;
  void allocate(size_t bytes) {
    SUNDOG_CHECK(!apart_);
    if (bytes <= sizeof in_place_) return;
    auto* memory = new std::byte[bytes];
    std::memcpy(in_place_, &memory, sizeof memory);
    apart_ = true;
  }
  std::byte* data() { return apart_ ? memory_apart() : in_place_; }
  const std::byte* data() const { return apart_ ? memory_apart() : in_place_; }

 private:
  std::byte* memory_apart() const {
    std::byte* memory;
    std::memcpy(&memory, in_place_, sizeof memory);
    return memory;
  }
  alignas(uint32_t) std::byte in_place_[8];
  bool apart_ = false;
};

// There may be millions: what it needs is counted below.
struct TaskRecord {
  bool live = false;
  bool awaited = false;       // somebody's get or wait depends on it
  bool foreign = false;       // taken in from the node that owns it
  bool queued = false;        // in a ready list (links below are valid)
  bool outlives_job = false;  // it is a detached actor's, or was submitted by one
  bool may_start = false;     // a call: whether it is in its actor's list of those
  bool cancelling = false;    // with a worker, and to end: see Cancelling
  bool has_deadline = false;
  bool has_children = false;      // it submitted something
  bool cancels_children = false;  // what it submits yet is cancelled too
  bool captures = false;          // what it submits runs in its placement group
  model::CallKind kind = model::CallKind::kTask;
  TaskState state = TaskState::kWaiting;
  uint16_t depth = 0;  // nesting: a driver's tasks have 1
  uint16_t group = 0;  // kMethod: of its actor's groups
  TaskId id;
  TaskId parent;
  uint32_t attempt = 0;
  uint32_t recorded = 0;  // attempts below this one have left their record
  uint32_t failures = 0;  // attempts that counted against max_retries
  uint32_t tmpl = kNoIndex;
  ClientId submitter;
  ClientId worker;  // while offered
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t unready = 0;                       // arguments not there yet
  uint32_t prev = kNoIndex, next = kNoIndex;  // ready list, or a list of its actor
  uint32_t actor = kNoIndex;                  // kCreateActor, kMethod: ActorTable's number
  uint32_t handle = kNoIndex;                 // kMethod: the actor's object, held once
  uint32_t stream = kNoIndex;                 // Streams' number, if it yields items
  uint32_t placement = kNoIndex;              // PlacementGroups' number, held
  uint32_t shape = kNoIndex;                  // in its group; kNoIndex: its template's
  TimeNs submitted = 0, became_ready = 0, offered = 0;
  // Results, argument references, contained references (object indexes), arguments. In place for a
  // result or two without arguments; first here, so that a pointer in it is aligned.
  TaskBlock block;
  uint32_t num_results = 0, num_refs = 0, num_contained = 0, argument_bytes = 0;
  uint32_t results_seen = 0;  // of the current attempt

  uint32_t* indexes() { return reinterpret_cast<uint32_t*>(block.data()); }
  const uint32_t* indexes() const { return reinterpret_cast<const uint32_t*>(block.data()); }
  std::span<const uint32_t> results() const { return {indexes(), num_results}; }
  std::span<const uint32_t> refs() const { return {indexes() + num_results, num_refs}; }
  std::span<const uint32_t> contained() const {
    return {indexes() + num_results + num_refs, num_contained};
  }
  std::span<uint32_t> all_indexes() { return {indexes(), num_results + num_refs + num_contained}; }
  Bytes arguments() const {
    uint64_t head = (uint64_t{num_results} + num_refs + num_contained) * sizeof(uint32_t);
    return {block.data() + round_up(head, 8), argument_bytes};
  }
};
static_assert(sizeof(TaskRecord) <= 176);

// "Task waits for object": in the object's list of dependents.
struct DependencyEdge {
  bool live = false;
  uint32_t task = kNoIndex;
  uint32_t next = kNoIndex;
};

class TaskTable {
 public:
  uint32_t find(const TaskId& id) const {
    auto it = index_.find(id);
    return it == index_.end() ? kNoIndex : it->second;
  }
  // A record with room for everything; indexes are to be filled in by the caller. kNoIndex: there
  // is a task of this id.
  uint32_t try_create(const model::Submit& submit);
  // The same for an id that is nobody's.
  uint32_t create(const model::Submit& submit) {
    const uint32_t index = try_create(submit);
    SUNDOG_CHECK(index != kNoIndex);
    return index;
  }
  void release(uint32_t index);
  TaskRecord& operator[](uint32_t index) { return tasks_[index]; }
  const TaskRecord& operator[](uint32_t index) const { return tasks_[index]; }
  uint32_t live() const { return tasks_.live(); }
  uint32_t end() const { return tasks_.end(); }

  // The number of an equal template, new or old.
  uint32_t intern_template(TaskTemplate candidate);
  TaskTemplate& tmpl(uint32_t index) { return *templates_[index]; }
  const TaskTemplate& tmpl(uint32_t index) const { return *templates_[index]; }
  TaskTemplate& tmpl_of(const TaskRecord& t) { return *templates_[t.tmpl]; }
  const TaskTemplate& tmpl_of(const TaskRecord& t) const { return *templates_[t.tmpl]; }
  // What may share a worker's queue with it.
  uint32_t shape_of(const TaskRecord& t) const {
    return t.shape == kNoIndex ? tmpl_of(t).shape : t.shape;
  }
  size_t num_templates() const { return templates_.size(); }
  void learn_duration(uint32_t tmpl_index, DurationNs took) {
    TaskTemplate& t = *templates_[tmpl_index];
    if (took < 0) return;
    t.average_ns = t.samples == 0 ? took : t.average_ns + (took - t.average_ns) / 8;
    if (t.samples < UINT32_MAX) ++t.samples;
  }

  // Puts `task` at the front of the list that starts at *head.
  void add_edge(uint32_t* head, uint32_t task);
  // Calls visit(task) for each edge in the order of add, frees the list.
  template <typename Visit>
  void take_edges(uint32_t* head, Visit&& visit) {
    if (*head == kNoIndex) return;
    std::vector<uint32_t> tasks;
    for (uint32_t e = *head; e != kNoIndex;) {
      tasks.push_back(edges_[e].task);
      uint32_t next = edges_[e].next;
      edges_.release(e);
      e = next;
    }
    *head = kNoIndex;
    for (size_t i = tasks.size(); i-- > 0;) visit(tasks[i]);
  }
  // Removes every edge of `task` from the list.
  void remove_edges(uint32_t* head, uint32_t task);

 private:
  Slab<TaskRecord> tasks_;
  Slab<DependencyEdge> edges_;
  IdMap<TaskId, uint32_t> index_;
  std::vector<std::unique_ptr<TaskTemplate>> templates_;
  std::map<std::string, uint32_t> template_index_;  // by content
};

}  // namespace sundog::core
