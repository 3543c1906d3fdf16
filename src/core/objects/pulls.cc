#include "core/objects/pulls.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

using model::Member;
using model::PullChunk;
using model::PullDone;
using model::PullRequest;

uint64_t PullPlanner::reservation(const PullObject& object) const {
  return object.size != 0 ? object.size : limits_.chunk_bytes;
}

uint64_t PullPlanner::extra_bytes(const Unit& unit) const {
  uint64_t extra = 0;
  for (const PullObject& object : unit.objects)
    if (!fetches_.contains(object.id)) extra += reservation(object);
  return extra;
}

void PullPlanner::want(TimeNs now, uint64_t unit_id, PullClass cls,
                       const std::vector<PullObject>& objects, Out* out) {
  if (objects.empty() || units_.contains(unit_id)) return;
  Unit& unit = units_[unit_id];
  unit.cls = cls;
  unit.order = ++last_order_;
  for (const PullObject& object : objects) {
    bool seen = std::any_of(unit.objects.begin(), unit.objects.end(),
                            [&](const PullObject& o) { return o.id == object.id; });
    if (!seen) unit.objects.push_back(object);
  }
  waiting_.insert({cls, unit.order, unit_id});
  admit(now, out);
}

void PullPlanner::raise(TimeNs now, uint64_t unit_id, PullClass cls, Out* out) {
  auto found = units_.find(unit_id);
  if (found == units_.end() || found->second.cls <= cls) return;
  Unit& unit = found->second;
  if (!unit.admitted) {
    SUNDOG_PROBE("pulls.waiting_unit_raised");
    waiting_.erase({unit.cls, unit.order, unit_id});
    waiting_.insert({cls, unit.order, unit_id});
  }
  unit.cls = cls;
  admit(now, out);
}

// Admits from the front while the front fits. If nothing at all is under way the front goes in
// even when it is larger than the budget: the caller's allocator has the last word, and a unit
// larger than the store must fail there with its reason rather than wait here for ever.
void PullPlanner::admit(TimeNs now, Out* out) {
  while (!waiting_.empty()) {
    uint64_t unit_id = std::get<2>(*waiting_.begin());
    Unit& unit = units_.at(unit_id);
    uint64_t extra = extra_bytes(unit);
    if (extra > 0 && reserved_ > 0 && reserved_ + extra > budget_) {
      SUNDOG_PROBE("pulls.unit_waits_for_room");
      return;
    }
    waiting_.erase(waiting_.begin());
    unit.admitted = true;
    std::vector<ObjectId> ids;
    for (const PullObject& object : unit.objects) {
      start(object.id, object, unit_id, out);
      ids.push_back(object.id);
    }
    for (const ObjectId& id : ids) {
      auto fetch = fetches_.find(id);
      if (fetch != fetches_.end()) ask(now, id, &fetch->second, out);
    }
  }
}

void PullPlanner::start(const ObjectId& id, const PullObject& object, uint64_t unit_id, Out* out) {
  auto [at, is_new] = fetches_.try_emplace(id);
  Fetch& fetch = at->second;
  fetch.units.insert(unit_id);
  if (is_new) {
    fetch.size = reservation(object);
    fetch.total = object.size;
    fetch.total_known = object.size != 0;
    fetch.locations = object.locations;
    reserved_ += fetch.size;
    out->started.push_back(id);
    return;
  }
  SUNDOG_PROBE("pulls.fetch_shared");
  for (const Member& location : object.locations)
    if (std::find(fetch.locations.begin(), fetch.locations.end(), location) ==
        fetch.locations.end())
      fetch.locations.push_back(location);
}

void PullPlanner::ask(TimeNs now, const ObjectId& id, Fetch* fetch, Out* out) {
  if (fetch->complete) return;
  if (fetch->locations.empty()) return lose(now, id, out);
  uint64_t end = fetch->total_known ? fetch->total : limits_.chunk_bytes;
  for (uint64_t offset = 0; offset < end; offset += limits_.chunk_bytes) {
    if (fetch->asked.size() >= limits_.chunks_in_flight) return;
    if (fetch->have.contains(offset) || fetch->asked.contains(offset)) continue;
    fetch->asked[offset] = now;
    out->sends.push_back({fetch->locations.front(), PullRequest{id, offset, limits_.chunk_bytes}});
  }
}

