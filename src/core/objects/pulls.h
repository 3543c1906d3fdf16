// Moving object bytes between nodes: PullPlanner is the receiver's side, PullServer the holder's.
//
// All objects that one waiter needs form a unit. A unit's bytes are reserved before its first
// object is fetched, all or nothing, so that two half-fetched tasks never wait for each other's
// room. Units are admitted in the order of their class (running gets, then waits, then the queue)
// and within it of their arrival; a unit that does not fit lets no later unit of its class or a
// lesser one pass, so that it is not starved.
//
// Chunks are asked for by offset, a few at a time; asking again is harmless. The holder pins the
// bytes from the first request until PullDone; it asks a receiver that went silent whether it
// still wants them, and never gives up a pin by time alone.
//
// Pure; owned by NodeCluster, which keeps the reservation in its allocator.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/peer_messages.h"

namespace sundog::core {

enum class PullClass : uint8_t { kRunningGet = 0, kWait = 1, kQueued = 2 };

// One object of a unit. Size 0: unknown, it counts as one chunk until the first chunk tells.
struct PullObject {
  ObjectId id;
  uint64_t size = 0;
  std::vector<model::Member> locations;  // tried in this order
};

struct PullLimits {
  uint64_t chunk_bytes = 1 << 20;
  uint32_t chunks_in_flight = 4;  // an object
  DurationNs retry = 200 * kMillisecond;
};

class PullPlanner {
 public:
  explicit PullPlanner(PullLimits limits) : limits_(limits) {}

  struct Send {
    model::Member to;
    model::PeerMessage message;  // PullRequest or PullDone
  };
  struct Out {
    std::vector<Send> sends;
    std::vector<ObjectId> started;   // room for these is reserved: make it
    std::vector<ObjectId> complete;  // all bytes are here
    std::vector<ObjectId> lost;      // no location has it
  };

  // `unit` wants these objects; objects that are being fetched already are shared. Empty units
  // are not kept.
  void want(TimeNs now, uint64_t unit, PullClass cls, const std::vector<PullObject>& objects,
            Out* out);
  // A task that began to be waited for by a running one moves up; never down.
  void raise(TimeNs now, uint64_t unit, PullClass cls, Out* out);
  void cancel(TimeNs now, uint64_t unit, Out* out);
  // Bytes that fetched objects may occupy in all, those under way included.
  void set_budget(TimeNs now, uint64_t bytes, Out* out);
  // True: new bytes, to be stored at `offset`. False: a repetition, or not wanted any more.
  bool chunk(TimeNs now, const model::Member& from, const model::PullChunk& chunk, Out* out);
  // The caller stored a complete object and confirmed what is inside: tell the holder, and give
  // the reservation back (the bytes now count as stored).
  void stored(TimeNs now, const ObjectId& id, Out* out);
  // `unit` goes on without the object (it is lost).
  void drop_object(TimeNs now, uint64_t unit, const ObjectId& id, Out* out);
  void member_died(TimeNs now, const model::Member& member, Out* out);
  // The holder asks whether we still want it.
  void probed(TimeNs now, const model::Member& from, const ObjectId& id, Out* out);
  void tick(TimeNs now, Out* out);

  TimeNs next_retry() const;
  uint64_t reserved() const { return reserved_; }
  size_t fetching() const { return fetches_.size(); }
  size_t units() const { return units_.size(); }
  bool is_admitted(uint64_t unit) const;
  std::vector<uint64_t> units_with(const ObjectId& id) const;
  bool knows(uint64_t unit) const { return units_.contains(unit); }
  bool is_fetching(const ObjectId& id) const { return fetches_.contains(id); }
  void validate() const;

 private:
  struct Fetch {
    uint64_t size = 0;  // reserved
    uint64_t total = 0;
    bool total_known = false;
    bool complete = false;
    std::vector<model::Member> locations;  // the first is asked
    std::set<uint64_t> have;               // offsets of chunks that arrived
    std::map<uint64_t, TimeNs> asked;      // offset -> when
    std::set<uint64_t> units;
  };
  struct Unit {
    PullClass cls = PullClass::kQueued;
    uint64_t order = 0;
    bool admitted = false;
    std::vector<PullObject> objects;  // not stored yet
  };

  void admit(TimeNs now, Out* out);
  uint64_t extra_bytes(const Unit& unit) const;
  void start(const ObjectId& id, const PullObject& object, uint64_t unit, Out* out);
  void ask(TimeNs now, const ObjectId& id, Fetch* fetch, Out* out);
  void release_fetch(const ObjectId& id, Out* out);
  void next_location(TimeNs now, const ObjectId& id, Out* out);
  void lose(TimeNs now, const ObjectId& id, Out* out);
  uint64_t reservation(const PullObject& object) const;

  PullLimits limits_;
  uint64_t budget_ = UINT64_MAX;
  uint64_t reserved_ = 0;
  uint64_t last_order_ = 0;
  std::map<uint64_t, Unit> units_;
  std::set<std::tuple<PullClass, uint64_t, uint64_t>> waiting_;  // class, order, unit
  std::map<ObjectId, Fetch> fetches_;
};

class PullServer {
 public:
  explicit PullServer(PullLimits limits) : limits_(limits) {}

  // A request came; true if this is the first of its receiver and object: the caller pins.
  bool request(TimeNs now, const model::Member& from, const ObjectId& id);
  // True: the caller unpins.
  bool done(const model::Member& from, const ObjectId& id);
  // The receiver is dead: what to unpin.
  std::vector<ObjectId> drop(const model::Member& from);
  // Receivers to be asked whether they still want something.
  std::vector<std::pair<model::Member, ObjectId>> tick(TimeNs now);
  TimeNs next_probe() const;
  size_t sessions() const { return sessions_.size(); }

 private:
  PullLimits limits_;
  std::map<std::pair<model::Member, ObjectId>, TimeNs> sessions_;  // -> last sign of life
};

}  // namespace sundog::core
