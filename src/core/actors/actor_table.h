// ActorTable: the actors that this node made, where each is in its life, and the calls that wait
// for it (docs/design/0004-actors.md).
//
// A call is in one of its actor's lists until it is offered to the actor's process:
//   held       per caller, in the order of submission: its arguments, or those of an earlier call
//              of the same caller, are not there
//   startable  one for each of the actor's concurrency groups, in the order in which calls came to
//              be so
// What was offered when the process died is an *orphan* until its claim is told; orphans that may
// be tried again come before everything else, in their old order.
//
// Links lie in the task records, so a call costs no allocation unless it is held back.
// Owned by NodeCore, pure. It keeps facts; NodeCore decides what follows from them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/slab.h"
#include "core/tasks/task_table.h"
#include "model/errors.h"
#include "model/value.h"

namespace sundog::core {

enum class ActorState : uint8_t {
  kPending,     // its creation waits for arguments, resources or a worker
  kCreating,    // its constructor is with a worker
  kAlive,       // calls run
  kRestarting,  // its process died: as pending, with the calls kept
  kDead,
};

struct CallList {
  uint32_t head = kNoIndex, tail = kNoIndex, count = 0;
  bool empty() const { return head == kNoIndex; }
};

// Calls that are counted together: up to `limit` of them run at once. The process gets some more,
// which it begins by itself as others end.
struct CallGroup {
  static constexpr uint32_t kAhead = 31;
  std::string name;  // of the first one: empty
  uint32_t limit = 1;
  uint32_t offered = 0;
  CallList startable;
  bool has_window() const { return offered < limit + kAhead; }
};

struct ActorRecord {
  bool live = false;
  bool detached = false;
  bool outlives_job = false;  // detached, or made by one that is
  bool has_handle = true;     // its object exists
  bool to_serve = false;      // on the list of take_to_serve()
  ActorState state = ActorState::kPending;
  ObjectId handle;
  uint32_t object = kNoIndex;    // of the handle, while has_handle
  uint32_t tmpl = kNoIndex;      // of its creation
  uint32_t creation = kNoIndex;  // the creation task, while it may run (again)
  ClientId worker;               // nil: it has no process
  uint32_t pid = 0;              // of its last process
  int32_t max_restarts = 0;
  uint32_t restarts = 0;
  TimeNs submitted = 0, alive_since = 0;
  // ---- calls
  std::vector<CallGroup> groups = std::vector<CallGroup>(1);
  bool out_of_order = false;  // calls whose arguments are missing hold back no others
  std::map<ClientId, CallList> held;
  std::vector<uint32_t> orphans;  // kNoIndex for those that ended
  uint32_t unanswered = 0;        // claims of orphans that are not told yet
  TaskId placement_group;         // the group it runs in, or nil
  bool captures = false;          // what its calls submit runs there too
  std::string killed_by;          // why its process is being killed, if kill() did
  // ---- why it is dead, or lost its last process
  std::string cause;
  model::ErrorKind cause_kind = model::ErrorKind::kActorDied;
  model::Format cause_format = model::Format::kInvalid;  // of the error that led to it
  std::string cause_bytes;
  std::string setup_error;  // why its runtime environment could not be had; calls raise that
  // ---- its name, if it has one
  std::string name_space, name;

  bool may_restart() const {
    return max_restarts < 0 || restarts < static_cast<uint32_t>(max_restarts);
  }
};

class ActorTable {
 public:
  explicit ActorTable(TaskTable* tasks) : tasks_(tasks) {}

  uint32_t create(const ObjectId& handle);
  void release(uint32_t actor) { actors_.release(actor); }
  ActorRecord& operator[](uint32_t index) { return actors_[index]; }
  const ActorRecord& operator[](uint32_t index) const { return actors_[index]; }
  uint32_t live() const { return actors_.live(); }
  uint32_t end() const { return actors_.end(); }

  // ---- calls. Their records name the actor and their submitter; in state kAtActor their
  // arguments are there, in state kWaiting they are not.
  void add_call(uint32_t call);
  // Its arguments came: it is in state kAtActor now.
  void arguments_came(uint32_t call);
  // Takes it out of its list (it failed). Calls behind it may become startable.
  void remove(uint32_t call);
  // It was tried and may be tried again: before all others.
  void push_front(uint32_t call);
  bool is_listed(uint32_t call) const;
  // The next call of a group to start, taken out; kNoIndex: none.
  uint32_t take_next(uint32_t actor, uint32_t group = 0);
  // The actor's number for a group; kNoIndex: it has none of this name.
  uint32_t find_group(uint32_t actor, std::string_view name) const;
  // It is with the process; it is there no more.
  void offered(uint32_t call);
  void answered(uint32_t call);
  // All listed calls, taken out: startable ones first, then those held, by caller.
  std::vector<uint32_t> take_all(uint32_t actor);

  // ---- the process is gone
  // `offered`, in order, were with it: each is told by orphan_answered().
  void orphan(uint32_t actor, std::span<const uint32_t> offered);
  // `keep`: it may be started again. Returns true after the last one.
  bool orphan_answered(uint32_t call, bool keep);

  // Actors with something to start since the last time, each once. Those that cannot start it now
  // (no process, no room) are named again by serve_again().
  bool has_to_serve() const { return !to_serve_.empty(); }
  std::vector<uint32_t> take_to_serve();
  void serve_again(uint32_t actor);

  // Calls in lists and orphans.
  uint32_t waiting_calls(const ActorRecord& actor) const;
  // Of these, those that this client made.
  uint32_t waiting_calls_of(const ActorRecord& actor, ClientId caller) const;
  std::string validate() const;

 private:
  CallList* list_of(uint32_t call);
  void append(CallList* list, uint32_t call);
  void unlink(CallList* list, uint32_t call);
  void release_front(ActorRecord* actor, ClientId caller);
  std::string validate_list(const CallList& list, uint32_t actor, bool may_start) const;

  TaskTable* tasks_;
  Slab<ActorRecord> actors_;
  std::vector<uint32_t> to_serve_;
};

}  // namespace sundog::core
