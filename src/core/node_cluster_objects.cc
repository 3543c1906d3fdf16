// NodeCluster: values that are elsewhere. A waiter's objects are located at their owners; small
// values come with the answer; the large ones of one waiter are reserved as a unit and then pulled
// in chunks from where they lie.
#include <algorithm>

#include "base/probe.h"
#include "core/node_cluster.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;
using model::Member;

// ---------------------------------------------------------------- wanting

void NodeCluster::wanted(uint32_t object, PullClass cls) {
  want(++last_unit_, cls, {node_->objects_[object].id});
}

void NodeCluster::wanted_by_task(uint32_t task) {
  std::vector<ObjectId> ids;
  for (uint32_t r : node_->tasks_[task].refs())
    if (!node_->objects_[r].ready) ids.push_back(node_->objects_[r].id);
  want(++last_unit_, PullClass::kQueued, std::move(ids));
}

void NodeCluster::want(uint64_t unit, PullClass cls, std::vector<ObjectId> ids) {
  if (ended_) return;
  Want wish{cls, {}, {}};
  for (const ObjectId& id : ids) {
    auto known = known_.find(id);
    uint32_t object = node_->objects_.find(id);
    if (known == known_.end() || object == kNoIndex || node_->objects_[object].ready) continue;
    if (known->second.fetch == Fetch::kLocated) {
      wish.located.push_back(id);
    } else if (!is_self(known->second.owner)) {
      wish.unlocated.insert(id);
      if (known->second.fetch == Fetch::kNone) start_locating(object, &known->second);
    }
  }
  if (wish.located.empty() && wish.unlocated.empty()) return;
  std::vector<ObjectId> located = wish.located;
  wants_[unit] = std::move(wish);
  if (wants_[unit].unlocated.empty()) want_progress(located[0], false);
}

void NodeCluster::start_locating(uint32_t object, Known* known) {
  const ObjectId id = node_->objects_[object].id;
  if (!members_.is_live(known->owner)) return lose(id, "its owner died", ErrorKind::kNodeDied);
  known->fetch = Fetch::kLocating;
  known->asked = node_->now_;
  send(known->owner, model::Locate{id});
}

// `id` was located, or is here (or lost: then a value says so). Units whose every object is
// located go to the planner.
void NodeCluster::want_progress(const ObjectId& id, bool is_here) {
  PullPlanner::Out out;
  for (auto at = wants_.begin(); at != wants_.end();) {
    Want& wish = at->second;
    if (wish.unlocated.erase(id) > 0 && !is_here) wish.located.push_back(id);
    if (is_here) std::erase(wish.located, id);
    if (!wish.unlocated.empty()) {
      ++at;
      continue;
    }
    std::vector<PullObject> objects;
    for (const ObjectId& one : wish.located) {
      const Known& known = known_.at(one);
      objects.push_back({one, known.size, {known.keeper}});
    }
    uint64_t unit = at->first;
    PullClass cls = wish.cls;
    at = wants_.erase(at);
    planner_.want(node_->now_, unit, cls, objects, &out);
  }
  perform(out);
}

// ---------------------------------------------------------------- locating

bool NodeCluster::locate_answer(const ObjectId& id, model::Located* answer) {
  uint32_t object = node_->objects_.find(id);
  answer->id = id;
  answer->known = object != kNoIndex;
  if (!answer->known) return true;
  const ObjectRecord& o = node_->objects_[object];
  auto known = known_.find(id);
  if (!o.ready) {
    if (known == known_.end() || known->second.keeper.is_nil()) return false;
    answer->format = known->second.format;
    answer->size = known->second.size;
    answer->holder = known->second.keeper;
    answer->contained = global_all(known->second.contained);
    return true;
  }
  answer->format = o.format;
  answer->size = o.value().size();
  answer->contained = global_all(o.contained);
  if (o.extent.empty()) {
    answer->bytes = o.bytes;
  } else {
    answer->holder = members_.self();
  }
  return true;
}

void NodeCluster::on_message(const Member& from, const model::Locate& m) {
  model::Located answer;
  if (locate_answer(m.id, &answer)) return send(from, answer);
  SUNDOG_PROBE("cluster.locate_waits_for_the_value");
  node_->objects_[node_->objects_.find(m.id)].shared = true;
  askers_[m.id].insert(from);
}

