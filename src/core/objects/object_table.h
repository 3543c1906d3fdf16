// ObjectTable: every object that this node knows, who counts on it and where its bytes lie.
//
// An object lives while anybody refers to it: a process (counted per process), a task that has it
// as an argument, a container whose value names it, a job that holds it (functions). Its bytes are
// reused when no reference *and no pin* is left: a pin is a mapping in some process.
//
// Owned by NodeCore, pure; reports freed extents to the sink it is given.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/tables.h"
#include "base/time.h"
#include "core/objects/extent_allocator.h"
#include "core/slab.h"
#include "model/value.h"

namespace sundog::core {

// A count that belongs to one process.
struct HolderCount {
  ClientId client;
  uint32_t count = 0;
};

// Counts per process: the first holder lies in the record, further ones in a side vector.
class HolderCounts {
 public:
  void add(ClientId client, uint32_t count) {
    if (!is_first(client) && (first_.count != 0 || more_)) return add_further(client, count);
    first_.client = client;
    first_.count += count;
  }
  // Takes up to `count` away; returns how many there were to take.
  uint32_t remove(ClientId client, uint32_t count) {
    if (!is_first(client)) return more_ ? remove_further(client, count) : 0;
    const uint32_t taken = std::min(count, first_.count);
    first_.count -= taken;
    return taken;
  }
  uint32_t count(ClientId client) const {
    if (is_first(client)) return first_.count;
    return more_ ? count_further(client) : 0;
  }
  bool empty() const { return first_.count == 0 && (!more_ || more_->empty()); }
  uint64_t total() const;
  template <typename Visit>
  void each(Visit&& visit) const {
    if (first_.count != 0) visit(first_);
    if (more_)
      for (const auto& h : *more_) visit(h);
  }

 private:
  bool is_first(ClientId client) const { return first_.count != 0 && first_.client == client; }
  void add_further(ClientId client, uint32_t count);
  uint32_t remove_further(ClientId client, uint32_t count);
  uint32_t count_further(ClientId client) const;

  HolderCount first_;
  std::unique_ptr<std::vector<HolderCount>> more_;
};

struct ObjectRecord {
  bool live = false;
  bool ready = false;
  bool deferred = false;  // on the worklist of objects to look at for freeing
  bool shared = false;    // other nodes are concerned: NodeCluster is told of its end
  model::Format format = model::Format::kInvalid;
  ObjectId id;
  ClientId submitter;                   // gets small results pushed; nil: nobody
  HolderCounts refs;                    // by processes
  HolderCounts pins;                    // by processes; only if the value is in an extent
  uint32_t internal_refs = 0;           // by tasks, containers and jobs
  uint32_t producer = kNoIndex;         // the task that will make it
  uint32_t actor = kNoIndex;            // whose handle it is
  uint32_t first_wait = kNoIndex;       // list in WaitTable
  uint32_t first_dependent = kNoIndex;  // list of task edges in TaskTable
  uint64_t order = 0;                   // completion number
  model::Extent extent;
  std::string bytes;  // inline value
  std::vector<uint32_t> contained;
  TimeNs created = 0;
  uint64_t viewed_in_step = 0;  // an effect of that step views `bytes`: not freed within it

  bool referenced() const { return internal_refs != 0 || !refs.empty(); }
  model::ValueView value() const {
    return {format, extent, {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}};
  }
};

class ObjectTable {
 public:
  explicit ObjectTable(uint64_t store_bytes) : allocator_(store_bytes) {}

  // kNoIndex if unknown.
  uint32_t find(const ObjectId& id) const {
    auto it = index_.find(id);
    return it == index_.end() ? kNoIndex : it->second;
  }
  // A new record without references; the caller adds one before the next collect(). kNoIndex: there
  // is an object of this id.
  uint32_t try_create(const ObjectId& id, TimeNs now);
  // The same for an id that is nobody's.
  uint32_t create(const ObjectId& id, TimeNs now) {
    const uint32_t index = try_create(id, now);
    SUNDOG_CHECK(index != kNoIndex);
    return index;
  }
  ObjectRecord& operator[](uint32_t index) { return objects_[index]; }
  const ObjectRecord& operator[](uint32_t index) const { return objects_[index]; }

  // Makes the value known. `contained` are record indexes; each is counted once here.
  void set_value(uint32_t index, const model::ValueView& value, std::vector<uint32_t> contained);

  void add_internal(uint32_t index) { ++objects_[index].internal_refs; }
  void drop_internal(uint32_t index);
  void add_refs(uint32_t index, ClientId client, uint32_t count) {
    objects_[index].refs.add(client, count);
  }
  // False if the client had fewer.
  bool drop_refs(uint32_t index, ClientId client, uint32_t count) {
    ObjectRecord& o = objects_[index];
    const uint32_t taken = o.refs.remove(client, count);
    if (!o.referenced()) suspect(index);
    return taken == count;
  }
  void pin(uint32_t index, ClientId client);
  bool unpin(uint32_t index, ClientId client, uint32_t count);
  // Everything that a gone process held.
  void drop_client(ClientId client);
  // Looks at `index` in the next collect().
  void suspect(uint32_t index) {
    ObjectRecord& o = objects_[index];
    if (o.deferred) return;
    o.deferred = true;
    suspects_.push_back(index);
  }

  // Views of inline bytes handed out in a step stay valid until the next begin_step().
  void begin_step() { ++step_; }
  void viewed(uint32_t index) { objects_[index].viewed_in_step = step_; }

  // Frees what nobody holds any more, containers before what they contained. Freed extents are
  // appended to *freed (offsets are released already). An object whose task still runs stays.
  void collect(std::vector<model::Extent>* freed);

  // Whether collect() has anything to look at.
  bool has_suspects() const { return !suspects_.empty(); }

  // Shared objects that collect() found without any reference, freed or (while pinned) not.
  std::vector<ObjectId> take_unreferenced() { return std::exchange(unreferenced_, {}); }

  // Actors whose handles collect() freed: nobody can call them any more.
  bool has_freed_handles() const { return !freed_handles_.empty(); }
  std::vector<uint32_t> take_freed_handles() { return std::exchange(freed_handles_, {}); }

  ExtentAllocator& allocator() { return allocator_; }
  const ExtentAllocator& allocator() const { return allocator_; }
  uint64_t inline_bytes() const { return inline_bytes_; }
  uint64_t used_bytes() const { return allocator_.used() + inline_bytes_; }
  uint32_t live() const { return objects_.live(); }
  uint32_t end() const { return objects_.end(); }
  uint64_t pinned_objects() const;
  // Whether bytes are pinned by processes other than `client` although nobody refers to them:
  // they come free as soon as a view is dropped.
  bool others_will_unpin(ClientId client) const;
  uint64_t next_order() { return ++last_order_; }

  std::string validate() const;

 private:
  void free_extent(const model::Extent& extent, std::vector<model::Extent>* freed);

  Slab<ObjectRecord> objects_;
  IdMap<ObjectId, uint32_t> index_;
  ExtentAllocator allocator_;
  std::vector<uint32_t> suspects_;
  std::vector<ObjectId> unreferenced_;
  std::vector<uint32_t> freed_handles_;
  uint64_t inline_bytes_ = 0;
  uint64_t last_order_ = 0;
  uint64_t step_ = 1;
};

}  // namespace sundog::core