bool PullPlanner::chunk(TimeNs now, const Member& from, const PullChunk& chunk, Out* out) {
  auto found = fetches_.find(chunk.id);
  if (found == fetches_.end()) {
    SUNDOG_PROBE("pulls.chunk_of_nothing_wanted");
    out->sends.push_back({from, PullDone{chunk.id}});
    return false;
  }
  Fetch& fetch = found->second;
  if (chunk.missing) {
    if (!fetch.locations.empty() && fetch.locations.front() == from) {
      SUNDOG_PROBE("pulls.location_lacks_it");
      next_location(now, chunk.id, out);
    }
    return false;
  }
  if (fetch.complete || chunk.offset % limits_.chunk_bytes != 0 ||
      fetch.have.contains(chunk.offset)) {
    SUNDOG_PROBE("pulls.chunk_repeated");
    return false;
  }
  if (!fetch.total_known) {
    fetch.total_known = true;
    fetch.total = chunk.total;
    reserved_ += chunk.total;
    reserved_ -= fetch.size;
    fetch.size = chunk.total;
  }
  uint64_t expected =
      chunk.offset < fetch.total ? std::min(limits_.chunk_bytes, fetch.total - chunk.offset) : 0;
  if (chunk.total != fetch.total || chunk.length != expected) {
    SUNDOG_PROBE("pulls.chunk_does_not_fit");
    return false;
  }
  fetch.asked.erase(chunk.offset);
  fetch.have.insert(chunk.offset);
  uint64_t chunks =
      std::max<uint64_t>(1, (fetch.total + limits_.chunk_bytes - 1) / limits_.chunk_bytes);
  if (fetch.have.size() == chunks) {
    fetch.complete = true;
    fetch.asked.clear();
    out->complete.push_back(chunk.id);
  } else {
    ask(now, chunk.id, &fetch, out);
  }
  return true;
}

void PullPlanner::stored(TimeNs now, const ObjectId& id, Out* out) {
  auto found = fetches_.find(id);
  if (found == fetches_.end()) return;
  SUNDOG_CHECK(found->second.complete);
  for (uint64_t unit_id : found->second.units) {
    Unit& unit = units_.at(unit_id);
    std::erase_if(unit.objects, [&](const PullObject& o) { return o.id == id; });
    if (unit.objects.empty()) units_.erase(unit_id);
  }
  // Units that still wait for admission may want it too; for them it is here now.
  for (auto at = units_.begin(); at != units_.end();) {
    Unit& unit = at->second;
    std::erase_if(unit.objects, [&](const PullObject& o) { return o.id == id; });
    if (unit.objects.empty()) {
      if (!unit.admitted) waiting_.erase({unit.cls, unit.order, at->first});
      at = units_.erase(at);
    } else {
      ++at;
    }
  }
  release_fetch(id, out);
  admit(now, out);
}

void PullPlanner::release_fetch(const ObjectId& id, Out* out) {
  auto found = fetches_.find(id);
  for (const Member& location : found->second.locations)
    out->sends.push_back({location, PullDone{id}});
  reserved_ -= found->second.size;
  fetches_.erase(found);
}

void PullPlanner::cancel(TimeNs now, uint64_t unit_id, Out* out) {
  auto found = units_.find(unit_id);
  if (found == units_.end()) return;
  Unit unit = std::move(found->second);
  units_.erase(found);
  if (!unit.admitted) {
    waiting_.erase({unit.cls, unit.order, unit_id});
  } else {
    for (const PullObject& object : unit.objects) {
      auto fetch = fetches_.find(object.id);
      if (fetch == fetches_.end()) continue;
      fetch->second.units.erase(unit_id);
      if (!fetch->second.units.empty()) continue;
      SUNDOG_PROBE("pulls.fetch_cancelled");
      release_fetch(object.id, out);
    }
  }
  admit(now, out);
}

void PullPlanner::drop_object(TimeNs now, uint64_t unit_id, const ObjectId& id, Out* out) {
  auto found = units_.find(unit_id);
  if (found == units_.end()) return;
  Unit& unit = found->second;
  std::erase_if(unit.objects, [&](const PullObject& o) { return o.id == id; });
  auto fetch = fetches_.find(id);
  if (unit.admitted && fetch != fetches_.end()) {
    fetch->second.units.erase(unit_id);
    if (fetch->second.units.empty()) release_fetch(id, out);
  }
  if (unit.objects.empty()) {
    if (!unit.admitted) waiting_.erase({unit.cls, unit.order, unit_id});
    units_.erase(found);
  }
  admit(now, out);
}

std::vector<uint64_t> PullPlanner::units_with(const ObjectId& id) const {
  std::vector<uint64_t> with;
  for (const auto& [unit_id, unit] : units_)
    for (const PullObject& object : unit.objects)
      if (object.id == id) with.push_back(unit_id);
  return with;
}

void PullPlanner::set_budget(TimeNs now, uint64_t bytes, Out* out) {
  budget_ = bytes;
  admit(now, out);
}

void PullPlanner::next_location(TimeNs now, const ObjectId& id, Out* out) {
  Fetch& fetch = fetches_.at(id);
  fetch.locations.erase(fetch.locations.begin());
  fetch.asked.clear();
  ask(now, id, &fetch, out);
}

