// NodeCore: the life of an actor, from its creation to the end of its last process
// (docs/design/0004-actors.md). Calls and names are in node_actor_calls.cc.
#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;
using model::Format;

// ---------------------------------------------------------------- creation

void NodeCore::begin_actor(uint32_t creation) {
  TaskRecord& t = tasks_[creation];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  t.actor = actors_.create({t.id, 0});
  ActorRecord& a = actors_[t.actor];
  a.object = t.results()[0];
  objects_[a.object].actor = t.actor;
  a.tmpl = t.tmpl;
  a.creation = creation;
  a.max_restarts = tmpl.max_restarts;
  a.groups[0].limit = tmpl.max_concurrency;
  for (const auto& [name, limit] : tmpl.groups) a.groups.push_back({name, limit, 0, {}});
  a.out_of_order = tmpl.out_of_order;
  a.detached = tmpl.detached;
  a.outlives_job = t.outlives_job;
  a.submitted = now_;
  if (!a.detached) return;
  objects_.add_internal(a.object);
  ++job(t.id.job()).detached;
}

// Its constructor is offered to a worker.
void NodeCore::actor_creating(const Action& action) {
  ActorRecord& a = actors_[tasks_[action.task].actor];
  a.state = ActorState::kCreating;
  a.worker = action.worker;
  a.pid = client(action.worker)->pid;
}

// The constructor ended. Its worker is the actor's from now on, be it to end with it.
void NodeCore::creation_done(Client& c, uint32_t index, const model::Done& m) {
  TaskRecord& t = tasks_[index];
  const uint32_t actor = t.actor;
  scheduler_.creation_done(c.id, index, tasks_.tmpl_of(t).lifetime, now_, &actions_);
  t.worker = ClientId{};
  c.actor = actor;
  accept_results(c, index, m.results);
  record(t, m.failed ? model::Outcome::kFailed : model::Outcome::kFinished, c.pid, m.started,
         m.finished, m.failed ? error_in(m.results) : model::ValueView{});
  ActorRecord& a = actors_[actor];
  if (!objects_[a.object].ready) {
    fail_task(index, ErrorKind::kWorkerCrashed,
              "its constructor ended without a result; this is a defect of the worker's runtime");
  } else if (m.failed) {
    // On a restart the handle has its value already: the error is in the message only.
    ActorCause cause{"its constructor raised an exception", {}, {}};
    if (!m.results.empty() && !m.results[0].value.in_extent()) {
      cause.format = m.results[0].value.format;
      cause.bytes = to_string(m.results[0].value.bytes);
    }
    if (a.state != ActorState::kDead) bury(actor, std::move(cause));
    creation_finished(index);
  } else {
    if (a.state != ActorState::kDead) {
      a.state = ActorState::kAlive;
      a.alive_since = now_;
      actors_.serve_again(actor);
    }
    creation_finished(index);
  }
  if (a.state == ActorState::kDead || m.exiting) {
    if (a.state != ActorState::kDead)
      end_actor(actor, {"its constructor called exit_actor()", {}, {}});
    stop_actor_process(actor, "its actor is dead");
  }
}

// Kept while the process may be started again: with it what its arguments refer to.
void NodeCore::creation_finished(uint32_t index) {
  TaskRecord& t = tasks_[index];
  const ActorRecord& a = actors_[t.actor];
  if (a.state == ActorState::kDead || !a.may_restart()) return finish_task(index);
  objects_[a.object].producer = kNoIndex;
  if (!objects_[a.object].referenced()) objects_.suspect(a.object);
  t.state = TaskState::kKept;
}

// The creation is about to end with an error: so does the actor.
void NodeCore::creation_failed(uint32_t index, Format format, std::string_view bytes) {
  uint32_t actor = tasks_[index].actor;
  if (actor == kNoIndex || actors_[actor].state == ActorState::kDead) return;
  bury(actor, {"its creation failed", format, std::string(bytes)});
}

// The worker of a constructor is gone; `claimed`: it had begun.
void NodeCore::creation_crashed(uint32_t index, const model::DeathCause& cause, uint32_t pid,
                                bool claimed) {
  TaskRecord& t = tasks_[index];
  const uint32_t actor = t.actor;
  ActorRecord& a = actors_[actor];
  a.worker = ClientId{};
  if (claimed) {
    ++t.failures;
    record(t, model::Outcome::kCrashed, pid, t.offered, now_);
  }
  if (a.state == ActorState::kDead)
    return fail_task_with(index, Format::kSystemError, death_error(actor, index));
  if (!claimed) {
    SUNDOG_PROBE("actors.worker_died_before_the_constructor");
    a.state = a.restarts == 0 ? ActorState::kPending : ActorState::kRestarting;
    return scheduler_.enqueue(index);
  }
  std::string sentence = a.killed_by.empty()
                             ? describe_cause(cause, pid, "process") + " Its constructor ran."
                             : std::exchange(a.killed_by, {});
  if (a.may_restart()) {
    SUNDOG_PROBE("actors.constructor_crashed_and_runs_again");
    a.cause = sentence;
    return create_again(actor);
  }
  bury(actor, {sentence, {}, {}});
  fail_task_with(index, Format::kSystemError, death_error(actor, index));
}

void NodeCore::create_again(uint32_t actor) {
  ActorRecord& a = actors_[actor];
  TaskRecord& t = tasks_[a.creation];
  ++a.restarts;
  a.state = ActorState::kRestarting;
  ++t.attempt;
  t.results_seen = 0;
  t.became_ready = now_;
  objects_[a.object].producer = a.creation;
  scheduler_.enqueue(a.creation);
}

