// References between nodes (DESIGN section 4). One borrow a node and object, as states with a
// version, never as deltas. OwnerBorrows is the owner's side, BorrowerRefs the borrower's,
// HandOffs what a node keeps while refs it passed on are under way.
//
//   sender S                      receiver R                       owner O
//   keeps its count (HandOffs) -> begin(): unconfirmed
//                                 BorrowUpdate{held, v}   ------>  set(R, v, held)
//                                 confirmed               <------  BorrowConfirm{v, known}
//   let go                <------ Held{hand_off}
//
// Why states: an update may come twice, late or after a newer one. The owner keeps the newest
// version of each borrower and answers every update with the version it answers, so that a
// borrower knows which of its states is certain. Versions come from one counter of the borrower
// and are never used again, so that an object borrowed anew starts above everything it ever said.
//
// Pure; owned by NodeCluster. Never decides when an object is freed: it reports.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/peer_messages.h"

namespace sundog::core {

// Who borrows what from this node.
class OwnerBorrows {
 public:
  enum class Outcome : uint8_t { kTaken, kReleased, kUnchanged };
  // A new state of `borrower`. `known`: this node has the object; if not, nothing is stored and
  // the answer says so. kTaken and kReleased: the caller counts or uncounts one reference.
  Outcome update(const model::Member& borrower, const ObjectId& id, uint64_t version, bool held,
                 bool known);
  // The whole set of a reconnected borrower; the changes it makes, in the order of ids.
  struct SetChanges {
    std::vector<ObjectId> taken, released;
  };
  SetChanges replace(const model::Member& borrower, const model::BorrowSet& set,
                     const std::vector<bool>& known);
  // The object is gone here (freed or lost); forgets what was said about it.
  void forget(const ObjectId& id);
  // The member is dead and that is settled: what it held, in order; all forgotten.
  std::vector<ObjectId> drop(const model::Member& borrower);

  bool holds(const model::Member& borrower, const ObjectId& id) const;
  size_t held_count() const { return held_count_; }
  void validate() const;

 private:
  struct State {
    uint64_t version = 0;
    bool held = false;
  };
  using Key = std::pair<ObjectId, model::Member>;
  std::map<Key, State> states_;
  std::set<std::pair<model::Member, ObjectId>> by_borrower_;
  size_t held_count_ = 0;
};

// What this node borrows. Each entry belongs to one (owner, object).
class BorrowerRefs {
 public:
  explicit BorrowerRefs(DurationNs retry) : retry_(retry) {}

  struct Send {
    model::Member owner;
    model::BorrowUpdate update;
  };
  using Sends = std::vector<Send>;

  // This node came to hold a ref; `epoch` is its view's. True if the owner already confirmed,
  // otherwise Confirmed or Lost will be reported by confirm().
  bool begin(TimeNs now, const model::GlobalRef& ref, uint64_t epoch, Sends* sends);
  // As begin(), but the owner is known to count it already, at `version` (DoneHeld).
  uint64_t begin_confirmed(const model::GlobalRef& ref);
  // The last local holder is gone.
  void end(TimeNs now, const model::GlobalRef& ref, Sends* sends);
  enum class Answer : uint8_t { kIgnored, kConfirmed, kLost, kReleased };
  Answer confirm(const model::Member& owner, const model::BorrowConfirm& answer);
  // Repeats what was not answered.
  void tick(TimeNs now, Sends* sends);
  TimeNs next_retry() const;
  // The owner is dead: all refs to it, held ones as lost; forgotten.
  std::vector<ObjectId> drop_owner(const model::Member& owner);
  // Everything held of this owner, for a reconnect.
  model::BorrowSet whole_set(const model::Member& owner);

  bool is_held(const model::GlobalRef& ref) const;
  bool is_confirmed(const model::GlobalRef& ref) const;
  // The version of what is held; 0: not held.
  uint64_t version_of(const model::GlobalRef& ref) const;
  bool all_answered() const { return next_retry() == kNever; }
  // The newest epoch this node may acknowledge: nothing taken before it is still unconfirmed.
  uint64_t acknowledgeable(uint64_t epoch) const;
  size_t size() const { return entries_.size(); }
  void validate() const;

 private:
  struct Entry {
    uint64_t version = 0;
    bool held = false;
    bool answered = false;  // the owner confirmed `version`
    uint64_t since_epoch = 0;
    TimeNs sent = 0;
  };
  using Key = std::pair<model::Member, ObjectId>;
  void say(TimeNs now, const Key& key, Entry* entry, Sends* sends);

  DurationNs retry_;
  uint64_t last_version_ = 0;
  std::map<Key, Entry> entries_;
};

// Counts kept for refs that are under way to another node.
class HandOffs {
 public:
  // The caller holds one count for each of `ids` until they are handed back by one of the below.
  uint64_t begin(const model::Member& receiver, std::vector<ObjectId> ids);
  // The receiver answered held; what may be let go (empty if that was answered before).
  std::vector<ObjectId> held(const model::Member& receiver, uint64_t hand_off);
  // The receiver is dead and that is settled. Not earlier: it may have passed the ref on to a
  // third node whose update is still under way.
  std::vector<ObjectId> drop(const model::Member& receiver);
  size_t size() const { return open_.size(); }
  void validate() const;

 private:
  struct Open {
    model::Member receiver;
    std::vector<ObjectId> ids;
  };
  uint64_t last_ = 0;
  std::map<uint64_t, Open> open_;
};

}  // namespace sundog::core
