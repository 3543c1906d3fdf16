// NodeCore: the life of a task, from Submit to its last result.
#include <algorithm>

#include "base/probe.h"
#include "core/environment_text.h"
#include "core/node_core.h"

namespace sundog::core {
namespace {

bool fits(const Environments::Environment* environment, model::Language language) {
  return environment != nullptr && environment->description.starts_with(kCppEnvironment) ==
                                       (language == model::Language::kCpp);
}

}  // namespace

using model::ErrorKind;
using model::Format;

void NodeCore::on_message(Client& c, const model::DefineTemplate& m) {
  if (m.template_id > model::kTemplatesMax) return violation(c, "it defines too many templates");
  if (m.runtime_env != 0 && !fits(environments_.find(m.runtime_env), m.language))
    return violation(c, "a template names a runtime environment that it cannot have");
  TaskTemplate t;
  t.job = c.job;
  t.language = m.language;
  t.function = m.function;
  t.name = m.name;
  t.title = t.name + (m.kind == model::CallKind::kCreateActor ? ".__init__" : "");
  t.source = m.source;
  for (const auto& r : m.resources)
    if (r.amount > 0) t.resources.set(names_.intern(r.name), r.amount);
  t.kind = m.kind;
  t.method = m.method;
  t.max_restarts = m.max_restarts;
  t.detached = m.detached;
  t.max_concurrency = m.max_concurrency;
  for (const auto& g : m.groups)
    t.groups.emplace_back(std::string(g.name), static_cast<uint32_t>(g.amount));
  t.out_of_order = m.out_of_order;
  t.group = m.group;
  t.returns = m.returns;
  t.stream_items = m.stream_items;
  for (const auto& r : m.lifetime) {
    if (r.amount <= 0) continue;
    model::ResourceId id = names_.intern(r.name);
    t.lifetime.set(id, r.amount);
    t.resources.set(id, std::max(r.amount, t.resources.get(id)));
  }
  t.max_retries = m.max_retries;
  t.retry_exceptions = m.retry_exceptions;
  t.priority = m.priority;
  t.runtime_env = m.runtime_env;
  t.timeout = m.timeout_ns;
  t.max_calls = m.max_calls;
  t.placement_group = m.placement_group;
  t.bundle = m.bundle;
  t.capture_children = m.capture_children;
  t.outside_groups = m.outside_groups;
  t.unrecorded = m.unrecorded;
  t.names_group = !m.placement_group.is_nil() || m.bundle >= 0 || m.outside_groups ||
                  m.capture_children != model::CaptureChildren::kAsParent;
  t.shape = scheduler_.intern_shape(t);
  uint32_t index = tasks_.intern_template(std::move(t));
  if (m.template_id >= c.templates.size() || c.templates[m.template_id] == kNoIndex)
    c.templates.resize(m.template_id + 1, kNoIndex);
  c.templates[m.template_id] = index;
}

void NodeCore::on_message(Client& c, const model::Submit& m) {
  if (m.template_id >= c.templates.size() || c.templates[m.template_id] == kNoIndex)
    return violation(c, "a task names a template that it never defined");
  if (!speaks_for(c, m.task.job())) return violation(c, "a task's id belongs to another job");
  if (m.num_results > model::kResultsMax) return violation(c, "a task has too many results");
  const TaskTemplate& own_tmpl = tasks_.tmpl(c.templates[m.template_id]);
  const model::CallKind kind = own_tmpl.kind;
  if (kind == model::CallKind::kCreateActor && m.num_results != 1)
    return violation(c, "the creation of an actor has one result, its handle");
  const bool streams = own_tmpl.returns == model::Returns::kStream;
  if (streams && (m.num_results != 1 || kind == model::CallKind::kCreateActor))
    return violation(c, "a call that streams has one result, which tells its end");

  const uint32_t index = tasks_.try_create(m);
  if (index == kNoIndex) return violation(c, "a task's id is taken");
  TaskRecord& t = tasks_[index];
  t.tmpl = template_for(c.templates[m.template_id], m.task.job());
  t.kind = kind;
  t.submitter = c.id;
  t.submitted = now_;
  uint32_t parent = tasks_.find(m.parent);
  t.depth =
      parent == kNoIndex ? 1 : static_cast<uint16_t>(std::min(tasks_[parent].depth + 1, 60'000));
  if (parent != kNoIndex) tasks_[parent].has_children = true;

  auto slots = t.all_indexes();
  size_t at = 0;
  for (uint32_t i = 0; i < m.num_results; ++i) {
    const uint32_t object = objects_.try_create({m.task, i}, now_);
    if (object == kNoIndex) {
      take_back_results(c, slots.first(i));
      tasks_.release(index);
      return violation(c, "a result's id is taken");
    }
    ObjectRecord& result = objects_[object];
    result.submitter = c.id;
    result.producer = index;
    result.refs.add(c.id, 1);
    slots[at++] = object;
  }
  if (streams) begin_stream(index);
  for (const ObjectId& id : m.refs) {
    uint32_t object = find_or_lost(id);
    objects_.add_internal(object);
    slots[at++] = object;
    if (objects_[object].ready) continue;
    tasks_.add_edge(&objects_[object].first_dependent, index);
    ++t.unready;
  }
  for (const ObjectId& id : m.contained) {
    uint32_t object = find_or_lost(id);
    objects_.add_internal(object);
    slots[at++] = object;
  }
  t.outlives_job =
      (kind == model::CallKind::kCreateActor && tasks_.tmpl_of(t).detached) ||
      (c.actor != kNoIndex && actors_[c.actor].outlives_job && c.job == m.task.job()) ||
      (parent != kNoIndex && tasks_[parent].outlives_job);
  if (kind == model::CallKind::kMethod) return begin_call(index, m.actor);
  const bool over = is_over(t);
  if (kind == model::CallKind::kCreateActor) begin_actor(index);
  if (over) return fail_task(index, ErrorKind::kTaskCancelled, "its driver has ended");
  // A cancelled task may still tell actors that it ends.
  if (kind == model::CallKind::kTask && parent != kNoIndex && tasks_[parent].cancels_children)
    return fail_cancelled(index, CancelReason::kParent, false);
  // Children of what a removed group had still are its own, and fail.
  const bool captured = (parent != kNoIndex && tasks_[parent].captures) ||
                        (c.actor != kNoIndex && actors_[c.actor].captures);
  const bool grouped = tasks_.tmpl_of(t).names_group || scheduler_.groups().live() > 0 || captured;
  if (grouped && !join_group(c, index, parent)) return;
  if (is_unplaceable(index)) return;
  if (cluster_ && t.unready > 0) cluster_->wanted_by_task(index);
  if (t.unready == 0) arguments_ready(index);
}

// Of a task that cannot be made: nobody refers to them any more.
void NodeCore::take_back_results(Client& c, std::span<const uint32_t> results) {
  for (uint32_t object : results) {
    objects_[object].producer = kNoIndex;
    objects_.drop_refs(object, c.id, 1);
  }
}

// The template as the task's job has it: a worker that serves every job defines its own without
// one.
uint32_t NodeCore::template_in_job(uint32_t index, JobId id) {
  TaskTemplate t = tasks_.tmpl(index);
  t.job = id;
  t.average_ns = 0;
  t.samples = 0;
  t.shape = scheduler_.intern_shape(t);
  return tasks_.intern_template(std::move(t));
}

// All arguments are there.
void NodeCore::arguments_ready(uint32_t index) {
  TaskRecord& t = tasks_[index];
  t.became_ready = now_;
  if (argument_failed(index)) return;
  if (t.kind == model::CallKind::kMethod) {
    t.state = TaskState::kAtActor;
    return actors_.arguments_came(index);
  }
  bool stays = t.kind == model::CallKind::kCreateActor || t.outlives_job || t.stream != kNoIndex ||
               tasks_.tmpl_of(t).runtime_env != 0 || t.placement != kNoIndex;
  if (!stays && cluster_ && cluster_->offload(index)) return;
  scheduler_.enqueue(index);
}

// An argument that is an error becomes the task's own.
bool NodeCore::some_argument_failed(uint32_t index) {
  const TaskRecord& t = tasks_[index];
  for (uint32_t r : t.refs()) {
    const ObjectRecord& argument = objects_[r];
    if (!is_error(argument.format)) continue;
    if (!argument.extent.empty()) {
      fail_task(index, ErrorKind::kTaskCancelled,
                "its argument ObjectRef(" + argument.id.hex() +
                    ") is an error; get() that one to see it");
      return true;
    }
    SUNDOG_PROBE("tasks.argument_is_an_error");
    std::string bytes = argument.bytes;
    fail_task_with(index, argument.format, bytes);
    return true;
  }
  return false;
}

void NodeCore::assign(const Action& a) {
  const TaskRecord& t = tasks_[a.task];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  if (t.kind == model::CallKind::kCreateActor) actor_creating(a);
  auto& e = begin_message<model::Execute>(a.worker);
  e.slot = a.slot;
  e.generation = a.generation;
  e.task = t.id;
  e.attempt = t.attempt;
  e.num_results = t.num_results;
  e.function = tmpl.function;
  e.name = tmpl.name;
  e.kind = t.kind;
  e.method = tmpl.method;
  if (t.actor != kNoIndex) {
    const ActorRecord& actor = actors_[t.actor];
    e.actor = actor.handle;
    const bool creates = t.kind == model::CallKind::kCreateActor;
    e.group = creates ? static_cast<uint16_t>(actor.groups.size() - 1) : t.group;
    e.concurrency = static_cast<uint16_t>(actor.groups[creates ? 0 : t.group].limit);
  }
  e.retry_exceptions = tmpl.retry_exceptions;
  e.cpus = tmpl.cpus;
  e.arguments = t.arguments();
  e.returns = tmpl.returns;
  if (t.stream != kNoIndex) {
    const StreamAmount credit = streams_.credit(t.stream, 0);
    e.stream_items = credit.items;
    e.stream_bytes = credit.bytes;
  }
  if (tmpl.timeout > 0) {
    tasks_[a.task].has_deadline = true;
    cancelling_.set_deadline(a.task, now_ + tmpl.timeout);
  }
  if (t.num_refs > 0) {
    kept_something_ = true;
    auto& arguments = kept_arguments_.emplace_back();
    arguments.reserve(t.num_refs);
    for (uint32_t r : t.refs()) {
      ObjectRecord& o = objects_[r];
      arguments.push_back({o.id, o.value()});
      if (!o.extent.empty()) objects_.pin(r, a.worker);
      objects_.viewed(r);
    }
    e.refs = arguments;
  }
}

void NodeCore::on_message(Client& c, const model::Results& m) {
  uint32_t index = tasks_.find(m.task);
  bool current =
      index != kNoIndex && tasks_[index].worker == c.id && tasks_[index].attempt == m.attempt;
  if (!current) return discard_results(c, m.results);
  accept_results(c, index, m.results);
}

void NodeCore::on_message(Client& c, const model::Done& m) {
  uint32_t index = scheduler_.task_at(c.id, m.slot);
  bool current =
      index != kNoIndex && tasks_[index].id == m.task && tasks_[index].attempt == m.attempt;
  if (!current) return discard_results(c, m.results);
  TaskRecord& t = tasks_[index];
  if (t.kind == model::CallKind::kCreateActor) return creation_done(c, index, m);
  uint32_t tmpl_index = t.tmpl;
  const TaskTemplate& tmpl = tasks_.tmpl(tmpl_index);
  // Times come from another process: only a sane length is learnt.
  if (m.finished >= m.started && m.finished <= now_ + kSecond)
    tasks_.learn_duration(tmpl_index, m.finished - m.started);
  scheduler_.task_done(c.id, index, now_);
  if (tmpl.max_calls > 0) count_call(c, tmpl);
  const uint32_t its_actor = t.actor;
  if (its_actor != kNoIndex) actors_.answered(index);
  if (t.cancelling && m.failed) return cancelled_task_done(c, index, m);
  bool again = m.failed && m.retry && tmpl.retry_exceptions && !is_over(t) && !m.exiting &&
               !is_unwanted(t) &&
               (tmpl.max_retries < 0 || t.failures < static_cast<uint32_t>(tmpl.max_retries));
  if (again) {
    SUNDOG_PROBE("tasks.exception_retried");
    record(t, model::Outcome::kRetried, c.pid, m.started, m.finished, error_in(m.results));
    discard_results(c, m.results);
    ++t.failures;
    ++t.attempt;
    t.results_seen = 0;
    t.worker = ClientId{};
    end_deadline(index);
    return retry(index);
  }
  if (!accept_results(c, index, m.results)) return;
  record(t, m.failed ? model::Outcome::kFailed : model::Outcome::kFinished, c.pid, m.started,
         m.finished, m.failed ? error_in(m.results) : model::ValueView{});
  for (uint32_t object : t.results()) {
    if (objects_[object].ready) continue;
    fail_task(index, ErrorKind::kWorkerCrashed,
              "it ended without all of its results; this is a defect of the worker's runtime");
    return;
  }
  finish_task(index);
  if (m.exiting && its_actor != kNoIndex) {
    end_actor(its_actor, {"it called exit_actor()", {}, {}});
    stop_actor_process(its_actor, "its actor called exit_actor()");
  }
}

// An attempt raised, and another one is allowed.
void NodeCore::retry(uint32_t index) {
  const TaskRecord& t = tasks_[index];
  if (t.kind != model::CallKind::kMethod) return scheduler_.enqueue(index);
  if (actors_[t.actor].state == ActorState::kDead) return fail_call(index);
  actors_.push_front(index);
}

bool NodeCore::accept_results(Client& c, uint32_t index,
                              std::span<const model::ResultView> results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const model::ResultView& r = results[i];
    TaskRecord& t = tasks_[index];
    if (t.stream != kNoIndex && r.index > 0) {
      if (!accept_item(c, index, r)) discard_results(c, results.subspan(i, 1));
      continue;
    }
    if (r.index >= t.num_results) {
      violation(c, "a result's index is out of range");
      discard_results(c, results.subspan(i));
      return true;
    }
    uint32_t object = t.results()[r.index];
    if (objects_[object].ready) {  // an earlier attempt delivered it: the first value stays
      discard_results(c, results.subspan(i, 1));
      continue;
    }
    if (r.value.in_extent() && !take_grant(c, r.value.extent)) {
      violation(c, "a result lies in memory that was not granted");
      return true;
    }
    object_ready(object, r.value,
                 r.contained.empty() ? std::vector<uint32_t>{} : find_all(r.contained));
  }
  return true;
}

// Results that nobody wants (old attempt, retry): what was granted for them is free again.
void NodeCore::discard_results(Client& c, std::span<const model::ResultView> results) {
  SUNDOG_PROBE("tasks.results_discarded");
  for (const auto& r : results)
    if (r.value.in_extent()) on_message(c, model::Abandon{r.value.extent});
}

// ---------------------------------------------------------------- the end of a task

void NodeCore::worker_crashed(uint32_t index, const model::DeathCause& cause, uint32_t pid) {
  TaskRecord& t = tasks_[index];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  ++t.failures;
  record(t, model::Outcome::kCrashed, pid, t.offered, now_);
  if (is_over(t)) return fail_task(index, ErrorKind::kTaskCancelled, "its driver has ended");
  if (is_unwanted(t))
    return fail_task(index, ErrorKind::kTaskCancelled, "its generator was closed");
  if (t.cancelling) return fail_cancelled(index, cancelling_.reason(index), true);
  if (tmpl.max_retries < 0 || t.failures <= static_cast<uint32_t>(tmpl.max_retries)) {
    ++t.attempt;
    t.results_seen = 0;
    end_deadline(index);
    scheduler_.enqueue(index);
    return;
  }
  std::string sentence = describe_cause(cause, pid);
  if (t.failures > 1) sentence += " It was tried " + std::to_string(t.failures) + " times.";
  auto kind = cause.kind == model::DeathCause::Kind::kOutOfMemory ? ErrorKind::kOutOfMemory
                                                                  : ErrorKind::kWorkerCrashed;
  if (t.foreign) cluster_->execution_crashed(index, sentence);
  fail_task(index, kind, sentence);
}

void NodeCore::fail_task(uint32_t index, ErrorKind kind, std::string_view sentence) {
  const TaskRecord& t = tasks_[index];
  const std::string_view error =
      keep(config_.encode_error({kind, t.id, tasks_.tmpl_of(t).title, sentence}));
  record_unbegun(
      index,
      kind == ErrorKind::kTaskCancelled ? model::Outcome::kCancelled : model::Outcome::kFailed,
      Format::kSystemError, error);
  fail_task_with(index, Format::kSystemError, error);
}

void NodeCore::fail_task_with(uint32_t index, Format format, std::string_view bytes) {
  TaskRecord& t = tasks_[index];
  record_unbegun(index, model::Outcome::kFailed, format, bytes);
  if (t.kind == model::CallKind::kCreateActor) creation_failed(index, format, bytes);
  if (t.queued) scheduler_.forget(index);
  if (t.kind == model::CallKind::kMethod && t.actor != kNoIndex && actors_.is_listed(index))
    actors_.remove(index);
  if (t.state == TaskState::kWaiting)
    for (uint32_t r : t.refs()) tasks_.remove_edges(&objects_[r].first_dependent, index);
  model::ValueView error;
  error.format = format;
  error.bytes = as_bytes(bytes);
  std::vector<uint32_t> results(t.results().begin(), t.results().end());
  for (uint32_t object : results)
    if (!objects_[object].ready) object_ready(object, error, {});
  finish_task(index);
}

// Its results are all there: gives back what the task held and forgets it.
void NodeCore::finish_task(uint32_t index) {
  TaskRecord& t = tasks_[index];
  if (t.foreign) cluster_->executed(index);
  if (t.state == TaskState::kRemote) cluster_->run_ended(t.id);
  if (t.stream != kNoIndex) end_stream(index);
  for (uint32_t object : t.results()) {
    objects_[object].producer = kNoIndex;
    if (!objects_[object].referenced()) objects_.suspect(object);
  }
  release_task(index);
}

void NodeCore::release_task(uint32_t index) {
  const TaskRecord& t = tasks_[index];
  if (t.cancelling || t.has_deadline) cancelling_.forget(index);
  if (t.handle != kNoIndex) objects_.drop_internal(t.handle);
  if (t.placement != kNoIndex) scheduler_.leave_group(index);
  if (t.kind == model::CallKind::kCreateActor && t.actor != kNoIndex)
    actors_[t.actor].creation = kNoIndex;
  for (uint32_t r : t.refs()) objects_.drop_internal(r);
  for (uint32_t r : t.contained()) objects_.drop_internal(r);
  tasks_.release(index);
}

void NodeCore::record(TaskRecord& t, model::Outcome outcome, uint32_t pid, TimeNs started,
                      TimeNs finished, const model::ValueView& error) {
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  t.recorded = t.attempt + 1;
  if (tmpl.unrecorded) return;
  effects_->emplace_back(std::in_place_type<RecordTask>);
  model::TaskEvent& e = std::get_if<RecordTask>(&effects_->back())->event;
  e.task = t.id;
  e.parent = t.parent;
  if (t.kind == model::CallKind::kMethod && t.actor != kNoIndex)
    e.actor = actors_[t.actor].handle.task;
  e.attempt = t.attempt;
  e.tmpl = t.tmpl;
  e.name = tmpl.title;
  e.error = error;
  e.worker_pid = pid;
  e.outcome = outcome;
  e.submitted = t.submitted;
  e.ready = t.became_ready;
  e.offered = t.offered;
  e.started = started;
  e.finished = finished;
  if (t.num_refs == 0) return;
  kept_something_ = true;
  std::vector<TaskId>& inputs = kept_inputs_.emplace_back();
  for (uint32_t r : t.refs()) {
    if (inputs.size() == model::kTaskEventInputsMax) break;
    if (!objects_[r].id.is_put()) inputs.push_back(objects_[r].id.task);
  }
  e.inputs = inputs;
}

// It fails before this attempt began. Another node's task, and what ends with its program, is
// nobody's to look at here.
void NodeCore::record_unbegun(uint32_t index, model::Outcome outcome, Format format,
                              std::string_view error) {
  TaskRecord& t = tasks_[index];
  if (t.recorded > t.attempt || t.foreign || is_over(t)) return;
  record(t, outcome, 0, 0, now_, {format, {}, as_bytes(keep(std::string(error)))});
}

// The node that the task is bound to, if it is not this one; else empty.
std::string NodeCore::missing_node(const TaskTemplate& t) const {
  for (const auto& need : t.resources.entries()) {
    const std::string& name = names_.name(need.id);
    if (name.starts_with(model::kOnlyOnNode) && scheduler_.total().get(need.id) < need.amount)
      return name.substr(model::kOnlyOnNode.size());
  }
  return {};
}

// Fails what will never run (true), and tells the driver of what waits for more than there is.
bool NodeCore::is_unplaceable(uint32_t index) {
  const TaskRecord& t = tasks_[index];
  // In a cluster the controller knows what is infeasible; actors stay on their node.
  if (cluster_ && t.kind != model::CallKind::kCreateActor) return false;
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  if (t.placement == kNoIndex && !scheduler_.feasible(tmpl.shape)) {
    if (std::string node = missing_node(tmpl); !node.empty() && !cluster_) {
      std::string why = "it may run only on node " + node +
                        ", which is not in this session; with soft=True in its "
                        "NodeAffinitySchedulingStrategy it runs elsewhere";
      if (t.actor != kNoIndex) {
        end_actor(t.actor, {std::move(why), {}, {}});
      } else {
        fail_task(index, ErrorKind::kTaskUnschedulable, why);
      }
      return true;
    }
    notice(t.id.job(), 1,
           task_label(t) + " cannot run: " + missing_resources(tmpl) +
               ". It waits until a node with that joins; sundog.init(...) sets what this one has.");
  } else if (lacks_cpp_worker(tmpl)) {
    notice(t.id.job(), 1, task_label(t) + " waits for a C++ worker: none has joined this session.");
  }
  return false;
}

bool NodeCore::lacks_cpp_worker(const TaskTemplate& tmpl) const {
  return tmpl.language == model::Language::kCpp && !scheduler_.shape_has_workers(tmpl.shape) &&
         !scheduler_.pool_has_workers({JobId{}, tmpl.language, tmpl.runtime_env}) &&
         !scheduler_.pool_has_workers({JobId{}, tmpl.language, 0});  // whose program it starts, too
}

}  // namespace sundog::core
