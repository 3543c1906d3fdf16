// NodeCore: calls of actors, and names of actors.
#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;
using model::Format;

// ---------------------------------------------------------------- calls

// A submitted call: it waits at its actor, or fails at once.
void NodeCore::begin_call(uint32_t call, const ObjectId& handle) {
  TaskRecord& t = tasks_[call];
  uint32_t object = objects_.find(handle);
  if (object == kNoIndex || objects_[object].actor == kNoIndex) {
    SUNDOG_PROBE("actors.call_of_a_stranger");
    if (object != kNoIndex && objects_[object].shared)
      return fail_task(call, ErrorKind::kTaskUnschedulable,
                       "its actor was made on another node, and in this version an actor can be "
                       "called only on the node that made it");
    return fail_task(call, ErrorKind::kActorDied,
                     "its actor (" + handle.hex() + ") is unknown to session " + config_.session +
                         ": its last handle was dropped, or it belongs to another session");
  }
  t.actor = objects_[object].actor;
  t.handle = object;
  objects_.add_internal(object);
  if (is_over(t)) return fail_task(call, ErrorKind::kTaskCancelled, "its driver has ended");
  if (actors_[t.actor].state == ActorState::kDead) return fail_call(call);
  if (!choose_group(call)) return;
  if (t.unready == 0) {
    t.became_ready = now_;
    if (argument_failed(call)) return;
    t.state = TaskState::kAtActor;
  } else if (cluster_) {
    cluster_->wanted_by_task(call);
  }
  actors_.add_call(call);
}

// False, and the call fails, if its actor has no such concurrency group.
bool NodeCore::choose_group(uint32_t call) {
  TaskRecord& t = tasks_[call];
  const std::string& wanted = tasks_.tmpl_of(t).group;
  if (wanted.empty()) return true;
  const uint32_t group = actors_.find_group(t.actor, wanted);
  if (group != kNoIndex) {
    t.group = static_cast<uint16_t>(group);
    return true;
  }
  const ActorRecord& a = actors_[t.actor];
  std::string known;
  for (size_t g = 1; g < a.groups.size(); ++g)
    known += (g > 1 ? ", '" : "'") + a.groups[g].name + "'";
  fail_task(
      call, ErrorKind::kTaskUnschedulable,
      "its actor " + actor_label(a) + " has no concurrency group '" + wanted +
          (known.empty() ? "': concurrency_groups of its class names none" : "'; it has " + known));
  return false;
}

// As many as its worker may have, of each actor that has something to start.
void NodeCore::offer_calls() {
  for (uint32_t actor : actors_.take_to_serve()) {
    const ActorRecord& a = actors_[actor];
    if (!a.live || a.state != ActorState::kAlive || a.unanswered > 0) continue;
    for (uint32_t group = 0; group < a.groups.size(); ++group) {
      while (a.groups[group].has_window() && scheduler_.has_room(a.worker)) {
        uint32_t call = actors_.take_next(actor, group);
        if (call == kNoIndex) break;
        actors_.offered(call);
        scheduler_.offer(a.worker, call, now_, &actions_);
      }
    }
  }
}

// The process died with this call in its ring: now it is known whether it had begun.
void NodeCore::call_orphan_told(uint32_t call, bool claimed, const model::DeathCause&,
                                uint32_t pid) {
  TaskRecord& t = tasks_[call];
  const uint32_t actor = t.actor;
  const int32_t retries = tasks_.tmpl_of(t).max_retries;
  if (claimed) {
    ++t.failures;
    record(t, model::Outcome::kCrashed, pid, t.offered, now_);
  }
  const bool dead = actors_[actor].state == ActorState::kDead;
  const bool allowed = !claimed || retries < 0 || t.failures <= static_cast<uint32_t>(retries);
  const bool keep = !dead && allowed && !is_over(t) && !t.cancelling;
  if (keep && claimed) {
    SUNDOG_PROBE("actors.call_tried_again");
    ++t.attempt;
    t.results_seen = 0;
  }
  const bool last = actors_.orphan_answered(call, keep);
  if (!keep && is_over(t)) {
    fail_task(call, ErrorKind::kTaskCancelled, "its driver has ended");
  } else if (!keep && t.cancelling) {
    fail_cancelled(call, cancelling_.reason(call), claimed);
  } else if (!keep) {
    fail_call(call);
  }
  if (!last) return;
  if (dead)
    for (uint32_t kept : actors_.take_all(actor)) fail_call(kept);
  actors_.serve_again(actor);
  forget_actor_if_over(actor);
}

