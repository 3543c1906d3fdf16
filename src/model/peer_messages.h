// What nodes say to each other and to the controller, as plain values. Any of them may arrive
// twice, late or never; each carries what makes it idempotent (an attempt, a version, a sequence,
// an offset), and its sender repeats it until the answer came or the peer is declared dead.
//
// Unlike the messages of a ring these own their bytes: they are kept for repetition.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/messages.h"
#include "model/value.h"

namespace sundog::model {

// One life of a node: a node that was declared dead comes back as another member, never as itself.
struct Member {
  NodeId node;
  uint64_t epoch = 0;  // the membership epoch that admitted it
  bool is_nil() const { return epoch == 0; }
  auto operator<=>(const Member&) const = default;
};

// A reference on the wire.
struct GlobalRef {
  ObjectId id;
  Member owner;
  auto operator<=>(const GlobalRef&) const = default;
};

// Resources by name: numbers of resources are each node's own.
struct Amount {
  std::string name;
  int64_t amount = 0;  // 1/10000
  bool operator==(const Amount&) const = default;
};

// ---------------------------------------------------------------- membership

// The whole membership as of `epoch`; never a change. `safe_epoch`: every live member acknowledged
// it, so nothing of a member that was gone by then can still arrive or be counted on.
struct View {
  uint64_t epoch = 0;
  uint64_t safe_epoch = 0;
  std::vector<Member> live;  // sorted
};

// node -> controller, repeated until Welcome with the same boot number.
struct Join {
  uint64_t boot = 0;  // random for each start of the node
  std::vector<Amount> total;
};
struct Welcome {
  uint64_t boot = 0;
  Member self;
  DurationNs lease = 0;  // declared dead when silent for longer
  View view;
};
// node -> controller, several times a lease.
struct Heartbeat {
  uint64_t sequence = 0;
  uint64_t acknowledged_epoch = 0;
  uint32_t queued_tasks = 0;
  std::vector<Amount> available;
  std::vector<Amount> total;
};
struct HeartbeatReply {
  uint64_t sequence = 0;
  View view;
};
// controller -> nodes when somebody died: at once, besides the views in replies.
struct NodeDead {
  Member member;
  View view;
};
// controller -> a node that is not (or no longer) a member: it must end what it runs and join anew.
struct Fenced {
  Member member;
};

// ---------------------------------------------------------------- placement

struct ArgumentLocation {
  Member member;
  uint64_t bytes = 0;
};
// owner -> controller.
struct PlaceRequest {
  uint64_t request = 0;
  TaskId task;
  std::vector<Amount> resources;
  std::vector<ArgumentLocation> arguments;
  std::vector<Member> refused;  // these said no just now
};
struct PlaceReply {
  uint64_t request = 0;
  Member node;              // nil: none now
  bool infeasible = false;  // no live node could ever run it
  std::string reason;
};

// ---------------------------------------------------------------- remote tasks

struct RemoteValue {
  uint32_t index = 0;  // of the result
  Format format = Format::kInvalid;
  uint64_t size = 0;      // bytes
  bool in_store = false;  // the bytes stay with the sender until the receiver lets go of them
  std::string bytes;      // inline
  std::vector<GlobalRef> contained;
};

// owner -> executor: the whole spec. The references in it are held by the owner's task until the
// executor's end of the task says that what it still holds is confirmed.
struct RemoteSubmit {
  // Of the owner's submissions to this executor, 1, 2, …; none below `closed_below` is wanted any
  // more. So a copy that comes after everything is over is told from a new submission.
  uint64_t sequence = 0;
  uint64_t closed_below = 0;
  TaskId task;
  uint32_t attempt = 0;
  TaskId parent;
  uint32_t parent_attempt = 0;
  Language language = Language::kPython;
  GlobalRef function;
  std::string name;
  std::string source;
  std::vector<Amount> resources;
  bool retry_exceptions = false;
  int32_t priority = 0;
  uint64_t runtime_env = 0;
  uint32_t num_results = 1;
  std::vector<GlobalRef> refs;
  std::vector<GlobalRef> contained;
  std::string arguments;
};
struct Accepted {
  TaskId task;
  uint32_t attempt = 0;
};
struct RefusedTask {
  TaskId task;
  uint32_t attempt = 0;
  std::string reason;
};
// executor -> owner, repeated until DoneHeld.
struct RemoteDone {
  TaskId task;
  uint32_t attempt = 0;
  bool failed = false;   // user code raised
  bool crashed = false;  // the worker died; results are empty, `reason` says how
  bool retry = false;
  std::string reason;
  std::vector<RemoteValue> results;
};
// borrower -> owner: the state of the borrower's interest in an object, repeated until confirmed.
// Versions grow over all of a borrower's updates; the owner keeps the newest.
struct BorrowUpdate {
  ObjectId id;
  uint64_t version = 0;
  bool held = false;
};
// owner -> executor: results are stored, the refs inside confirmed by their owners. Bytes that the
// owner leaves with the executor are from now on a borrow of the owner.
struct DoneHeld {
  TaskId task;
  uint32_t attempt = 0;
  std::vector<BorrowUpdate> kept;
};
// owner -> executors, repeated until acknowledged: what still runs for this job ends.
struct JobEnded {
  JobId job;
};
struct JobEndedSeen {
  JobId job;
};

// ---------------------------------------------------------------- borrows

struct BorrowConfirm {
  ObjectId id;
  uint64_t version = 0;
  bool known = true;  // false: the owner has no such object (any more)
};
// borrower -> owner after a reconnect: everything it holds; what is not named and not newer than
// `version` is not held.
struct BorrowSet {
  uint64_t version = 0;
  std::vector<BorrowUpdate> held;
};
// ---------------------------------------------------------------- objects

// Somebody at the sender waits for the object; to its owner, repeated until Located.
struct Locate {
  ObjectId id;
};
// The object is ready: a small value comes along, a large one lies at `holder`.
struct Located {
  ObjectId id;
  bool known = true;  // false: the owner has no such object (any more)
  Format format = Format::kInvalid;
  uint64_t size = 0;  // bytes
  std::string bytes;
  Member holder;  // nil: inline
  std::vector<GlobalRef> contained;
};

// receiver -> holder; asks for one chunk and thereby acknowledges all chunks before it.
struct PullRequest {
  ObjectId id;
  uint64_t offset = 0;
  uint64_t length = 0;  // 0: as the holder likes (the size is not known yet)
};
// holder -> receiver. `source` is for the shell that sends: it reads the bytes from there.
struct PullChunk {
  ObjectId id;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t total = 0;
  bool missing = false;  // the holder does not have it (any more)
  Extent source;
  std::string bytes;
};
// receiver -> holder: everything arrived and what is inside is confirmed; or no longer wanted.
struct PullDone {
  ObjectId id;
};
// holder -> receiver that went silent: still wanted? Answered by a request or by PullDone.
struct PullProbe {
  ObjectId id;
};

using PeerMessage =
    std::variant<Join, Welcome, Heartbeat, HeartbeatReply, NodeDead, Fenced, PlaceRequest,
                 PlaceReply, RemoteSubmit, Accepted, RefusedTask, RemoteDone, DoneHeld, JobEnded,
                 JobEndedSeen, BorrowUpdate, BorrowConfirm, BorrowSet, Locate, Located, PullRequest,
                 PullChunk, PullDone, PullProbe>;

}  // namespace sundog::model
