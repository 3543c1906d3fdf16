// NodeCore: values, references, pins, room in the store, and who waits for what.
#include <algorithm>

#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;

// A reference to something this node does not know: lost, as a value that says so.
uint32_t NodeCore::find_or_lost(const ObjectId& id) {
  uint32_t object = objects_.find(id);
  if (object != kNoIndex) return object;
  SUNDOG_PROBE("objects.unknown_reference");
  object = objects_.create(id, now_);
  std::string bytes = config_.encode_error(
      {ErrorKind::kObjectLost, id.task, "",
       "ObjectRef(" + id.hex() + ") is unknown to session " + config_.session +
           ": its last reference was dropped, or it belongs to another session"});
  model::ValueView error;
  error.format = model::Format::kSystemError;
  error.bytes = as_bytes(bytes);
  objects_.set_value(object, error, {});
  return object;
}

std::vector<uint32_t> NodeCore::find_all(std::span<const ObjectId> ids) {
  std::vector<uint32_t> found;
  found.reserve(ids.size());
  for (const ObjectId& id : ids) found.push_back(find_or_lost(id));
  return found;
}

// ---------------------------------------------------------------- values

void NodeCore::on_message(Client& c, const model::Put& m) {
  if (!speaks_for(c, m.id.task.job()) || !m.id.is_put())
    return violation(c, "a put's id is not its own");
  if (m.value.in_extent() && !take_grant(c, m.value.extent))
    return violation(c, "a put lies in memory that was not granted");
  uint32_t object = objects_.find(m.id);
  if (object == kNoIndex) {
    object = objects_.create(m.id, now_);
    objects_.add_refs(object, c.id, 1);
    objects_.set_value(object, m.value, find_all(m.contained));
  } else {
    // The same function, put by two processes, here or on another node; its bytes are equal.
    objects_.add_refs(object, c.id, 1);
    if (m.value.in_extent()) {
      model::Extent whole = m.value.extent;
      whole.size = objects_.allocator().size_at(whole.offset);
      objects_.allocator().release(whole.offset);
      effects_->push_back(ExtentFreed{whole});
    }
  }
  Job& owner = job(m.id.task.job());
  auto& held = owner.held;
  if (m.hold_for_job && !owner.ended && std::find(held.begin(), held.end(), object) == held.end()) {
    objects_.add_internal(object);
    held.push_back(object);
  }
}

bool NodeCore::take_grant(Client& c, const model::Extent& used) {
  auto at = std::find_if(c.grants.begin(), c.grants.end(), [&](const model::Extent& g) {
    return g.arena == used.arena && g.offset == used.offset && used.size <= g.size;
  });
  if (at == c.grants.end()) return false;
  *at = c.grants.back();
  c.grants.pop_back();
  objects_.allocator().shrink(used.offset, used.size);
  return true;
}

void NodeCore::object_ready(uint32_t object, const model::ValueView& value,
                            std::vector<uint32_t> contained) {
  objects_.set_value(object, value, std::move(contained));
  ObjectRecord& o = objects_[object];
  const ClientId submitter = o.submitter;
  bool sent = false;
  if (o.first_wait != kNoIndex) {
    for (uint32_t get : waits_.waiters_of(object)) {
      sent |= waits_[get].client == submitter && waits_[get].values;
      deliver(get, object);
    }
  }
  push_to_submitter(object, sent);
  tasks_.take_edges(&o.first_dependent, [&](uint32_t task) {
    if (--tasks_[task].unready == 0) arguments_there_.push_back(task);
  });
  if (cluster_ && o.shared) cluster_->became_ready(object);
}

// A small result goes to whoever submitted its task, asked for or not.
void NodeCore::push_to_submitter(uint32_t object, bool already_sent) {
  const ObjectRecord& o = objects_[object];
  if (already_sent || !o.extent.empty() || o.bytes.size() > model::kPushValueBytesMax) return;
  Client* c = client(o.submitter);
  if (c == nullptr || o.refs.count(c->id) == 0) return;
  uint64_t weight = o.bytes.size() + model::kPushOverheadBytes;
  if (c->pushed_bytes + weight > model::kPushCreditBytes) return;
  c->pushed_bytes += weight;
  send_value(*c, object, true);
}