std::string NodeCore::death_sentence(const ActorRecord& a) const {
  return "its actor " + actor_label(a) +
         (a.state == ActorState::kDead ? a.cause
                                       : " lost its process while it ran this call: " + a.cause +
                                             " The call may not be tried again "
                                             "(max_task_retries); the actor is being restarted.");
}

std::string NodeCore::death_error(uint32_t actor, uint32_t task) const {
  const ActorRecord& a = actors_[actor];
  const TaskRecord& t = tasks_[task];
  if (!a.setup_error.empty())
    return config_.encode_error(
        {ErrorKind::kRuntimeEnvSetup, t.id, tasks_.tmpl_of(t).title, a.setup_error});
  std::string sentence = death_sentence(a);
  const bool dead = a.state == ActorState::kDead;
  return config_.encode_error({dead ? a.cause_kind : ErrorKind::kActorDied, t.id,
                               tasks_.tmpl_of(t).title, sentence, a.cause_format,
                               as_bytes(a.cause_bytes)});
}

void NodeCore::fail_call(uint32_t call) {
  fail_task_with(call, Format::kSystemError, death_error(tasks_[call].actor, call));
}

// ---------------------------------------------------------------- names

void NodeCore::on_message(Client& c, const model::ClaimName& m) {
  NameTable::Answers answers;
  directory_.claim(c.id, m.request, {std::string(m.name_space), std::string(m.name)}, &answers);
  send_answers(answers);
}

void NodeCore::on_message(Client& c, const model::FindName& m) {
  NameTable::Answers answers;
  directory_.find(c.id, m.request, {std::string(m.name_space), std::string(m.name)}, &answers);
  send_answers(answers);
}

void NodeCore::on_message(Client& c, const model::BindName& m) {
  NameTable::Key key{std::string(m.name_space), std::string(m.name)};
  NameTable::Answers answers;
  uint32_t object = objects_.find(m.actor);
  uint32_t actor = object == kNoIndex ? kNoIndex : objects_[object].actor;
  // Given back, or dead before it had its name.
  bool lives = actor != kNoIndex && actors_[actor].state != ActorState::kDead;
  if (lives && !actors_[actor].name.empty()) return violation(c, "it gives an actor a second name");
  bool reserved = lives ? directory_.bind(c.id, key, {m.actor, m.descriptor}, &answers)
                        : directory_.give_back(c.id, key, &answers);
  if (!reserved) return violation(c, "it binds a name that it did not reserve");
  if (lives) {
    objects_.add_internal(find_or_lost(m.descriptor));
    actors_[actor].name_space = key.first;
    actors_[actor].name = key.second;
  }
  send_answers(answers);
}

// What is found is counted to who asked.
void NodeCore::send_answers(const NameTable::Answers& answers) {
  for (const NameTable::Answer& a : answers) {
    if (client(a.client) == nullptr) continue;
    if (a.status == model::NameStatus::kFound) {
      objects_.add_refs(objects_.find(a.named.actor), a.client, 1);
      objects_.add_refs(objects_.find(a.named.descriptor), a.client, 1);
    }
    send(a.client, model::NameReply{a.request, a.status, a.named.actor, a.named.descriptor});
  }
}

void NodeCore::unname(ActorRecord* a) {
  if (a->name.empty()) return;
  NamedActor named;
  bool bound = directory_.remove({a->name_space, a->name}, &named);
  SUNDOG_CHECK(bound && named.actor == a->handle);
  objects_.drop_internal(objects_.find(named.descriptor));
  a->name.clear();
  a->name_space.clear();
}

}  // namespace sundog::core
