// PlacementGroups: resources that are reserved together, in bundles, for calls that name the group
// (docs/design/0012-placement-groups.md).
//
// A group waits until all of its bundles fit into what is free, in the order of creation; a later
// one that fits may pass. Then its bundles are accounts of their own, taken out of the node's: who
// runs in a bundle is charged to it. A removed group's free part goes back at once, and the rest as
// its holders let go: whoever was charged to a bundle of it is charged to the node from then on, so
// that nothing is given back twice.
//
// A group's number stays valid while it lives or anybody holds it: tasks that name it, and workers
// that hold its resources.
//
// Owned by LocalScheduler, pure. It keeps accounts; LocalScheduler and NodeCore decide what
// follows.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/sched/gpu_ids.h"
#include "core/slab.h"
#include "model/messages.h"
#include "model/resources.h"

namespace sundog::core {

// What a worker is charged to: the node, or a bundle.
struct Payer {
  uint32_t group = kNoIndex;  // kNoIndex: the node
  uint32_t bundle = 0;
  bool operator==(const Payer&) const = default;
};

// The node's own.
struct NodeAccount {
  model::ResourceSet total;
  model::ResourceSet available;  // CPUs may be negative: see LocalScheduler::may_resume
  GpuIds gpus;
};

enum class GroupState : uint8_t { kPending, kReady, kRemoved };

struct Bundle {
  model::ResourceSet total;
  model::ResourceSet available;  // while the group is ready
  GpuIds gpus;
};

struct PlacementGroup {
  bool live = false;
  bool detached = false;
  bool outlives_job = false;  // detached, or made by what does
  GroupState state = GroupState::kPending;
  model::GroupStrategy strategy = model::GroupStrategy::kPack;
  TaskId id;
  TaskId creator;                // the task that made it, or a process's own root
  std::string name_space, name;  // no name: empty
  std::vector<Bundle> bundles;
  model::ResourceSet sum;  // of all bundles
  uint32_t holders = 0;
  uint32_t object = kNoIndex;  // NodeCore's: what ready() shows
  std::string ready_bytes;     // its value, and the value's format
  model::Format ready_format = model::Format::kNone;
  TimeNs created = 0, became_ready = 0;
  // LocalScheduler's: shapes of calls in the group, by their shape outside of it and bundle.
  std::map<std::pair<uint32_t, int32_t>, uint32_t> shapes;
};

class PlacementGroups {
 public:
  explicit PlacementGroups(NodeAccount* node) : node_(node) {}

  // kNoIndex if it is not there, or removed.
  uint32_t find(const TaskId& id) const;
  uint32_t find_named(const std::string& name_space, const std::string& name) const;
  // A pending one. Its id and its name are nobody else's.
  uint32_t create(PlacementGroup group);
  // Gives what is not in use back to the node. The group is gone when nobody holds it.
  void remove(uint32_t group);
  // Reserves for groups that wait and fit now; appends them to *ready.
  void reserve(std::vector<uint32_t>* ready);
  bool has_pending() const { return !pending_.empty(); }
  // Whether an empty node could ever hold it.
  bool feasible(uint32_t group) const;

  // Where `need` can be charged in this group now: in `bundle`, or (-1) in the first one with room.
  bool choose(uint32_t group, int32_t bundle, const model::ResourceSet& need, Payer* payer) const;
  // Whether the bundle (-1: some bundle) is as large as that.
  bool could_hold(uint32_t group, int32_t bundle, const model::ResourceSet& need) const;
  // What is free for whoever is charged to the account: a bundle's, else the node's.
  model::ResourceSet& available(const Payer& payer);
  const model::ResourceSet& available(const Payer& payer) const {
    return const_cast<PlacementGroups*>(this)->available(payer);
  }
  const model::ResourceSet& total(const Payer& payer) const;
  GpuIds& gpus(const Payer& payer);

  void hold(uint32_t group);
  void let_go(uint32_t group);
  // Takes removed groups that nobody holds any more; their numbers are free then.
  bool has_over() const { return !over_.empty(); }
  std::vector<PlacementGroup> take_over();

  PlacementGroup& operator[](uint32_t group) { return groups_[group]; }
  const PlacementGroup& operator[](uint32_t group) const { return groups_[group]; }
  uint32_t end() const { return groups_.end(); }
  uint32_t live() const { return static_cast<uint32_t>(by_id_.size()); }  // not removed ones
  std::string validate() const;

 private:
  Bundle* bundle_of(const Payer& payer);
  bool reserve_one(PlacementGroup* group);

  NodeAccount* node_;
  Slab<PlacementGroup> groups_;
  std::map<TaskId, uint32_t> by_id_;
  std::map<std::pair<std::string, std::string>, uint32_t> by_name_;
  std::vector<uint32_t> pending_;  // in the order of creation
  std::vector<uint32_t> over_;
};

}  // namespace sundog::core
