// NodeCluster: tasks given away and tasks taken in.
//
//   owner                                   executor
//   offload(): PlaceRequest to controller
//   RemoteSubmit            ------------->  a foreign task, queued like any other
//                           <-------------  Accepted | RefusedTask
//                           <-------------  RemoteDone, once all refs it keeps are confirmed
//   results stored, refs inside confirmed
//   DoneHeld{kept}          ------------->  lets go of all but what the owner keeps there
#include <algorithm>

#include "base/probe.h"
#include "core/node_cluster.h"
#include "core/node_core.h"

namespace sundog::core {

using model::ErrorKind;
using model::Format;
using model::Member;

// ---------------------------------------------------------------- the owner's side

bool NodeCluster::offload(uint32_t index) {
  if (ended_) return false;
  TaskRecord& t = node_->tasks_[index];
  if (t.foreign) return false;  // who took it in said that it fits
  uint32_t shape = node_->tasks_.tmpl_of(t).shape;
  bool must = !node_->scheduler_.feasible(shape);
  bool spill = node_->scheduler_.ready().total() >= config_.spill_queue;
  bool others = members_.joined() && members_.view().live.size() > 1;
  if (!must && !(spill && others)) return false;
  if (!must) SUNDOG_PROBE("cluster.spilled_by_load");
  t.state = TaskState::kRemote;
  Run& run = runs_[t.id];
  run = Run{};
  run.task = index;
  run.attempt = t.attempt;
  run.sent = node_->now_;
  if (members_.joined()) ask_placement(&run);  // else the timer does
  return true;
}

void NodeCluster::ask_placement(Run* run) {
  const TaskRecord& t = node_->tasks_[run->task];
  run->phase = Phase::kPlacing;
  run->request = ++last_request_;
  run->sent = node_->now_;
  model::PlaceRequest request;
  request.request = run->request;
  request.task = t.id;
  request.resources = amounts(node_->tasks_.tmpl_of(t).resources);
  request.refused = run->refused;
  for (uint32_t r : t.refs()) {
    const ObjectRecord& o = node_->objects_[r];
    auto known = known_.find(o.id);
    Member where = o.ready ? members_.self() : Member{};
    if (known != known_.end() && !known->second.keeper.is_nil()) where = known->second.keeper;
    if (!where.is_nil()) request.arguments.push_back({where, o.value().size()});
  }
  effects_.emplace_back(ToController{members_.self(), std::move(request)});
}

void NodeCluster::on_place_reply(const model::PlaceReply& m) {
  auto at = std::find_if(runs_.begin(), runs_.end(), [&](const auto& r) {
    return r.second.phase == Phase::kPlacing && r.second.request == m.request;
  });
  if (at == runs_.end()) {
    SUNDOG_PROBE("cluster.late_placement_ignored");
    return;
  }
  TaskId id = at->first;
  Run& run = at->second;
  const TaskRecord& t = node_->tasks_[run.task];
  if (m.node.is_nil() || is_self(m.node)) {
    if (node_->scheduler_.feasible(node_->tasks_.tmpl_of(t).shape)) return run_here(id);
    if (m.infeasible && !run.warned) {
      run.warned = true;
      node_->notice(id.job(), 1, node_->task_label(t) + " cannot run: " + m.reason);
    }
    return;  // asked again by the timer
  }
  if (!members_.is_live(m.node)) return;
  run.phase = Phase::kSubmitted;
  run.node = m.node;
  run.sequence = ++last_sequence_[m.node];
  run.sent = node_->now_;
  job_peers_[id.job()].insert(m.node);
  submit_remote(run);
}

void NodeCluster::run_here(const TaskId& id) {
  uint32_t index = runs_.at(id).task;
  runs_.erase(id);
  node_->tasks_[index].state = TaskState::kWaiting;
  node_->scheduler_.enqueue(index);
}

void NodeCluster::submit_remote(const Run& run) {
  const TaskRecord& t = node_->tasks_[run.task];
  const TaskTemplate& tmpl = node_->tasks_.tmpl_of(t);
  model::RemoteSubmit m;
  m.sequence = run.sequence;
  m.closed_below = run.sequence;
  for (const auto& [id, other] : runs_)
    if (other.phase != Phase::kPlacing && other.node == run.node)
      m.closed_below = std::min(m.closed_below, other.sequence);
  m.task = t.id;
  m.attempt = t.attempt;
  m.parent = t.parent;
  m.language = tmpl.language;
  uint32_t function = tmpl.function.is_nil() ? kNoIndex : node_->objects_.find(tmpl.function);
  if (function != kNoIndex) m.function = global(function);
  m.name = tmpl.name;
  m.source = tmpl.source;
  m.resources = amounts(tmpl.resources);
  m.retry_exceptions = tmpl.retry_exceptions;
  m.priority = tmpl.priority;
  m.runtime_env = tmpl.runtime_env;
  m.num_results = t.num_results;
  m.refs = global_all(t.refs());
  m.contained = global_all(t.contained());
  m.arguments = to_string(t.arguments());
  send(run.node, std::move(m));
}

void NodeCluster::on_message(const Member& from, const model::Accepted& m) {
  auto run = runs_.find(m.task);
  if (run == runs_.end() || run->second.node != from || run->second.attempt != m.attempt) return;
  if (run->second.phase == Phase::kSubmitted) run->second.phase = Phase::kAccepted;
}

void NodeCluster::on_message(const Member& from, const model::RefusedTask& m) {
  auto run = runs_.find(m.task);
  if (run == runs_.end() || run->second.phase != Phase::kSubmitted || run->second.node != from ||
      run->second.attempt != m.attempt)
    return;
  SUNDOG_PROBE("cluster.task_refused");
  if (node_->scheduler_.feasible(node_->tasks_.tmpl_of(node_->tasks_[run->second.task]).shape))
    return run_here(m.task);
  run->second.refused.push_back(from);
  ask_placement(&run->second);
}

void NodeCluster::retry_or_fail(const TaskId& id, const std::string& sentence, ErrorKind kind) {
  uint32_t index = runs_.at(id).task;
  runs_.erase(id);
  TaskRecord& t = node_->tasks_[index];
  t.state = TaskState::kWaiting;
  ++t.failures;
  const TaskTemplate& tmpl = node_->tasks_.tmpl_of(t);
  bool again = tmpl.max_retries < 0 || t.failures <= static_cast<uint32_t>(tmpl.max_retries);
  if (node_->jobs_[id.job()].ended)
    return node_->fail_task(index, ErrorKind::kTaskCancelled, "its driver has ended");
  if (!again) return node_->fail_task(index, kind, sentence);
  SUNDOG_PROBE("cluster.remote_attempt_repeated");
  ++t.attempt;
  t.results_seen = 0;
  if (!offload(index)) node_->scheduler_.enqueue(index);
}

void NodeCluster::on_message(const Member& from, const model::RemoteDone& m) {
  if (settling_.contains({from, m.task, m.attempt})) {
    SUNDOG_PROBE("cluster.done_repeated_while_settling");
    return;
  }
  auto run = runs_.find(m.task);
  bool current = run != runs_.end() && run->second.node == from &&
                 run->second.phase != Phase::kPlacing && run->second.attempt == m.attempt;
  if (!current) return answer_stale_done(from, m);
  uint32_t index = run->second.task;
  TaskRecord& t = node_->tasks_[index];
  const TaskTemplate& tmpl = node_->tasks_.tmpl_of(t);
  bool retry = m.failed && tmpl.retry_exceptions && !m.crashed &&
               (tmpl.max_retries < 0 || t.failures < static_cast<uint32_t>(tmpl.max_retries));
  if (m.crashed || (retry && !node_->jobs_[t.id.job()].ended)) {
    send(from, model::DoneHeld{m.task, m.attempt, {}});
    return retry_or_fail(m.task, m.reason, ErrorKind::kWorkerCrashed);
  }
  Settling& settling = settling_[{from, m.task, m.attempt}];
  settling.answer.task = m.task;
  settling.answer.attempt = m.attempt;
  runs_.erase(run);
  take_results(from, index, m, &settling);
  node_->record(t, m.failed ? model::Outcome::kFailed : model::Outcome::kFinished, 0, 0, 0);
  for (uint32_t object : t.results()) {
    const ObjectRecord& o = node_->objects_[object];
    auto known = known_.find(o.id);
    if (o.ready || (known != known_.end() && !known->second.keeper.is_nil())) continue;
    return node_->fail_task(index, ErrorKind::kWorkerCrashed,
                            "it ended without all of its results");
  }
  t.state = TaskState::kOffered;  // not kRemote: its run is settled already
  node_->finish_task(index);
}

void NodeCluster::take_results(const Member& from, uint32_t index, const model::RemoteDone& m,
                               Settling* settling) {
  for (const model::RemoteValue& value : m.results) {
    if (value.index >= node_->tasks_[index].num_results) continue;
    uint32_t object = node_->tasks_[index].results()[value.index];
    if (node_->objects_[object].ready) continue;  // an earlier attempt delivered it
    std::vector<uint32_t> contained;
    for (const auto& ref : value.contained) {
      contained.push_back(adopt(ref));
      settling->refs.push_back(ref.id);
    }
    if (!value.in_store) {
      model::ValueView view{value.format, {}, as_bytes(value.bytes)};
      node_->object_ready(object, view, std::move(contained));
      continue;
    }
    SUNDOG_PROBE("cluster.result_kept_at_the_executor");
    ObjectRecord& o = node_->objects_[object];
    o.shared = true;
    Known& known = known_[o.id];
    known.owner = members_.self();
    known.fetch = Fetch::kLocated;
    known.keeper = from;
    known.size = value.size;
    known.format = value.format;
    for (uint32_t inner : contained) node_->objects_.add_internal(inner);
    known.contained = std::move(contained);
    uint64_t version = borrowed_.begin_confirmed({o.id, from});
    settling->answer.kept.push_back({o.id, version, true});
    if (o.first_wait != kNoIndex || o.first_dependent != kNoIndex)
      wanted(object, PullClass::kRunningGet);
    for (const Member& asker : askers_[o.id]) {
      model::Located located;
      if (locate_answer(o.id, &located)) send(asker, located);
    }
    askers_.erase(o.id);
  }
}

// Nobody waits for it: an old attempt, a cancelled task, or a repetition. What is kept is told
// again, as it is by now.
void NodeCluster::answer_stale_done(const Member& from, const model::RemoteDone& m) {
  SUNDOG_PROBE("cluster.stale_done_answered");
  model::DoneHeld answer{m.task, m.attempt, {}};
  for (const auto& value : m.results) {
    ObjectId id{m.task, value.index};
    if (uint64_t version = borrowed_.version_of({id, from}))
      answer.kept.push_back({id, version, true});
  }
  send(from, std::move(answer));
}

void NodeCluster::try_settle() {
  for (auto at = settling_.begin(); at != settling_.end();) {
    bool sure = std::all_of(at->second.refs.begin(), at->second.refs.end(),
                            [&](const ObjectId& id) { return is_sure(id); });
    if (!sure) {
      SUNDOG_PROBE("cluster.held_waits_for_owners");
      ++at;
      continue;
    }
    send(std::get<0>(at->first), at->second.answer);
    at = settling_.erase(at);
  }
}

// ---------------------------------------------------------------- the executor's side

// Answers copies of what was answered before. False: nothing more is to be done.
bool NodeCluster::is_new_submission(const Member& from, const model::RemoteSubmit& m) {
  Seen& seen = seen_[from];
  seen.closed_below = std::max(seen.closed_below, m.closed_below);
  seen.answers.erase(seen.answers.begin(), seen.answers.lower_bound(seen.closed_below));
  if (m.sequence < seen.closed_below) {
    SUNDOG_PROBE("cluster.submit_came_after_its_end");
    return false;
  }
  auto answered = seen.answers.find(m.sequence);
  if (answered == seen.answers.end()) return true;
  SUNDOG_PROBE("cluster.submit_came_twice");
  if (answered->second) {
    send(from, model::Accepted{m.task, m.attempt});
  } else {
    send(from, model::RefusedTask{m.task, m.attempt, "no room now"});
  }
  return false;
}

void NodeCluster::on_message(const Member& from, const model::RemoteSubmit& m) {
  if (!is_new_submission(from, m)) return;
  std::pair key{from, m.task};
  auto found = execs_.find(key);
  if (found != execs_.end() && found->second.finished) {
    // The owner has the end of that attempt, or it would not begin another.
    SUNDOG_PROBE("cluster.next_attempt_before_done_held");
    forget_exec(from, m.task, {m.task, found->second.attempt, {}});
    found = execs_.end();
  }
  model::ResourceSet needs;
  for (const auto& a : m.resources) needs.set(node_->names_.intern(a.name), a.amount);
  bool full = node_->scheduler_.ready().total() >= config_.spill_queue;
  if (found != execs_.end() || full || !node_->scheduler_.total().covers(needs) ||
      node_->tasks_.find(m.task) != kNoIndex) {
    seen_[from].answers[m.sequence] = false;
    return send(from, model::RefusedTask{m.task, m.attempt, "no room now"});
  }
  seen_[from].answers[m.sequence] = true;
  Exec& exec = execs_[key];
  exec.attempt = m.attempt;
  foreign_jobs_.try_emplace(m.task.job(), from);
  uint32_t index = create_foreign(from, m, &exec);
  send(from, model::Accepted{m.task, m.attempt});
  if (node_->jobs_[m.task.job()].ended)
    return node_->fail_task(index, ErrorKind::kTaskCancelled, "its driver has ended");
  wanted_by_task(index);
  if (node_->tasks_[index].unready == 0) node_->arguments_ready(index);
}

uint32_t NodeCluster::create_foreign(const Member& from, const model::RemoteSubmit& m, Exec* exec) {
  TaskTemplate tmpl;
  tmpl.job = m.task.job();
  tmpl.language = m.language;
  tmpl.function = m.function.id;
  tmpl.name = m.name;
  tmpl.title = m.name;
  tmpl.source = m.source;
  for (const auto& a : m.resources) tmpl.resources.set(node_->names_.intern(a.name), a.amount);
  tmpl.max_retries = 0;  // the owner decides on retries
  tmpl.retry_exceptions = m.retry_exceptions;
  tmpl.priority = m.priority;
  tmpl.runtime_env = m.runtime_env;
  tmpl.shape = node_->scheduler_.intern_shape(tmpl);
  ObjectTable& objects = node_->objects_;
  if (!m.function.id.is_nil()) {
    uint32_t function = adopt(m.function);
    exec->refs.push_back(m.function.id);
    Job& job = node_->job(m.task.job());
    if (!job.ended && std::find(job.held.begin(), job.held.end(), function) == job.held.end()) {
      objects.add_internal(function);
      job.held.push_back(function);
    }
  }
  std::vector<ObjectId> refs, contained;
  for (const auto& ref : m.refs) refs.push_back(ref.id);
  for (const auto& ref : m.contained) contained.push_back(ref.id);
  model::Submit submit{.task = m.task,
                       .parent = m.parent,
                       .actor = {},
                       .parent_attempt = m.parent_attempt,
                       .template_id = 0,
                       .num_results = m.num_results,
                       .refs = refs,
                       .contained = contained,
                       .arguments = as_bytes(m.arguments)};
  uint32_t index = node_->tasks_.create(submit);
  TaskRecord& t = node_->tasks_[index];
  t.tmpl = node_->tasks_.intern_template(std::move(tmpl));
  t.foreign = true;
  t.attempt = m.attempt;
  t.submitter = peer(from);
  t.submitted = node_->now_;
  t.depth = 1;
  auto slots = t.all_indexes();
  size_t at = 0;
  for (uint32_t i = 0; i < m.num_results; ++i) {
    ObjectId id{m.task, i};
    uint32_t object = objects.find(id);
    if (object == kNoIndex) object = objects.create(id, node_->now_);
    objects[object].shared = true;
    objects[object].producer = index;
    known_[id].owner = from;
    slots[at++] = object;
  }
  for (const auto& ref : m.refs) {
    uint32_t object = adopt(ref);
    objects.add_internal(object);
    exec->refs.push_back(ref.id);
    slots[at++] = object;
    if (objects[object].ready) continue;
    node_->tasks_.add_edge(&objects[object].first_dependent, index);
    ++t.unready;
  }
  for (const auto& ref : m.contained) {
    uint32_t object = adopt(ref);
    objects.add_internal(object);
    exec->refs.push_back(ref.id);
    slots[at++] = object;
  }
  return index;
}

void NodeCluster::execution_crashed(uint32_t index, std::string_view sentence) {
  const TaskRecord& t = node_->tasks_[index];
  for (auto& [key, exec] : execs_) {
    if (key.second != t.id || exec.finished) continue;
    exec.crashed = true;
    exec.reason = std::string(sentence);
  }
}

void NodeCluster::executed(uint32_t index) {
  const TaskRecord& t = node_->tasks_[index];
  auto at = std::find_if(execs_.begin(), execs_.end(), [&](const auto& e) {
    return e.first.second == t.id && !e.second.finished;
  });
  if (at == execs_.end()) return;
  const Member& owner = at->first.first;
  Exec& exec = at->second;
  if (exec.abandoned && !members_.is_unsettled(owner)) {
    execs_.erase(at);
    return;
  }
  exec.finished = true;
  exec.done.task = t.id;
  exec.done.attempt = t.attempt;
  exec.done.crashed = exec.crashed;
  exec.done.reason = exec.reason;
  for (uint32_t i = 0; i < t.num_results && !exec.crashed; ++i) {
    uint32_t object = t.results()[i];
    ObjectRecord& o = node_->objects_[object];
    model::RemoteValue value;
    value.index = i;
    value.format = o.format;
    value.size = o.value().size();
    value.in_store = !o.extent.empty();
    value.contained = global_all(o.contained);
    exec.done.failed = exec.done.failed || o.format == Format::kTaskError;
    for (uint32_t inner : o.contained) {
      node_->objects_.add_internal(inner);
      exec.held.push_back(inner);
    }
    if (value.in_store) {
      node_->objects_.pin(object, peer(owner));
      exec.pinned.push_back(o.id);
    } else {
      value.bytes = o.bytes;
    }
    exec.done.results.push_back(std::move(value));
  }
}

// The end is told once every ref that stays here is confirmed: until then it is the owner's task
// that keeps it.
void NodeCluster::try_send_done() {
  for (auto& [key, exec] : execs_) {
    if (!exec.finished || exec.sent_once || exec.abandoned) continue;
    bool sure = std::all_of(exec.refs.begin(), exec.refs.end(),
                            [&](const ObjectId& id) { return is_sure(id); });
    if (!sure) {
      SUNDOG_PROBE("cluster.done_waits_for_owners");
      continue;
    }
    exec.sent_once = true;
    exec.sent = node_->now_;
    send(key.first, exec.done);
  }
}

void NodeCluster::on_message(const Member& from, const model::DoneHeld& m) {
  auto found = execs_.find({from, m.task});
  if (found == execs_.end() || !found->second.finished || found->second.attempt != m.attempt) {
    SUNDOG_PROBE("cluster.done_held_twice");
    return;
  }
  forget_exec(from, m.task, m);
}

void NodeCluster::forget_exec(const Member& owner, const TaskId& task,
                              const model::DoneHeld& answer) {
  auto found = execs_.find({owner, task});
  Exec exec = std::move(found->second);
  execs_.erase(found);
  for (const ObjectId& id : exec.pinned) {
    auto kept = std::find_if(answer.kept.begin(), answer.kept.end(),
                             [&](const model::BorrowUpdate& k) { return k.id == id; });
    bool stays = kept != answer.kept.end() && lent_.update(owner, id, kept->version, true, true) ==
                                                  OwnerBorrows::Outcome::kTaken;
    uint32_t object = node_->objects_.find(id);
    if (!stays && object != kNoIndex) node_->objects_.unpin(object, peer(owner), 1);
  }
  for (uint32_t inner : exec.held) node_->objects_.drop_internal(inner);
}

}  // namespace sundog::core
