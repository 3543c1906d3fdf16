#include "core/actors/actor_table.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

uint32_t ActorTable::create(const ObjectId& handle) {
  uint32_t index = actors_.allocate();
  actors_[index].handle = handle;
  return index;
}

// ---------------------------------------------------------------- lists

void ActorTable::append(CallList* list, uint32_t call) {
  TaskRecord& t = (*tasks_)[call];
  t.prev = list->tail;
  t.next = kNoIndex;
  (list->tail == kNoIndex ? list->head : (*tasks_)[list->tail].next) = call;
  list->tail = call;
  ++list->count;
}

void ActorTable::unlink(CallList* list, uint32_t call) {
  TaskRecord& t = (*tasks_)[call];
  (t.prev == kNoIndex ? list->head : (*tasks_)[t.prev].next) = t.next;
  (t.next == kNoIndex ? list->tail : (*tasks_)[t.next].prev) = t.prev;
  t.prev = t.next = kNoIndex;
  t.may_start = false;
  --list->count;
}

CallList* ActorTable::list_of(uint32_t call) {
  const TaskRecord& t = (*tasks_)[call];
  ActorRecord& a = actors_[t.actor];
  if (t.may_start) return &a.groups[t.group].startable;
  if (a.held.empty()) return nullptr;
  auto held = a.held.find(t.submitter);
  if (held == a.held.end()) return nullptr;
  bool listed = t.prev != kNoIndex || held->second.head == call;
  return listed ? &held->second : nullptr;
}

bool ActorTable::is_listed(uint32_t call) const {
  return const_cast<ActorTable*>(this)->list_of(call) != nullptr;
}

// ---------------------------------------------------------------- calls

void ActorTable::add_call(uint32_t call) {
  TaskRecord& t = (*tasks_)[call];
  ActorRecord& a = actors_[t.actor];
  bool behind = !a.out_of_order && !a.held.empty() && a.held.contains(t.submitter);
  if (t.state == TaskState::kAtActor && !behind) {
    t.may_start = true;
    append(&a.groups[t.group].startable, call);
    return serve_again(t.actor);
  }
  if (t.state == TaskState::kAtActor) SUNDOG_PROBE("actors.call_behind_one_that_waits");
  append(&a.held[t.submitter], call);
}

void ActorTable::arguments_came(uint32_t call) {
  TaskRecord& t = (*tasks_)[call];
  ActorRecord& a = actors_[t.actor];
  if (!a.out_of_order) return release_front(&a, t.submitter);
  SUNDOG_PROBE("actors.call_overtook_its_caller_s_others");
  auto held = a.held.find(t.submitter);
  unlink(&held->second, call);
  if (held->second.empty()) a.held.erase(held);
  t.may_start = true;
  append(&a.groups[t.group].startable, call);
  serve_again(t.actor);
}

// Moves what may start now from the front of the caller's list.
void ActorTable::release_front(ActorRecord* a, ClientId caller) {
  auto held = a->held.find(caller);
  if (held == a->held.end()) return;
  CallList& list = held->second;
  while (!list.empty() && (*tasks_)[list.head].state == TaskState::kAtActor) {
    uint32_t call = list.head;
    unlink(&list, call);
    TaskRecord& t = (*tasks_)[call];
    t.may_start = true;
    append(&a->groups[t.group].startable, call);
    serve_again((*tasks_)[call].actor);
  }
  if (list.empty()) a->held.erase(held);
}

void ActorTable::remove(uint32_t call) {
  CallList* list = list_of(call);
  SUNDOG_CHECK(list != nullptr);
  const TaskRecord& t = (*tasks_)[call];
  const bool held = !t.may_start;
  unlink(list, call);
  if (held) release_front(&actors_[t.actor], t.submitter);
}

void ActorTable::push_front(uint32_t call) {
  TaskRecord& t = (*tasks_)[call];
  CallList& list = actors_[t.actor].groups[t.group].startable;
  t.state = TaskState::kAtActor;
  t.may_start = true;
  t.prev = kNoIndex;
  t.next = list.head;
  (list.head == kNoIndex ? list.tail : (*tasks_)[list.head].prev) = call;
  list.head = call;
  ++list.count;
  serve_again(t.actor);
}

uint32_t ActorTable::take_next(uint32_t actor, uint32_t group) {
  CallList& list = actors_[actor].groups[group].startable;
  uint32_t call = list.head;
  if (call != kNoIndex) unlink(&list, call);
  return call;
}

uint32_t ActorTable::find_group(uint32_t actor, std::string_view name) const {
  const auto& groups = actors_[actor].groups;
  for (uint32_t g = 0; g < groups.size(); ++g)
    if (groups[g].name == name) return g;
  return kNoIndex;
}

void ActorTable::offered(uint32_t call) {
  const TaskRecord& t = (*tasks_)[call];
  ++actors_[t.actor].groups[t.group].offered;
}

void ActorTable::answered(uint32_t call) {
  const TaskRecord& t = (*tasks_)[call];
  CallGroup& group = actors_[t.actor].groups[t.group];
  SUNDOG_CHECK(group.offered > 0);
  --group.offered;
  serve_again(t.actor);
}