// Every unit that wants it goes on without it: the caller fails or rebuilds the object.
void PullPlanner::lose(TimeNs now, const ObjectId& id, Out* out) {
  SUNDOG_PROBE("pulls.lost");
  out->lost.push_back(id);
  fetches_.at(id).complete = true;
  stored(now, id, out);
}

void PullPlanner::member_died(TimeNs now, const Member& member, Out* out) {
  for (auto& [unit_id, unit] : units_)
    for (PullObject& object : unit.objects) std::erase(object.locations, member);
  std::vector<ObjectId> affected;
  for (auto& [id, fetch] : fetches_) {
    if (fetch.complete || fetch.locations.empty()) continue;
    if (fetch.locations.front() == member) {
      affected.push_back(id);
    } else {
      std::erase(fetch.locations, member);
    }
  }
  for (const ObjectId& id : affected) {
    if (!fetches_.contains(id)) continue;
    SUNDOG_PROBE("pulls.source_died");
    next_location(now, id, out);
  }
}

void PullPlanner::probed(TimeNs now, const Member& from, const ObjectId& id, Out* out) {
  auto found = fetches_.find(id);
  if (found == fetches_.end()) {
    SUNDOG_PROBE("pulls.probe_answered_with_done");
    out->sends.push_back({from, PullDone{id}});
    return;
  }
  ask(now, id, &found->second, out);
}

void PullPlanner::tick(TimeNs now, Out* out) {
  for (auto& [id, fetch] : fetches_) {
    for (auto& [offset, at] : fetch.asked) {
      if (now - at < limits_.retry) continue;
      SUNDOG_PROBE("pulls.request_repeated");
      at = now;
      out->sends.push_back({fetch.locations.front(), PullRequest{id, offset, limits_.chunk_bytes}});
    }
  }
}

TimeNs PullPlanner::next_retry() const {
  TimeNs next = kNever;
  for (const auto& [id, fetch] : fetches_)
    for (const auto& [offset, at] : fetch.asked) next = std::min(next, at + limits_.retry);
  return next;
}

bool PullPlanner::is_admitted(uint64_t unit) const {
  auto found = units_.find(unit);
  return found != units_.end() && found->second.admitted;
}

void PullPlanner::validate() const {
  uint64_t reserved = 0;
  for (const auto& [id, fetch] : fetches_) {
    reserved += fetch.size;
    SUNDOG_CHECK(!fetch.units.empty());
    SUNDOG_CHECK(fetch.complete || !fetch.locations.empty());
    SUNDOG_CHECK(fetch.asked.size() <= limits_.chunks_in_flight);
    // A fetch always moves: something is asked, or it is complete and waits to be stored.
    SUNDOG_CHECK(fetch.complete || !fetch.asked.empty());
    for (uint64_t unit : fetch.units) SUNDOG_CHECK(units_.at(unit).admitted);
  }
  SUNDOG_CHECK(reserved == reserved_);
  size_t waiting = 0;
  for (const auto& [unit_id, unit] : units_) {
    SUNDOG_CHECK(!unit.objects.empty());
    if (!unit.admitted) {
      ++waiting;
      SUNDOG_CHECK(waiting_.contains({unit.cls, unit.order, unit_id}));
      continue;
    }
    for (const PullObject& object : unit.objects)
      SUNDOG_CHECK(fetches_.at(object.id).units.contains(unit_id));
  }
  SUNDOG_CHECK(waiting == waiting_.size());
}

bool PullServer::request(TimeNs now, const Member& from, const ObjectId& id) {
  auto [at, is_new] = sessions_.try_emplace({from, id}, now);
  at->second = now;
  return is_new;
}

bool PullServer::done(const Member& from, const ObjectId& id) {
  return sessions_.erase({from, id}) > 0;
}

std::vector<ObjectId> PullServer::drop(const Member& from) {
  std::vector<ObjectId> ids;
  auto at = sessions_.lower_bound({from, ObjectId{}});
  while (at != sessions_.end() && at->first.first == from) {
    ids.push_back(at->first.second);
    at = sessions_.erase(at);
  }
  return ids;
}

std::vector<std::pair<Member, ObjectId>> PullServer::tick(TimeNs now) {
  std::vector<std::pair<Member, ObjectId>> silent;
  for (auto& [key, last] : sessions_) {
    if (now - last < 2 * limits_.retry) continue;
    last = now;
    silent.push_back(key);
  }
  return silent;
}

TimeNs PullServer::next_probe() const {
  TimeNs next = kNever;
  for (const auto& [key, last] : sessions_) next = std::min(next, last + 2 * limits_.retry);
  return next;
}

}  // namespace sundog::core
