// NodeCluster: a NodeCore's part in a cluster (DESIGN sections 4 to 6). It composes MemberTable,
// OwnerBorrows, BorrowerRefs, PullPlanner and PullServer, and is the only place where a message of
// another node touches the node's tasks and objects. A node without a cluster has none: its only
// cost there is a null check off the hot paths.
//
// How other nodes appear here:
//  - A peer is a holder like a process: its ClientId has generation 0. What it borrows of us is a
//    reference of that holder; results that we keep for their owner, and bytes under way to it,
//    are its pins. So ObjectTable frees nothing that another node needs.
//  - An object of another owner is a record with `shared` set and an entry in known_. It is
//    borrowed while anything here refers to it.
//  - A task given away stays in the task table (TaskState::kRemote) with all it holds; a task
//    taken in is `foreign` and its results belong to its owner.
//
// Implementation: node_cluster.cc (members, borrows, timers), node_cluster_tasks.cc,
// node_cluster_objects.cc. Pure; one thread; owned by NodeCore.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/cluster/membership.h"
#include "core/cluster/peer_events.h"
#include "core/objects/pulls.h"
#include "core/refs/borrows.h"
#include "core/tasks/task_table.h"
#include "model/errors.h"

namespace sundog::core {

class NodeCore;

class NodeCluster {
 public:
  NodeCluster(NodeCore* node, const ClusterConfig& config);

  void on(const PeerEvent& event);
  PeerEffects take_effects() { return std::exchange(effects_, {}); }

  // ---- called by NodeCore
  // True: the task goes, or may go, to another node; it is no longer the local scheduler's.
  bool offload(uint32_t task);
  // The task, in state kRemote, ends here (cancelled, or its result came).
  void run_ended(const TaskId& task) { runs_.erase(task); }
  // A foreign task ended: its results are in their records.
  void executed(uint32_t task);
  void execution_crashed(uint32_t task, std::string_view sentence);
  // Somebody here waits for an object that is not here.
  void wanted(uint32_t object, PullClass cls);
  void wanted_by_task(uint32_t task);
  void became_ready(uint32_t object);
  void unreferenced(const ObjectId& id);
  void job_ended(JobId job);
  // After each step: what became possible, and the timer.
  void finish_step();

  const MemberTable& members() const { return members_; }
  // Nothing under way, nothing borrowed or lent.
  std::string leftovers() const;
  std::string validate() const;

 private:
  enum class Fetch : uint8_t { kNone, kLocating, kLocated };
  // An object that another node owns, or whose bytes another node keeps.
  struct Known {
    model::Member owner;
    Fetch fetch = Fetch::kNone;
    model::Member keeper;  // nil: unknown, or here
    uint64_t size = 0;
    model::Format format = model::Format::kInvalid;
    std::vector<uint32_t> contained;  // of a value that is not here; counted once each
    std::set<ObjectId> unsure;        // inside the value, not yet confirmed by their owners
    bool end_later = false;           // unreferenced; the borrow ends when `unsure` is empty
    TimeNs asked = 0;
  };
  enum class Phase : uint8_t { kPlacing, kSubmitted, kAccepted };
  struct Run {
    uint32_t task = kNoIndex;
    uint32_t attempt = 0;
    Phase phase = Phase::kPlacing;
    uint64_t request = 0;
    uint64_t sequence = 0;  // of the submission to `node`
    model::Member node;
    TimeNs sent = 0;
    std::vector<model::Member> refused;
    bool warned = false;
  };
  struct Exec {
    uint32_t attempt = 0;
    bool finished = false;
    bool crashed = false;
    bool abandoned = false;  // its owner is dead
    bool sent_once = false;
    std::string reason;
    std::vector<ObjectId> refs;    // must be confirmed before the owner lets go
    std::vector<ObjectId> pinned;  // results that lie here
    std::vector<uint32_t> held;    // refs inside results
    model::RemoteDone done;
    TimeNs sent = 0;
  };
  // Submissions of one owner, so that a late copy of an old one is known as such.
  struct Seen {
    uint64_t closed_below = 0;
    std::map<uint64_t, bool> answers;  // sequence -> accepted
  };
  struct Want {
    PullClass cls = PullClass::kQueued;
    std::set<ObjectId> unlocated;
    std::vector<ObjectId> located;
  };
  struct Settling {
    std::vector<ObjectId> refs;
    model::DoneHeld answer;
  };