std::vector<uint32_t> ActorTable::take_all(uint32_t actor) {
  ActorRecord& a = actors_[actor];
  std::vector<uint32_t> calls;
  for (CallGroup& group : a.groups) {
    while (!group.startable.empty()) {
      calls.push_back(group.startable.head);
      unlink(&group.startable, group.startable.head);
    }
  }
  for (auto& [caller, list] : a.held) {
    while (!list.empty()) {
      calls.push_back(list.head);
      unlink(&list, list.head);
    }
  }
  a.held.clear();
  return calls;
}

// ---------------------------------------------------------------- orphans

void ActorTable::orphan(uint32_t actor, std::span<const uint32_t> offered) {
  ActorRecord& a = actors_[actor];
  SUNDOG_CHECK(a.unanswered == 0);
  a.orphans.assign(offered.begin(), offered.end());
  a.unanswered = static_cast<uint32_t>(offered.size());
  for (CallGroup& group : a.groups) group.offered = 0;
}

bool ActorTable::orphan_answered(uint32_t call, bool keep) {
  ActorRecord& a = actors_[(*tasks_)[call].actor];
  auto at = std::find(a.orphans.begin(), a.orphans.end(), call);
  SUNDOG_CHECK(at != a.orphans.end() && a.unanswered > 0);
  if (!keep) *at = kNoIndex;
  if (--a.unanswered > 0) return false;
  for (size_t i = a.orphans.size(); i-- > 0;)
    if (a.orphans[i] != kNoIndex) push_front(a.orphans[i]);
  a.orphans.clear();
  return true;
}

// ---------------------------------------------------------------- who has something to start

void ActorTable::serve_again(uint32_t actor) {
  ActorRecord& a = actors_[actor];
  if (a.to_serve) return;
  a.to_serve = true;
  to_serve_.push_back(actor);
}

std::vector<uint32_t> ActorTable::take_to_serve() {
  for (uint32_t actor : to_serve_) actors_[actor].to_serve = false;
  return std::exchange(to_serve_, {});
}

uint32_t ActorTable::waiting_calls(const ActorRecord& a) const {
  uint32_t count = 0;
  for (const CallGroup& group : a.groups) count += group.startable.count;
  for (const auto& [caller, list] : a.held) count += list.count;
  for (uint32_t call : a.orphans) count += call != kNoIndex;
  return count;
}

uint32_t ActorTable::waiting_calls_of(const ActorRecord& a, ClientId caller) const {
  uint32_t count = 0;
  for (const CallGroup& group : a.groups)
    for (uint32_t call = group.startable.head; call != kNoIndex; call = (*tasks_)[call].next)
      count += (*tasks_)[call].submitter == caller;
  auto held = a.held.find(caller);
  if (held != a.held.end()) count += held->second.count;
  for (uint32_t call : a.orphans) count += call != kNoIndex && (*tasks_)[call].submitter == caller;
  return count;
}

// ---------------------------------------------------------------- checking

std::string ActorTable::validate_list(const CallList& list, uint32_t actor, bool may_start) const {
  uint32_t before = kNoIndex, count = 0;
  for (uint32_t call = list.head; call != kNoIndex; call = (*tasks_)[call].next) {
    const TaskRecord& t = (*tasks_)[call];
    if (!t.live || t.actor != actor) return "a list of calls holds a stranger";
    if (t.prev != before) return "a list of calls is torn";
    if (t.may_start != may_start) return "a call is in the wrong list";
    if (may_start && t.state != TaskState::kAtActor) return "a call may start and is not ready";
    before = call;
    ++count;
  }
  if (list.tail != before) return "a list of calls has a wrong tail";
  return list.count == count ? "" : "calls are miscounted";
}

std::string ActorTable::validate() const {
  for (uint32_t i = 0; i < actors_.end(); ++i) {
    const ActorRecord& a = actors_[i];
    if (!a.live) continue;
    std::string who = "actor " + a.handle.hex() + ": ";
    bool startable = false;
    for (uint32_t g = 0; g < a.groups.size(); ++g) {
      const CallList& list = a.groups[g].startable;
      if (std::string wrong = validate_list(list, i, true); !wrong.empty()) return who + wrong;
      for (uint32_t call = list.head; call != kNoIndex; call = (*tasks_)[call].next)
        if ((*tasks_)[call].group != g) return who + "a call is in another group's list";
      if (a.groups[g].offered > a.groups[g].limit + CallGroup::kAhead)
        return who + "more calls are with its process than may be";
      startable = startable || !list.empty();
    }
    for (const auto& [caller, list] : a.held) {
      if (std::string wrong = validate_list(list, i, false); !wrong.empty()) return who + wrong;
      if (list.empty()) return who + "an empty list of a caller is kept";
      if ((*tasks_)[list.head].state == TaskState::kAtActor)
        return who + "a call is held back and nothing is before it";
    }
    bool dead = a.state == ActorState::kDead;
    if (dead && (startable || !a.held.empty())) return who + "dead, and calls wait";
    if (!dead && !a.has_handle) return who + "lives without a handle";
    if (a.state == ActorState::kAlive && a.worker.is_nil()) return who + "alive without a process";
    if (a.orphans.empty() != (a.unanswered == 0)) return who + "miscounts its orphans";
  }
  return {};
}

}  // namespace sundog::core