void NodeCluster::became_ready(uint32_t object) {
  const ObjectId id = node_->objects_[object].id;
  if (auto known = known_.find(id); known != known_.end()) {
    known->second.fetch = Fetch::kNone;
    drop_contained(&known->second);
    want_progress(id, true);
  }
  auto askers = askers_.find(id);
  if (askers == askers_.end()) return;
  for (const Member& asker : askers->second) {
    model::Located answer;
    if (locate_answer(id, &answer)) send(asker, answer);
  }
  askers_.erase(askers);
}

void NodeCluster::on_message(const Member& from, const model::Located& m) {
  auto found = known_.find(m.id);
  uint32_t object = node_->objects_.find(m.id);
  if (found == known_.end() || object == kNoIndex || found->second.fetch != Fetch::kLocating ||
      found->second.owner != from) {
    SUNDOG_PROBE("cluster.late_location_ignored");
    return;
  }
  if (!m.known) return lose(m.id, "its owner does not have it any more", ErrorKind::kObjectLost);
  std::vector<uint32_t> contained;
  for (const auto& ref : m.contained) {
    contained.push_back(adopt(ref));
    if (!is_sure(ref.id)) known_.at(m.id).unsure.insert(ref.id);
  }
  Known& known = known_.at(m.id);
  if (m.holder.is_nil()) {
    known.fetch = Fetch::kNone;
    return node_->object_ready(object, {m.format, {}, as_bytes(m.bytes)}, std::move(contained));
  }
  known.fetch = Fetch::kLocated;
  known.keeper = m.holder;
  known.size = m.size;
  known.format = m.format;
  for (uint32_t inner : contained) node_->objects_.add_internal(inner);
  known.contained = std::move(contained);
  want_progress(m.id, false);
}

void NodeCluster::drop_contained(Known* known) {
  for (uint32_t inner : std::exchange(known->contained, {})) node_->objects_.drop_internal(inner);
}

void NodeCluster::lose(const ObjectId& id, std::string_view why, ErrorKind kind) {
  uint32_t object = node_->objects_.find(id);
  if (object == kNoIndex || node_->objects_[object].ready) return;
  if (node_->objects_[object].producer != kNoIndex) return;  // its task makes it here
  SUNDOG_PROBE("cluster.object_lost");
  std::string bytes = node_->config_.encode_error(
      {kind, id.task, "", "ObjectRef(" + id.hex() + ") is lost: " + std::string(why)});
  model::ValueView error{model::Format::kSystemError, {}, as_bytes(bytes)};
  PullPlanner::Out out;
  for (uint64_t unit : planner_.units_with(id)) planner_.drop_object(node_->now_, unit, id, &out);
  node_->object_ready(object, error, {});
  perform(out);
}

// ---------------------------------------------------------------- pulling

void NodeCluster::refresh_budget() {
  const ExtentAllocator& allocator = node_->objects_.allocator();
  uint64_t used = allocator.used() + node_->objects_.inline_bytes();
  uint64_t free = used < allocator.capacity() ? allocator.capacity() - used : 0;
  uint64_t under_way = 0;
  for (const auto& [id, extent] : fetched_) under_way += extent.size;
  uint64_t unmade = planner_.reserved() > under_way ? planner_.reserved() - under_way : 0;
  PullPlanner::Out out;
  planner_.set_budget(node_->now_, planner_.reserved() + (free > unmade ? free - unmade : 0), &out);
  perform(out);
}

void NodeCluster::perform(const PullPlanner::Out& out) {
  for (const ObjectId& id : out.started) roomless_[id] = kNever;
  make_room();
  release_stray_extents();
  for (const auto& one : out.sends)
    if (members_.is_live(one.to)) send(one.to, one.message);
  for (const ObjectId& id : out.lost)
    lose(id, "no node has its bytes any more", ErrorKind::kObjectLost);
  for (const ObjectId& id : out.complete) complete(id);
}

// Room for what is being fetched. A fetch without room stores nothing and is asked for again.
void NodeCluster::make_room() {
  for (auto at = roomless_.begin(); at != roomless_.end();) {
    auto known = known_.find(at->first);
    if (!planner_.is_fetching(at->first) || known == known_.end()) {
      at = roomless_.erase(at);
      continue;
    }
    auto offset = node_->objects_.allocator().allocate(known->second.size);
    if (!offset) {
      SUNDOG_PROBE("cluster.fetch_waits_for_room");
      ++at;
      continue;
    }
    model::Extent extent{0, 0, *offset, known->second.size};
    fetched_[at->first] = extent;
    effects_.emplace_back(FetchStarted{extent});
    at = roomless_.erase(at);
  }
}

