// NodeCore: what it tells people about actors.
#include <algorithm>

#include "base/json.h"
#include "core/node_core.h"

namespace sundog::core {
namespace {

const char* state_name(ActorState state) {
  switch (state) {
    case ActorState::kPending:
      return "PENDING";
    case ActorState::kCreating:
      return "CREATING";
    case ActorState::kAlive:
      return "ALIVE";
    case ActorState::kRestarting:
      return "RESTARTING";
    case ActorState::kDead:
      return "DEAD";
  }
  return "?";
}

}  // namespace

std::string NodeCore::actor_label(const ActorRecord& a) const {
  std::string text = tasks_.tmpl(a.tmpl).name + " (actor " + a.handle.task.hex().substr(8, 4) + "…";
  bool known = a.state == ActorState::kAlive || a.state == ActorState::kDead;
  if (a.pid != 0 && known) text += ", pid " + std::to_string(a.pid);
  return text + ")";
}

// Where a call waits that is not waiting for its arguments.
void NodeCore::explain_call(uint32_t index, TimeNs now, std::vector<std::string>* chain) const {
  const TaskRecord& t = tasks_[index];
  const ActorRecord& a = actors_[t.actor];
  const Worker* w = scheduler_.worker(a.worker);
  if (a.state != ActorState::kAlive || w == nullptr) {
    chain->push_back(a.state == ActorState::kDead ? death_sentence(a)
                     : a.restarts > 0
                         ? "its actor " + actor_label(a) + " is being restarted: " + a.cause
                         : "its actor " + actor_label(a) + " is not made yet");
    if (a.creation != kNoIndex && chain->size() < 8) explain_task(a.creation, now, chain);
    return;
  }
  auto at = std::find(w->queue.begin(), w->queue.end(), index);
  if (at != w->queue.end() && at - w->queue.begin() < a.groups[t.group].limit)
    return explain_running(index, *w, now, chain);
  auto ahead = static_cast<uint64_t>(at - w->queue.begin());
  if (at == w->queue.end()) {
    const CallList& list = a.groups[t.group].startable;
    for (uint32_t other = list.head; other != kNoIndex && other != index;
         other = tasks_[other].next)
      ++ahead;
    if (!t.may_start) {
      chain->push_back("it is behind a call of the same caller whose arguments are not there");
      return;
    }
  }
  std::string text = "it is behind " + std::to_string(ahead) +
                     (ahead == 1 ? " call of " : " calls of ") + actor_label(a);
  if (!w->queue.empty())
    text += ", which runs " + tasks_.tmpl_of(tasks_[w->queue[0]]).title + "() since " +
            seconds(now - w->front_since);
  chain->push_back(text);
  if (!w->queue.empty() && w->blocked > 0) explain_running(w->queue[0], *w, now, chain);
}

// Submitted by this client and not ended; 0 for what is no actor here.
uint32_t NodeCore::pending_calls(std::string_view handle, ClientId caller) const {
  ObjectId id;
  if (!ObjectId::from_hex(handle, &id)) return 0;
  const uint32_t object = objects_.find(id);
  if (object == kNoIndex || objects_[object].actor == kNoIndex) return 0;
  const ActorRecord& a = actors_[objects_[object].actor];
  uint32_t count = actors_.waiting_calls_of(a, caller);
  const Worker* w = scheduler_.worker(a.worker);
  if (w == nullptr || !w->actor) return count;
  for (uint32_t call : w->queue) count += tasks_[call].submitter == caller;
  return count;
}

std::string NodeCore::actors_json() const {
  JsonWriter j;
  j.begin_array();
  for (uint32_t i = 0; i < actors_.end(); ++i) {
    const ActorRecord& a = actors_[i];
    if (!a.live) continue;
    const TaskTemplate& tmpl = tasks_.tmpl(a.tmpl);
    const Worker* w = scheduler_.worker(a.worker);
    bool made = w != nullptr && w->actor;
    j.begin_object().field("actor", a.handle.hex()).field("class_name", tmpl.name);
    j.field("state", state_name(a.state)).field("pid", w == nullptr ? 0 : a.pid);
    j.field("name", a.name)
        .field("namespace", a.name_space)
        .field("job", a.handle.task.job().value);
    j.field("detached", a.detached)
        .field("restarts", a.restarts)
        .field("max_restarts", a.max_restarts);
    j.key("resources").begin_object();
    for (const auto& e : (made ? tmpl.lifetime : tmpl.resources).entries())
      j.field(names_.name(e.id), static_cast<double>(e.amount) / model::kResourceUnit);
    j.end_object();
    j.field("max_concurrency", a.groups[0].limit)
        .field("waiting_calls", actors_.waiting_calls(a))
        .field("offered_calls", made ? w->queue.size() : 0);
    j.field("runs", made && !w->queue.empty() ? tasks_.tmpl_of(tasks_[w->queue[0]]).title : "");
    j.field("seconds", static_cast<double>(now_ - a.submitted) / 1e9);
    j.field("cause", a.state == ActorState::kDead ? death_sentence(a) : std::string());
    j.end_object();
  }
  j.end_array();
  return j.take();
}

std::string NodeCore::names_json(std::string_view name_space) const {
  JsonWriter j;
  j.begin_array();
  directory_.each_bound(name_space, [&](const NameTable::Key& key, const NamedActor& named) {
    j.begin_object().field("namespace", key.first).field("name", key.second);
    j.field("actor", named.actor.hex()).end_object();
  });
  j.end_array();
  return j.take();
}

}  // namespace sundog::core
