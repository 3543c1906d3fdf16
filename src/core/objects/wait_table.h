// WaitTable: who waits for which objects (Get of DESIGN section 2). A get names objects and how
// many of them end it; each object has a list of the gets that wait for it.
//
// Owned by NodeCore, pure.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/objects/object_table.h"
#include "core/slab.h"

namespace sundog::core {

struct GetRecord {
  bool live = false;
  ClientId client;
  uint32_t request = 0;
  uint32_t missing = 0;  // how many more must become ready
  bool values = true;
  bool blocking = false;   // the sender's CPU was given back
  bool satisfied = false;  // only waiting for a CPU
  TimeNs since = 0;
  uint32_t first_wait = kNoIndex;
};

// "Get waits for object": in two lists at once, the object's and the get's.
struct WaitRecord {
  bool live = false;
  uint32_t get = kNoIndex;
  uint32_t object = kNoIndex;
  uint32_t object_prev = kNoIndex, object_next = kNoIndex;
  uint32_t get_next = kNoIndex;
};

class WaitTable {
 public:
  explicit WaitTable(ObjectTable* objects) : objects_(objects) {}

  uint32_t create(ClientId client, uint32_t request);
  // kNoIndex if there is none.
  uint32_t find(ClientId client, uint32_t request) const;
  void add_wait(uint32_t get, uint32_t object);
  // Takes the get and its waits out. Objects left without a holder become suspects.
  void release(uint32_t get);
  GetRecord& operator[](uint32_t index) { return gets_[index]; }
  const GetRecord& operator[](uint32_t index) const { return gets_[index]; }
  // Requests of one client, ascending.
  std::vector<uint32_t> gets_of(ClientId client) const;
  // The gets that wait for `object`, in the order they came.
  std::vector<uint32_t> waiters_of(uint32_t object) const;
  // Ends the wait of `get` for `object`.
  void remove_wait(uint32_t get, uint32_t object);
  uint32_t live() const { return gets_.live(); }
  template <typename Visit>
  void each(Visit&& visit) const {
    for (const auto& [key, get] : index_) visit(get, gets_[get]);
  }
  template <typename Visit>
  void each_object(uint32_t get, Visit&& visit) const {
    for (uint32_t w = gets_[get].first_wait; w != kNoIndex; w = waits_[w].get_next)
      if (waits_[w].object != kNoIndex) visit(waits_[w].object);
  }

 private:
  void unlink_from_object(uint32_t wait);

  ObjectTable* objects_;
  Slab<GetRecord> gets_;
  Slab<WaitRecord> waits_;
  std::map<std::pair<ClientId, uint32_t>, uint32_t> index_;
};

}  // namespace sundog::core