  // ---- members, borrows, timers (node_cluster.cc)
  void on(const FromPeer& e);
  void on(const FromController& e);
  void on(const PeerTick& e);
  void apply_view(const model::View& view);
  void member_died(const model::Member& dead);
  void member_settled(const model::Member& dead);
  void heartbeat();
  void on_message(const model::Member& from, const model::BorrowUpdate& m);
  void on_message(const model::Member& from, const model::BorrowConfirm& m);
  void on_message(const model::Member& from, const model::BorrowSet& m);
  void on_message(const model::Member& from, const model::JobEnded& m);
  void on_message(const model::Member& from, const model::JobEndedSeen& m);
  template <typename T>
  void on_message(const model::Member&, const T&) {}  // not for a node: a peer's mistake
  void send(const model::Member& to, model::PeerMessage message);
  void send_borrows(const BorrowerRefs::Sends& sends);
  void count_change(const model::Member& from, const ObjectId& id, OwnerBorrows::Outcome outcome);
  ClientId peer(const model::Member& member);
  std::vector<model::Amount> amounts(const model::ResourceSet& set) const;
  bool is_self(const model::Member& m) const { return m == members_.self(); }
  // The record of a ref that came from another node; new ones are borrowed. The caller counts it
  // before the step ends.
  uint32_t adopt(const model::GlobalRef& ref);
  model::GlobalRef global(uint32_t object) const;
  std::vector<model::GlobalRef> global_all(std::span<const uint32_t> objects) const;
  // Nothing can happen any more to a ref of ours: owned, confirmed, or not held.
  bool is_sure(const ObjectId& id) const;
  void end_borrow(const ObjectId& id, Known* known);
  void became_sure(const ObjectId& id);

  // ---- tasks (node_cluster_tasks.cc)
  void on_message(const model::Member& from, const model::RemoteSubmit& m);
  void on_message(const model::Member& from, const model::Accepted& m);
  void on_message(const model::Member& from, const model::RefusedTask& m);
  void on_message(const model::Member& from, const model::RemoteDone& m);
  void on_message(const model::Member& from, const model::DoneHeld& m);
  void on_place_reply(const model::PlaceReply& m);
  void ask_placement(Run* run);
  void submit_remote(const Run& run);
  bool is_new_submission(const model::Member& from, const model::RemoteSubmit& m);
  void run_here(const TaskId& id);
  void retry_or_fail(const TaskId& id, const std::string& sentence, model::ErrorKind kind);
  void take_results(const model::Member& from, uint32_t task, const model::RemoteDone& m,
                    Settling* settling);
  void answer_stale_done(const model::Member& from, const model::RemoteDone& m);
  void forget_exec(const model::Member& owner, const TaskId& task, const model::DoneHeld& answer);
  void try_settle();
  void try_send_done();
  uint32_t create_foreign(const model::Member& from, const model::RemoteSubmit& m, Exec* exec);

  // ---- objects (node_cluster_objects.cc)
  void on_message(const model::Member& from, const model::Locate& m);
  void on_message(const model::Member& from, const model::Located& m);
  void on_message(const model::Member& from, const model::PullRequest& m);
  void on_message(const model::Member& from, const model::PullChunk& m);
  void on_message(const model::Member& from, const model::PullDone& m);
  void on_message(const model::Member& from, const model::PullProbe& m);
  bool locate_answer(const ObjectId& id, model::Located* answer);
  void start_locating(uint32_t object, Known* known);
  void want(uint64_t unit, PullClass cls, std::vector<ObjectId> ids);
  void want_progress(const ObjectId& id, bool is_here);
  void perform(const PullPlanner::Out& out);
  void make_room();
  void give_up_without_room();
  void complete(const ObjectId& id);
  void lose(const ObjectId& id, std::string_view why, model::ErrorKind kind);
  void release_stray_extents();
  void drop_contained(Known* known);
  void refresh_budget();

  NodeCore* node_;
  ClusterConfig config_;
  MemberTable members_;
  OwnerBorrows lent_;
  BorrowerRefs borrowed_;
  PullPlanner planner_;
  PullServer server_;
  std::map<ObjectId, Known> known_;
  std::map<model::Member, uint32_t> peers_;
  std::map<TaskId, Run> runs_;
  std::map<std::pair<model::Member, TaskId>, Exec> execs_;
  std::map<model::Member, Seen> seen_;
  std::map<model::Member, uint64_t> last_sequence_;  // of our submissions to it
  std::map<std::tuple<model::Member, TaskId, uint32_t>, Settling> settling_;
  std::map<JobId, model::Member> foreign_jobs_;            // -> owner
  std::map<JobId, std::set<model::Member>> job_peers_;     // nodes that ran tasks of our jobs
  std::set<std::pair<JobId, model::Member>> ending_jobs_;  // JobEnded not acknowledged
  std::map<ObjectId, std::set<model::Member>> askers_;     // Locate of what is not ready
  std::map<uint64_t, Want> wants_;
  std::map<ObjectId, model::Extent> fetched_;  // room of fetches under way
  std::map<ObjectId, TimeNs> roomless_;  // fetches without room, and since when nothing gives any
  uint64_t last_request_ = 0;
  uint64_t last_unit_ = 0;
  uint64_t heartbeats_ = 0;
  TimeNs next_heartbeat_ = 0;
  TimeNs timer_at_ = kNever;
  DurationNs lease_ = kSecond;
  bool ended_ = false;
  PeerEffects effects_;
};

}  // namespace sundog::core
