// What a client and its node's daemon say to each other, as plain values. src/wire turns them
// into ring records and back; src/core decides on them; nothing here knows about either.
//
// All spans and string_views are views of the buffer a message was decoded from, or of memory of
// the core; they live until the next step.
//
// The rules that every sender keeps:
//  - A ring is a FIFO. Refs that a task's code came to hold are added (AddRefs) before the Done,
//    DropRefs or Unpin that could end the life they came from.
//  - Each Value or Execute that carries an extent pins it once for the receiving client; the
//    client sends Unpin when its last view is gone.
//  - Submit and Put count one reference for each result or object to the sender, without AddRefs.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "model/value.h"

namespace sundog::model {

enum class Role : uint8_t { kDriver = 1, kWorker = 2, kTool = 3 };
enum class Language : uint8_t { kPython = 1, kCpp = 2 };

// What a call is. An actor is made by a call of kind kCreateActor; its only result, a reference
// like any other, is the actor's handle: whoever holds one may call, and when nobody does any more
// the actor ends after the calls that were queued. That result's value is kNone once the
// constructor returned, or the error that ended it.
enum class CallKind : uint8_t { kTask = 1, kCreateActor = 2, kMethod = 3 };

// How the results of a call come. kStream: index 0 is made at its end (kNone, or what ended it);
// before that come items, index 1 on, as many as it likes. kDynamic: one, a list of references that
// the worker's language makes. kFixed: one is what was returned as a whole, several are its parts;
// kParts: one is a part too.
enum class Returns : uint8_t { kFixed = 1, kStream = 2, kDynamic = 3, kParts = 4 };

// How far the end of a task is asked for; each level has those before it. A task that has not begun
// never begins, whatever the level. Calls of actors go no further than kCooperative.
enum class CancelLevel : uint8_t {
  kQueued = 0,       // only if it has not begun
  kCooperative = 1,  // it can ask whether it is cancelled
  kInterrupt = 2,    // KeyboardInterrupt is raised in it
  kKill = 3,         // its worker is killed
};

// How the bundles of a placement group lie on nodes: together as far as possible, apart as far as
// possible, all on one, each on one of its own.
enum class GroupStrategy : uint8_t { kPack = 1, kSpread = 2, kStrictPack = 3, kStrictSpread = 4 };

// Whether what a call submits runs in the call's placement group unless it says otherwise.
enum class CaptureChildren : uint8_t { kAsParent = 0, kNo = 1, kYes = 2 };

struct NamedAmount {
  std::string_view name;
  int64_t amount = 0;  // 1/10000
};

// Counted reference change: `count` local owners came or went.
struct alignas(4) RefCount {
  ObjectId id;
  uint32_t count = 1;
};
static_assert(sizeof(RefCount) == 24);

// ---------------------------------------------------------------- client -> node

// What all calls of one remote function (with one set of options) have in common. Sent once
// before the first Submit that names it; numbers are the client's own.
struct DefineTemplate {
  uint32_t template_id = 0;
  Language language = Language::kPython;
  ObjectId function;        // Python: the pickled function, put by the client; C++: nil
  std::string_view name;    // for people: qualified name; C++: the registered name
  std::string_view source;  // "file.py:12", may be empty
  std::span<const NamedAmount> resources;  // kCreateActor: what it needs to be placed
  int32_t max_retries = 3;  // after a worker's death; -1: without end; kMethod: of this call
  bool retry_exceptions = false;
  int32_t priority = 0;      // larger first
  uint64_t runtime_env = 0;  // hash of the runtime environment, 0: the job's
  CallKind kind = CallKind::kTask;
  std::string_view method;  // kMethod: the attribute's name; kTask: the function's if `name` is not
  // kCreateActor: what it keeps while it lives, and how often its process is started anew (-1:
  // without end). A detached actor lives until it is killed, whatever becomes of its job.
  std::span<const NamedAmount> lifetime;
  int32_t max_restarts = 0;
  bool detached = false;
  // kCreateActor: how many of its calls may run at once, those of named groups counted apart
  // (amount: calls, not 1/10000), and whether a call may overtake one whose arguments are missing.
  uint32_t max_concurrency = 1;
  std::span<const NamedAmount> groups;
  bool out_of_order = false;
  std::string_view group;  // kMethod: where its calls are counted; empty: among all others
  Returns returns = Returns::kFixed;
  uint64_t stream_items = 0;  // kStream: untaken ones at which its producer waits; 0: no limit
  // kTask: how long an attempt may run (0: as long as it likes), and after how many calls of this
  // function a worker ends (0: never).
  DurationNs timeout_ns = 0;
  uint32_t max_calls = 0;
  // Not kMethod: the placement group whose resources it takes (nil: its parent's if that captures
  // its children, none if `outside_groups`), which of its bundles (-1: any), and its children.
  TaskId placement_group;
  int32_t bundle = -1;
  CaptureChildren capture_children = CaptureChildren::kAsParent;
  bool outside_groups = false;
  bool unrecorded = false;  // neither the timeline nor a list of tasks shows its calls
};

// Language-neutral arguments: `arguments` is laid out by src/wire/arguments.h; `refs` are the
// top-level references in it, in its order, awaited and delivered as values; `contained` are
// references inside the arguments' values, held while the task may run and not awaited.
struct Submit {
  TaskId task;
  TaskId parent;
  ObjectId actor;  // kMethod: the actor's handle; nil otherwise
  uint32_t parent_attempt = 0;
  uint32_t template_id = 0;
  uint32_t num_results = 1;
  std::span<const ObjectId> refs;
  std::span<const ObjectId> contained;
  Bytes arguments;
};

// A value that the client puts. In an extent: the extent was granted to this client before and is
// sealed by this message; it may be larger than what is used.
struct Put {
  ObjectId id;
  ValueView value;
  std::span<const ObjectId> contained;
  bool hold_for_job = false;  // functions: the job itself holds a reference until it ends
};

// Asks for room in an arena; answered by Grant or Refused with the same request number.
struct Allocate {
  uint32_t request = 0;
  uint64_t size = 0;  // bytes
};
// Gives back a grant that was not sealed.
struct Abandon {
  Extent extent;
};

// Values of `ids` are wanted. Each is answered by one Value as it becomes ready (with a pin if in
// an extent); once `num_ready` of them are ready, by Waited. `values` false: readiness only (Ready
// instead of Value), for wait(). `blocking`: the sender runs a task and sleeps until Waited; its
// CPU is free for others meanwhile, and Waited may be held back until it may run again.
struct Get {
  uint32_t request = 0;
  uint32_t num_ready = 0;
  bool values = true;
  bool blocking = false;
  std::span<const ObjectId> ids;
};
// The wait of `request` is over for the client (timeout, interrupt): no Waited is expected any
// more, and a blocked sender runs again.
struct EndGet {
  uint32_t request = 0;
};

struct AddRefs {
  std::span<const RefCount> refs;
};
struct DropRefs {
  std::span<const RefCount> refs;
};
struct Unpin {
  std::span<const RefCount> pins;
};
// The client dropped values that were pushed unasked: for each its bytes plus kPushOverheadBytes.
struct Credit {
  uint64_t bytes = 0;
};

struct ResultView {
  uint32_t index = 0;  // of the result, 0-based
  ValueView value;
  std::span<const ObjectId> contained;
};
// Results of a running task ahead of its end: many results, or the items of a stream, in order.
struct Results {
  TaskId task;
  uint32_t attempt = 0;
  std::span<const ResultView> results;
};
// The task's end. `results` completes what Results brought. An application error is a result of
// format kTaskError at every index.
struct Done {
  TaskId task;
  uint32_t attempt = 0;
  uint32_t slot = 0;
  bool failed = false;  // user code raised
  bool retry = false;   // raised, and the template asks for retries of exceptions
  TimeNs started = 0;   // CLOCK_MONOTONIC on this machine
  TimeNs finished = 0;
  std::span<const ResultView> results;
  bool exiting = false;  // the actor asked for its own end: this was its last call
};

// Ends an actor: its process is killed, its running and queued calls fail. Without `no_restart` it
// comes back if it has restarts left.
struct KillActor {
  ObjectId actor;
  bool no_restart = true;
};

// Names of actors, one directory for each namespace. A name is reserved before its actor is made,
// so that nobody runs a constructor in vain: ClaimName is answered by NameReply; kReserved obliges
// the client to send BindName (with a nil actor: it gives the name back).
struct ClaimName {
  uint32_t request = 0;
  std::string_view name_space;
  std::string_view name;
};
struct BindName {
  std::string_view name_space;
  std::string_view name;
  ObjectId actor;       // the handle
  ObjectId descriptor;  // an object: what a client of the same language needs to make a handle
};
// Answered by NameReply, at once or when a reserved name was bound.
struct FindName {
  uint32_t request = 0;
  std::string_view name_space;
  std::string_view name;
};

// Ends a task, and with `recursive` what it submitted and submits yet. `task` may be what a process
// names its parent outside of tasks: then only what that submitted ends. kKill comes `grace_ms`
// after kInterrupt, or at once if that is 0.
struct CancelTask {
  TaskId task;
  CancelLevel level = CancelLevel::kQueued;
  bool recursive = false;
  uint32_t grace_ms = 0;
};

// Questions about the state, answered by one or more Reply with JSON text.
enum class Question : uint8_t {
  kDump = 1,      // the whole state
  kExplain = 2,   // one object: why it is (not) ready; argument: 40 hex digits
  kTimeline = 3,  // task events as Chrome trace
  kStatus = 4,    // totals: resources, store, tasks
  kMemory = 5,    // objects with sizes, refs and pins
  kOutput = 6,  // answered (with nothing) once all that workers of the job wrote until now was sent
  kNames = 7,   // named actors; argument: a namespace, empty: of all
  kActors = 8,  // all actors: state, process, resources, restarts, why they died
  kPendingCalls = 9,  // how many calls of an actor the asker waits for; argument: its handle
  kJobs = 10,         // the programs of the session, the last that ended too
  kGroups = 11,  // placement groups; argument: empty (all), "id HEX", "task HEX" (that which the
                 // task, or the asker if there is no such task, runs in) or "name NAMESPACE\nNAME"
  kTasks = 12,   // tasks that live, a page; argument: "from N" or "task HEX"
  kPastTasks = 13,  // attempts that ended, newest first, a page; argument: "before N" (0: all) and,
                    // for one task's, " task HEX"
  kProcesses = 14,  // programs and workers
  kEnvironments = 15,  // runtime environments
};
struct Query {
  uint32_t request = 0;
  Question question = Question::kStatus;
  std::string_view argument;
};

// The program took the first `taken` items of a stream. `closed`: it wants no more; the references
// that were counted to the sender for items from `taken` on are given back.
struct StreamTaken {
  TaskId task;
  uint32_t taken = 0;
  bool closed = false;
};
// The task has yielded `produced` items and spent its credit: answered by StreamCredit and Waited
// when it may go on. `blocking` as in Get.
struct AwaitStream {
  uint32_t request = 0;
  TaskId task;
  uint32_t attempt = 0;
  uint32_t produced = 0;
  bool blocking = false;
};

// A runtime environment that templates will name by its hash. Sent once, before the first of them.
struct DefineEnvironment {
  uint64_t hash = 0;             // of the description, not 0
  DurationNs patience_ns = 0;    // how long preparing it may take; 0: as long as it likes
  uint32_t prestart = 0;         // prepare it at once, and start so many workers
  std::string_view description;  // JSON
};

// Reserves resources, in bundles, for calls that name the group. Its id is made like a task's, and
// (id, 0) is an object that is there once the resources are: one reference counts to the sender,
// `ready` is its value. A name that is taken makes no group: the object tells so.
struct CreatePlacementGroup {
  TaskId group;
  TaskId parent;  // what creates it
  GroupStrategy strategy = GroupStrategy::kPack;
  bool detached = false;              // lives until it is removed, whatever becomes of its job
  std::string_view name_space, name;  // no name: empty
  std::span<const uint32_t> bundles;  // how many of `resources` are each one's, in order
  std::span<const NamedAmount> resources;
  ValueView ready;  // inline
};
// Ends the group: what runs in it is killed, what waits for it fails.
struct RemovePlacementGroup {
  TaskId group;
};

using ClientMessage =
    std::variant<DefineTemplate, Submit, Put, Allocate, Abandon, Get, EndGet, AddRefs, DropRefs,
                 Unpin, Credit, Results, Done, CancelTask, Query, KillActor, ClaimName, BindName,
                 FindName, StreamTaken, AwaitStream, DefineEnvironment, CreatePlacementGroup,
                 RemovePlacementGroup>;

// ---------------------------------------------------------------- node -> client

struct ArgumentView {
  ObjectId id;
  ValueView value;
};
// Run this task. The claim word `slot` holds `generation` as OFFERED before this is sent; the
// worker runs the task only if its compare-and-swap to CLAIMED succeeds. Otherwise the record is
// void and its pins stay the daemon's.
struct Execute {
  uint32_t slot = 0;
  uint32_t generation = 0;
  TaskId task;
  uint32_t attempt = 0;
  uint32_t num_results = 1;
  ObjectId function;
  std::string_view name;
  CallKind kind = CallKind::kTask;
  ObjectId actor;           // the handle; nil for kTask
  std::string_view method;  // kMethod
  bool retry_exceptions = false;
  uint16_t cpus = 1;  // what it was given, in whole ones, at least 1; kMethod: as the creation had
  std::span<const ArgumentView> refs;  // values of Submit::refs, same order
  Bytes arguments;
  // Calls of one group run at once up to `concurrency`; offered are more. Group 0 has no name.
  // kCreateActor: `concurrency` of group 0, and the number of named groups.
  uint16_t group = 0;
  uint16_t concurrency = 1;
  Returns returns = Returns::kFixed;
  uint64_t stream_items = 0, stream_bytes = 0;  // kStream: its first credit
};

// A value asked for, or pushed because it is small and the client submitted its task. An error is
// a value too (Format::kTaskError, kSystemError).
struct Value {
  ObjectId id;
  bool pushed = false;  // unasked; counts against the client's credit
  uint64_t order = 0;   // completion number at the node: wait() prefers the smallest
  ValueView value;
};
struct Ready {
  ObjectId id;
  uint64_t order = 0;
};
struct Waited {
  uint32_t request = 0;
};
struct Grant {
  uint32_t request = 0;
  Extent extent;
};
// No room will come: the sentence says why (larger than the store, nothing will be released).
struct Refused {
  uint32_t request = 0;
  std::string_view reason;
};
// The worker ends after the task it runs.
struct Stop {
  std::string_view reason;
};
// Of a task that this worker runs; void for any other. Level kCooperative or kInterrupt.
struct CancelRunning {
  TaskId task;
  CancelLevel level = CancelLevel::kCooperative;
};
// Output of a worker, for the driver of its job: whole lines without the last newline.
struct Output {
  uint32_t pid = 0;
  bool is_stderr = false;
  std::string_view task_name;
  std::string_view text;
};
// A sentence for the person at the driver (infeasible task, store full, gap in the output).
struct Notice {
  uint8_t severity = 0;  // 0 info, 1 warning, 2 error
  std::string_view text;
};
struct Reply {
  uint32_t request = 0;
  bool last = true;
  std::string_view text;
};

// kReserved: the name is the asker's to bind. kFound: one reference to the actor and one to the
// descriptor are counted to the asker, without AddRefs.
enum class NameStatus : uint8_t { kReserved = 1, kFound = 2, kUnknown = 3 };
struct NameReply {
  uint32_t request = 0;
  NameStatus status = NameStatus::kUnknown;
  ObjectId actor;
  ObjectId descriptor;
};

// A running task may yield so many more items, of so many bytes. `closed`: nobody wants any.
struct StreamCredit {
  TaskId task;
  uint32_t attempt = 0;
  bool closed = false;
  uint64_t items = 0, bytes = 0;
};

// Of a placement group that was ready, to the client that made it and refers to its object. It
// comes before whatever else the client could learn of the removal by.
struct GroupRemoved {
  TaskId group;
};

using NodeMessage = std::variant<Execute, Value, Ready, Waited, Grant, Refused, Stop, CancelRunning,
                                 Output, Notice, Reply, NameReply, StreamCredit, GroupRemoved>;

// Whether a sleeping client must be woken for this message. Values are not urgent: the Waited
// that ends a wait is, so that a waiter is woken once. A producer looks for credit as it yields,
// and whoever asks for a group looks whether it was removed.
constexpr bool is_urgent(const NodeMessage& m) {
  return !std::holds_alternative<Value>(m) && !std::holds_alternative<Ready>(m) &&
         !std::holds_alternative<StreamCredit>(m) && !std::holds_alternative<GroupRemoved>(m);
}

}  // namespace sundog::model