void NodeCore::send_value(Client& c, uint32_t object, bool pushed) {
  ObjectRecord& o = objects_[object];
  if (!o.extent.empty()) objects_.pin(object, c.id);
  objects_.viewed(object);
  auto& v = begin_message<model::Value>(c.id);
  v.id = o.id;
  v.pushed = pushed;
  v.order = o.order;
  v.value = o.value();
}

// ---------------------------------------------------------------- waits

void NodeCore::on_message(Client& c, const model::Get& m) {
  if (waits_.find(c.id, m.request) != kNoIndex) return violation(c, "a get's number is in use");
  uint32_t get = waits_.create(c.id, m.request);
  GetRecord& g = waits_[get];
  g.values = m.values;
  g.missing = std::min<uint32_t>(m.num_ready, static_cast<uint32_t>(m.ids.size()));
  g.since = now_;
  for (const ObjectId& id : m.ids) {
    uint32_t object = find_or_lost(id);
    if (!objects_[object].ready) {
      waits_.add_wait(get, object);
      mark_awaited(object);
      if (cluster_ && objects_[object].shared)
        cluster_->wanted(object, m.values ? PullClass::kRunningGet : PullClass::kWait);
      continue;
    }
    if (m.values) {
      send_value(c, object, false);
    } else {
      send(c.id, model::Ready{id, objects_[object].order});
    }
    // Known ready counts, beyond what was asked for too.
    if (waits_[get].missing > 0) --waits_[get].missing;
    if (!objects_[object].referenced()) objects_.suspect(object);
  }
  if (waits_[get].missing == 0) return end_wait(get);
  if (m.blocking) {
    waits_[get].blocking = true;
    scheduler_.block(c.id, &actions_);
    perform_all();
  }
}

void NodeCore::on_message(Client& c, const model::EndGet& m) {
  uint32_t get = waits_.find(c.id, m.request);
  if (get == kNoIndex) return;
  if (waits_[get].blocking) scheduler_.resume_now(c.id, get);
  waits_.release(get);
}

// `object` became ready and `get` waits for it.
void NodeCore::deliver(uint32_t get, uint32_t object) {
  Client* c = client(waits_[get].client);
  SUNDOG_CHECK(c != nullptr);
  waits_.remove_wait(get, object);
  if (waits_[get].values) {
    send_value(*c, object, false);
  } else {
    send(c->id, model::Ready{objects_[object].id, objects_[object].order});
  }
  if (waits_[get].missing > 0 && --waits_[get].missing == 0) end_wait(get);
}

// Enough is ready: the client is told, at once or when it may run again.
void NodeCore::end_wait(uint32_t get) {
  GetRecord& g = waits_[get];
  if (g.satisfied) return;
  if (g.blocking && !scheduler_.resume(g.client, get)) {
    SUNDOG_PROBE("waits.satisfied_but_no_cpu");
    g.satisfied = true;
    return;
  }
  send(g.client, model::Waited{g.request});
  waits_.release(get);
}

// Somebody waits for `object`: its task, and those that make its arguments, come first.
void NodeCore::mark_awaited(uint32_t object) {
  std::vector<uint32_t> stack{object};
  while (!stack.empty()) {
    const ObjectRecord& o = objects_[stack.back()];
    stack.pop_back();
    if (o.ready || o.producer == kNoIndex) continue;
    TaskRecord& t = tasks_[o.producer];
    if (t.awaited) continue;
    scheduler_.set_awaited(o.producer);
    if (t.handle != kNoIndex) stack.push_back(t.handle);  // its actor may not be made yet
    if (t.state == TaskState::kWaiting)
      for (uint32_t r : t.refs())
        if (!objects_[r].ready) stack.push_back(r);
  }
}

// ---------------------------------------------------------------- references

void NodeCore::on_message(Client& c, const model::AddRefs& m) {
  for (const auto& r : m.refs) objects_.add_refs(find_or_lost(r.id), c.id, r.count);
}

void NodeCore::on_message(Client& c, const model::DropRefs& m) {
  for (const auto& r : m.refs) {
    uint32_t object = objects_.find(r.id);
    if (object == kNoIndex || !objects_.drop_refs(object, c.id, r.count))
      return violation(c, "it dropped a reference that it does not have");
  }
}