// ---------------------------------------------------------------- death

// `offered`: what was with the process; each claim is told later.
void NodeCore::actor_process_gone(uint32_t actor, std::span<const uint32_t> offered,
                                  const model::DeathCause& cause) {
  ActorRecord& a = actors_[actor];
  a.worker = ClientId{};
  if (a.state != ActorState::kDead) {
    a.cause = a.killed_by.empty() ? describe_cause(cause, a.pid, "process")
                                  : std::exchange(a.killed_by, {});
    if (a.may_restart()) {
      SUNDOG_PROBE("actors.restarted");
      create_again(actor);
    } else {
      end_actor(actor, {a.cause, {}, {}});
    }
  }
  actors_.orphan(actor, offered);
  forget_actor_if_over(actor);
}

void NodeCore::bury(uint32_t actor, ActorCause cause) {
  ActorRecord& a = actors_[actor];
  SUNDOG_CHECK(a.state != ActorState::kDead);
  a.state = ActorState::kDead;
  a.cause = " died " + seconds(now_ - a.submitted) + " after it was made";
  if (a.restarts > 0) a.cause += ", restarted " + std::to_string(a.restarts) + " times before";
  a.cause += ": " + cause.sentence;
  a.cause_format = cause.format;
  a.cause_kind = cause.kind;
  a.cause_bytes = std::move(cause.bytes);
  unname(&a);
  for (uint32_t call : actors_.take_all(actor)) fail_call(call);
  if (!a.detached) return;
  objects_.drop_internal(a.object);
  Job& its_job = job(a.handle.task.job());
  if (--its_job.detached == 0 && its_job.ended) to_settle_.push_back(a.handle.task.job());
}

void NodeCore::end_actor(uint32_t actor, ActorCause cause) {
  if (actors_[actor].state == ActorState::kDead) return;
  bury(actor, std::move(cause));
  uint32_t creation = actors_[actor].creation;
  if (creation == kNoIndex) return;
  TaskState state = tasks_[creation].state;
  if (state == TaskState::kReady || state == TaskState::kWaiting) {
    fail_task_with(creation, Format::kSystemError, death_error(actor, creation));
  } else if (state == TaskState::kKept) {
    release_task(creation);  // its result is there long since
  }
}

bool NodeCore::handles_gone() {
  std::vector<uint32_t> gone = objects_.take_freed_handles();
  for (uint32_t actor : gone) {
    ActorRecord& a = actors_[actor];
    a.has_handle = false;
    a.object = kNoIndex;
    if (a.state != ActorState::kDead) {
      SUNDOG_PROBE("actors.last_handle_gone");
      end_actor(actor, {"no handle to it was left", {}, {}});
      stop_actor_process(actor, "no handle to its actor is left");
    }
    forget_actor_if_over(actor);
  }
  return !gone.empty();
}

// Nobody can name it any more, and nothing of it is left here.
void NodeCore::forget_actor_if_over(uint32_t actor) {
  const ActorRecord& a = actors_[actor];
  if (!a.has_handle && a.worker.is_nil() && a.creation == kNoIndex && a.unanswered == 0)
    actors_.release(actor);
}

void NodeCore::on_message(Client& c, const model::KillActor& m) {
  uint32_t object = objects_.find(m.actor);
  uint32_t actor = object == kNoIndex ? kNoIndex : objects_[object].actor;
  if (actor == kNoIndex || actors_[actor].state == ActorState::kDead) return;  // it is gone
  std::string by = "it was ended by kill() in the " +
                   std::string(c.role == model::Role::kWorker ? "worker" : "program") +
                   " with pid " + std::to_string(c.pid);
  if (m.no_restart) {
    kill_actor_process(actor, "kill() was called on its actor");
    end_actor(actor, {std::move(by), {}, {}});
  } else if (!actors_[actor].worker.is_nil()) {
    actors_[actor].killed_by = std::move(by);
    kill_actor_process(actor, "kill() was called on its actor");
  }
}

void NodeCore::kill_actor_process(uint32_t actor, std::string_view reason) {
  ClientId worker = actors_[actor].worker;
  if (!worker.is_nil()) effects_->push_back(KillClient{worker, reason});
}

void NodeCore::stop_actor_process(uint32_t actor, std::string_view reason) {
  ClientId worker = actors_[actor].worker;
  if (worker.is_nil()) return;
  send(worker, model::Stop{reason});
  stopping_.emplace_back(now_ + kStopGrace, worker);
}

void NodeCore::kill_stopped_too_long() {
  for (; !stopping_.empty() && stopping_.front().first <= now_; stopping_.pop_front()) {
    ClientId worker = stopping_.front().second;
    if (client(worker) == nullptr) continue;
    SUNDOG_PROBE("actors.killed_after_the_grace");
    effects_->push_back(KillClient{worker, "it was told to stop and did not"});
  }
}

// Whether a worker of an ended job still has something to do.
bool NodeCore::keeps_on(const Client& c) const {
  if (jobs_.at(c.job).detached == 0) return false;
  if (c.actor != kNoIndex)
    return actors_[c.actor].outlives_job && actors_[c.actor].state != ActorState::kDead;
  const Worker* w = scheduler_.worker(c.id);
  if (w == nullptr) return false;
  for (uint32_t task : w->queue)
    if (!is_over(tasks_[task])) return true;
  return false;
}

}  // namespace sundog::core