// Like a put: a fetch waits while something that runs may release bytes, and fails when nothing
// will.
void NodeCluster::give_up_without_room() {
  bool hope = node_->something_may_release(ClientId{});
  std::vector<ObjectId> given_up;
  for (auto& [id, since] : roomless_) {
    if (hope)
      since = kNever;
    else if (since == kNever)
      since = node_->now_;
    else if (node_->now_ - since >= StoreAdmission::kUnpinGrace)
      given_up.push_back(id);
  }
  for (const ObjectId& id : given_up) {
    SUNDOG_PROBE("cluster.fetch_refused");
    lose(id, "the object store is full and nothing that runs will release bytes",
         ErrorKind::kStoreFull);
  }
}

void NodeCluster::release_stray_extents() {
  for (auto at = fetched_.begin(); at != fetched_.end();) {
    if (planner_.is_fetching(at->first)) {
      ++at;
      continue;
    }
    SUNDOG_PROBE("cluster.fetch_given_up");
    model::Extent whole = at->second;
    whole.size = node_->objects_.allocator().size_at(whole.offset);
    node_->objects_.allocator().release(whole.offset);
    // If the shell has not heard of the fetch yet, it need not hear of it at all.
    auto told = std::erase_if(effects_, [&](const PeerEffect& e) {
      const auto* started = std::get_if<FetchStarted>(&e);
      return started != nullptr && started->extent.offset == whole.offset;
    });
    if (told == 0) node_->effects_->emplace_back(ExtentFreed{whole});
    at = fetched_.erase(at);
  }
}

void NodeCluster::on_message(const Member& from, const model::PullChunk& m) {
  auto room = fetched_.find(m.id);
  if (planner_.is_fetching(m.id) && room == fetched_.end() && !m.missing) return;
  PullPlanner::Out out;
  if (planner_.chunk(node_->now_, from, m, &out))
    effects_.emplace_back(StoreChunk{room->second, m.offset, m.bytes});
  perform(out);
}

void NodeCluster::complete(const ObjectId& id) {
  auto room = fetched_.find(id);
  model::Extent extent = room->second;
  fetched_.erase(room);
  uint32_t object = node_->objects_.find(id);
  Known& known = known_.at(id);
  SUNDOG_PROBE("cluster.object_pulled");
  Member keeper = known.keeper;
  bool ours = is_self(known.owner);
  known.keeper = {};
  std::vector<uint32_t> contained = known.contained;
  model::ValueView value{known.format, extent, {}};
  node_->object_ready(object, value, contained);
  if (ours && !keeper.is_nil()) {  // the copy there is not needed any more
    BorrowerRefs::Sends sends;
    borrowed_.end(node_->now_, {id, keeper}, &sends);
    send_borrows(sends);
  }
  PullPlanner::Out out;
  planner_.stored(node_->now_, id, &out);
  perform(out);
}

// ---------------------------------------------------------------- serving

void NodeCluster::on_message(const Member& from, const model::PullRequest& m) {
  uint32_t object = node_->objects_.find(m.id);
  model::PullChunk chunk;
  chunk.id = m.id;
  chunk.offset = m.offset;
  if (object == kNoIndex || node_->objects_[object].extent.empty()) {
    SUNDOG_PROBE("cluster.pull_of_what_is_not_here");
    chunk.missing = true;
    return send(from, chunk);
  }
  const model::Extent& extent = node_->objects_[object].extent;
  if (m.offset >= extent.size) return;  // a peer's mistake
  if (server_.request(node_->now_, from, m.id)) node_->objects_.pin(object, peer(from));
  chunk.total = extent.size;
  chunk.length = std::min(m.length, extent.size - m.offset);
  chunk.source = {extent.arena, 0, extent.offset + m.offset, chunk.length};
  send(from, chunk);
}

void NodeCluster::on_message(const Member& from, const model::PullDone& m) {
  if (!server_.done(from, m.id)) return;
  uint32_t object = node_->objects_.find(m.id);
  if (object != kNoIndex) node_->objects_.unpin(object, peer(from), 1);
}

void NodeCluster::on_message(const Member& from, const model::PullProbe& m) {
  PullPlanner::Out out;
  planner_.probed(node_->now_, from, m.id, &out);
  perform(out);
}

}  // namespace sundog::core