void NodeCore::on_message(Client& c, const model::Unpin& m) {
  for (const auto& p : m.pins) {
    uint32_t object = objects_.find(p.id);
    if (object == kNoIndex || !objects_.unpin(object, c.id, p.count))
      return violation(c, "it dropped a pin that it does not have");
  }
}

void NodeCore::on_message(Client& c, const model::Credit& m) {
  c.pushed_bytes -= std::min(c.pushed_bytes, m.bytes);
}

// ---------------------------------------------------------------- room in the store

void NodeCore::on_message(Client& c, const model::Allocate& m) {
  admission_.waiting().push_back({c.id, m.request, m.size, now_, kNever, false});
}

void NodeCore::on_message(Client& c, const model::Abandon& m) {
  auto at = std::find_if(c.grants.begin(), c.grants.end(), [&](const model::Extent& g) {
    return g.arena == m.extent.arena && g.offset == m.extent.offset;
  });
  if (at == c.grants.end()) return violation(c, "it gave back memory that was not granted");
  model::Extent whole = *at;
  whole.size = objects_.allocator().size_at(at->offset);
  *at = c.grants.back();
  c.grants.pop_back();
  objects_.allocator().release(whole.offset);
  effects_->push_back(ExtentFreed{whole});
}

void NodeCore::serve_admission() {
  auto& waiting = admission_.waiting();
  const ExtentAllocator& allocator = objects_.allocator();
  while (!waiting.empty()) {
    StoreAdmission::Request& r = waiting.front();
    if (r.size == 0 || r.size > allocator.capacity()) {
      std::string reason = r.size == 0 ? "a value of 0 bytes needs no room"
                                       : "it needs " + std::to_string(r.size) +
                                             " bytes, the object store has " +
                                             std::to_string(allocator.capacity()) + " in all";
      send(r.client, model::Refused{r.number, keep(std::move(reason))});
      waiting.pop_front();
      continue;
    }
    if (allocator.used() + objects_.inline_bytes() + r.size <= allocator.capacity()) {
      if (auto offset = objects_.allocator().allocate(r.size)) {
        grant(r, *offset);
        waiting.pop_front();
        continue;
      }
    }
    if (something_may_release(r.client)) {
      r.hopeless_since = kNever;
    } else if (r.hopeless_since == kNever) {
      r.hopeless_since = now_;
    }
    DurationNs grace =
        objects_.others_will_unpin(r.client) ? StoreAdmission::kUnpinGrace : StoreAdmission::kGrace;
    std::string state = std::to_string(objects_.used_bytes()) + " of " +
                        std::to_string(allocator.capacity()) + " bytes are held by " +
                        std::to_string(objects_.live()) + " objects";
    SUNDOG_PROBE("store.put_waits");
    if (r.hopeless_since != kNever && now_ - r.hopeless_since >= grace) {
      send(r.client,
           model::Refused{r.number, keep("it needs " + std::to_string(r.size) + " bytes; " + state +
                                         ", and nothing that runs will release any")});
      waiting.pop_front();
      continue;
    }
    if (!r.noticed && now_ - r.since >= StoreAdmission::kNoticeAfter) {
      SUNDOG_PROBE("store.wait_is_told");
      r.noticed = true;
      if (const Client* c = client(r.client))
        notice(c->job, 1,
               "store full: " + state + "; a put of " + std::to_string(r.size) + " bytes waits");
    }
    return;
  }
}

void NodeCore::grant(const StoreAdmission::Request& r, uint64_t offset) {
  Client* c = client(r.client);
  SUNDOG_CHECK(c != nullptr);
  model::Extent extent{0, 0, offset, r.size};
  c->grants.push_back(extent);
  send(r.client, model::Grant{r.number, extent});
}

// Whether some task that is not itself waiting may still end and give bytes back.
bool NodeCore::something_may_release(ClientId asker) const {
  for (const Worker* w : scheduler_.workers()) {
    if (w->client == asker || w->queue.empty() || w->blocked > 0) continue;
    if (!admission_.waits(w->client)) return true;
  }
  // Whoever takes items of a stream makes room, unless it waits for some itself
  // or, as nothing else runs, for a CPU.
  auto can_take = [this](ClientId consumer) {
    return !admission_.waits(consumer) && !scheduler_.waits_to_resume(consumer);
  };
  if (streams_.others_may_take(asker, can_take)) return true;
  return scheduler_.ready_task_fits();
}

}  // namespace sundog::core
