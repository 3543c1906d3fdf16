#include "core/objects/wait_table.h"

#include <algorithm>

namespace sundog::core {

uint32_t WaitTable::create(ClientId client, uint32_t request) {
  uint32_t get = gets_.allocate();
  gets_[get].client = client;
  gets_[get].request = request;
  index_.emplace(std::pair{client, request}, get);
  return get;
}

uint32_t WaitTable::find(ClientId client, uint32_t request) const {
  auto it = index_.find({client, request});
  return it == index_.end() ? kNoIndex : it->second;
}

void WaitTable::add_wait(uint32_t get, uint32_t object) {
  uint32_t wait = waits_.allocate();
  WaitRecord& w = waits_[wait];
  ObjectRecord& o = (*objects_)[object];
  w.get = get;
  w.object = object;
  w.object_next = o.first_wait;
  if (o.first_wait != kNoIndex) waits_[o.first_wait].object_prev = wait;
  o.first_wait = wait;
  w.get_next = gets_[get].first_wait;
  gets_[get].first_wait = wait;
}

void WaitTable::unlink_from_object(uint32_t wait) {
  WaitRecord& w = waits_[wait];
  if (w.object == kNoIndex) return;
  ObjectRecord& o = (*objects_)[w.object];
  if (w.object_prev != kNoIndex) {
    waits_[w.object_prev].object_next = w.object_next;
  } else {
    o.first_wait = w.object_next;
  }
  if (w.object_next != kNoIndex) waits_[w.object_next].object_prev = w.object_prev;
  if (o.first_wait == kNoIndex && !o.referenced()) objects_->suspect(w.object);
  w.object = kNoIndex;
}

void WaitTable::release(uint32_t get) {
  GetRecord& g = gets_[get];
  for (uint32_t wait = g.first_wait; wait != kNoIndex;) {
    uint32_t next = waits_[wait].get_next;
    unlink_from_object(wait);
    waits_.release(wait);
    wait = next;
  }
  index_.erase({g.client, g.request});
  gets_.release(get);
}

void WaitTable::remove_wait(uint32_t get, uint32_t object) {
  // The object's list is short; find the wait there, then leave it to the get's list as a husk
  // (object == kNoIndex) that release() frees.
  for (uint32_t w = (*objects_)[object].first_wait; w != kNoIndex; w = waits_[w].object_next) {
    if (waits_[w].get == get) {
      unlink_from_object(w);
      return;
    }
  }
}

std::vector<uint32_t> WaitTable::gets_of(ClientId client) const {
  std::vector<uint32_t> found;
  for (auto it = index_.lower_bound({client, 0}); it != index_.end() && it->first.first == client;
       ++it)
    found.push_back(it->second);
  return found;
}

std::vector<uint32_t> WaitTable::waiters_of(uint32_t object) const {
  std::vector<uint32_t> found;
  for (uint32_t w = (*objects_)[object].first_wait; w != kNoIndex; w = waits_[w].object_next)
    found.push_back(waits_[w].get);
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace sundog::core
