// NodeCore: placement groups (docs/design/0012-placement-groups.md): who runs in which, what their
// end does to tasks and actors, and what people are told of them.
#include <algorithm>

#include "base/json.h"
#include "base/probe.h"
#include "core/held_resources.h"
#include "core/node_core.h"

namespace sundog::core {

using model::CancelLevel;
using model::ErrorKind;
using model::Format;

namespace {

// Amounts stay so small that those of all bundles can be added.
constexpr int64_t kSumMax = int64_t{1} << 60;

bool task_from_hex(std::string_view hex, TaskId* id) {
  ObjectId object;
  if (!ObjectId::from_hex(std::string(hex) + "00000000", &object)) return false;
  *id = object.task;
  return true;
}

const char* strategy_name(model::GroupStrategy strategy) {
  switch (strategy) {
    case model::GroupStrategy::kPack:
      return "PACK";
    case model::GroupStrategy::kSpread:
      return "SPREAD";
    case model::GroupStrategy::kStrictPack:
      return "STRICT_PACK";
    case model::GroupStrategy::kStrictSpread:
      return "STRICT_SPREAD";
  }
  return "?";
}

}  // namespace

// ---------------------------------------------------------------- life

void NodeCore::on_message(Client& c, const model::CreatePlacementGroup& m) {
  if (!speaks_for(c, m.group.job()))
    return violation(c, "a placement group's id belongs to another job");
  if (objects_.find({m.group, 0}) != kNoIndex || tasks_.find(m.group) != kNoIndex)
    return violation(c, "a placement group's id is taken");
  const uint32_t parent = tasks_.find(m.parent);
  PlacementGroup g;
  g.id = m.group;
  g.creator = m.parent;
  g.strategy = m.strategy;
  g.detached = m.detached;
  g.outlives_job = m.detached || (c.actor != kNoIndex && actors_[c.actor].outlives_job) ||
                   (parent != kNoIndex && tasks_[parent].outlives_job);
  g.name_space = m.name_space;
  g.name = m.name;
  g.created = now_;
  g.ready_format = m.ready.format;
  g.ready_bytes = to_string(m.ready.bytes);
  g.object = objects_.create({m.group, 0}, now_);
  const uint32_t object = g.object;
  objects_[object].submitter = c.id;
  objects_.add_refs(object, c.id, 1);
  size_t at = 0;
  model::ResourceSet sum;
  for (uint32_t of_one : m.bundles) {
    Bundle& bundle = g.bundles.emplace_back();
    for (const auto& r : m.resources.subspan(at, of_one)) {
      const model::ResourceId id = names_.intern(r.name);
      const int64_t before = sum.get(id) - bundle.total.get(id);  // a name twice: the last counts
      bundle.total.set(id, std::min(r.amount, kSumMax - before));
      sum.set(id, before + bundle.total.get(id));
    }
    at += of_one;
  }
  const bool over = jobs_[m.group.job()].ended && !g.outlives_job;
  const bool taken =
      !g.name.empty() && scheduler_.groups().find_named(g.name_space, g.name) != kNoIndex;
  if (over || taken) {
    SUNDOG_PROBE("groups.name_is_taken");
    const std::string bytes = config_.encode_error(
        {ErrorKind::kTaskGroupRemoved,
         m.group,
         {},
         group_label(g) + " was not made: " +
             (over ? "the driver of its job has ended" : "its name is another one's")});
    model::ValueView error;
    error.format = Format::kSystemError;
    error.bytes = as_bytes(bytes);
    return object_ready(object, error, {});
  }
  objects_.add_internal(object);
  const uint32_t group = scheduler_.create_group(std::move(g));
  if (scheduler_.groups().feasible(group)) return;
  SUNDOG_PROBE("groups.infeasible");
  const PlacementGroup& waits = scheduler_.groups()[group];
  notice(m.group.job(), 1,
         group_label(waits) + " cannot be ready: " + why_group_waits(waits) +
             ". It waits until it is removed; sundog.init(...) sets what this machine has.");
}

// What fits now is reserved, and whoever waits for it is told.
bool NodeCore::reserve_groups() {
  std::vector<uint32_t> ready;
  scheduler_.reserve_groups(&ready);
  for (uint32_t index : ready) {
    PlacementGroup& g = scheduler_.group(index);
    g.became_ready = now_;
    model::ValueView value;
    value.format = g.ready_format;
    value.bytes = as_bytes(g.ready_bytes);
    object_ready(g.object, value, {});
  }
  return !ready.empty();
}

void NodeCore::on_message(Client& c, const model::RemovePlacementGroup& m) {
  const uint32_t group = scheduler_.groups().find(m.group);
  if (group == kNoIndex) return;  // it is gone
  remove_group(group, "it was removed by the " +
                          std::string(c.role == model::Role::kWorker ? "worker" : "program") +
                          " with pid " + std::to_string(c.pid));
}

void NodeCore::remove_groups_of(JobId ended) {
  const bool all = jobs_[ended].detached == 0;
  for (uint32_t i = 0; i < scheduler_.groups().end(); ++i) {
    const PlacementGroup& g = scheduler_.groups()[i];
    if (!g.live || g.state == GroupState::kRemoved || g.id.job() != ended || g.detached) continue;
    if (all || !g.outlives_job) remove_group(i, "the driver of its job has ended");
  }
}

// Ends what runs in it: tasks as by cancel(force=True), actors as by kill().
void NodeCore::remove_group(uint32_t index, std::string_view why) {
  const PlacementGroup& g = scheduler_.groups()[index];
  const std::string label = group_label(g);
  if (!objects_[g.object].ready) {
    const std::string bytes = config_.encode_error(
        {ErrorKind::kTaskGroupRemoved, g.id, {}, label + " was never ready: " + std::string(why)});
    model::ValueView error;
    error.format = Format::kSystemError;
    error.bytes = as_bytes(bytes);
    object_ready(g.object, error, {});
  } else if (Client* maker = client(objects_[g.object].submitter);
             maker != nullptr && objects_[g.object].refs.count(maker->id) > 0) {
    SUNDOG_PROBE("groups.maker_is_told");
    send(maker->id, model::GroupRemoved{g.id});
  }
  objects_.drop_internal(g.object);
  scheduler_.remove_group(index);
  if (g.holders == 0) return;
  for (uint32_t i = 0; i < actors_.end(); ++i) {
    if (!actors_[i].live || actors_[i].state == ActorState::kDead ||
        actors_[i].placement_group != g.id)
      continue;
    SUNDOG_PROBE("groups.actor_ended_with_it");
    kill_actor_process(i, "its placement group was removed");
    end_actor(i, {"its " + label + " was removed", {}, {}, ErrorKind::kActorGroupRemoved});
  }
  for (uint32_t i = 0; i < tasks_.end(); ++i) {
    if (!tasks_[i].live || tasks_[i].placement != index ||
        tasks_[i].kind == model::CallKind::kCreateActor)
      continue;
    SUNDOG_PROBE("groups.task_ended_with_it");
    cancel_one(i, {CancelLevel::kKill, 0, CancelReason::kGroupRemoved});
  }
}

// ---------------------------------------------------------------- who runs in which

NodeCore::Surroundings NodeCore::surroundings_of(const Client& c, uint32_t task) const {
  uint32_t actor = c.actor;
  if (task != kNoIndex) {
    const TaskRecord& t = tasks_[task];
    if (t.kind == model::CallKind::kTask) {
      if (t.placement == kNoIndex) return {{}, t.captures};
      return {scheduler_.groups()[t.placement].id, t.captures};
    }
    actor = t.actor;
  }
  if (actor == kNoIndex) return {};
  return {actors_[actor].placement_group, actors_[actor].captures};
}

bool NodeCore::join_group(const Client& c, uint32_t index, uint32_t parent) {
  TaskRecord& t = tasks_[index];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  const Surroundings around = surroundings_of(c, parent);
  t.captures = tmpl.capture_children == model::CaptureChildren::kAsParent
                   ? around.captures
                   : tmpl.capture_children == model::CaptureChildren::kYes;
  TaskId id = tmpl.placement_group;
  if (id.is_nil() && !tmpl.outside_groups && t.captures) id = around.group;
  const bool is_actor = t.kind == model::CallKind::kCreateActor;
  if (is_actor) {
    actors_[t.actor].placement_group = id;
    actors_[t.actor].captures = t.captures;
  }
  if (id.is_nil()) return true;
  const uint32_t group = scheduler_.groups().find(id);
  if (group == kNoIndex) {
    SUNDOG_PROBE("groups.sent_to_one_that_is_gone");
    fail_outside(index, is_actor ? ErrorKind::kActorGroupRemoved : ErrorKind::kTaskGroupRemoved,
                 "its placement group (" + id.hex().substr(8, 8) +
                     ") was removed before it was submitted, or belongs to another session");
    return false;
  }
  const PlacementGroup& g = scheduler_.groups()[group];
  if (!scheduler_.groups().could_hold(group, tmpl.bundle, tmpl.resources)) {
    SUNDOG_PROBE("groups.sent_to_one_that_is_too_small");
    const std::string where =
        tmpl.bundle < 0 ? "no bundle" : "bundle " + std::to_string(tmpl.bundle);
    fail_outside(index, ErrorKind::kTaskUnschedulable,
                 "it needs " + describe_amounts(tmpl.resources) + ", and " + where + " of its " +
                     group_label(g) +
                     " has that: ask for less, or run it outside with placement_group=None");
    return false;
  }
  scheduler_.join_group(index, group, tmpl.bundle);
  return true;
}

// An actor that cannot be made, or a task.
void NodeCore::fail_outside(uint32_t index, ErrorKind kind, const std::string& sentence) {
  const uint32_t actor = tasks_[index].actor;
  if (tasks_[index].kind != model::CallKind::kCreateActor) return fail_task(index, kind, sentence);
  const bool removed = kind == ErrorKind::kActorGroupRemoved;
  end_actor(actor, {sentence, {}, {}, removed ? kind : ErrorKind::kActorDied});
}

// ---------------------------------------------------------------- telling

std::string NodeCore::group_label(const PlacementGroup& g) const {
  return "placement group " + (g.name.empty() ? "" : "'" + g.name + "' ") + "(" +
         g.id.hex().substr(8, 8) + ")";
}

std::string NodeCore::describe_amounts(const model::ResourceSet& amounts) const {
  std::string text;
  for (const auto& e : amounts.entries()) {
    if (!text.empty()) text += " and ";
    text += model::format_amount(e.amount, e.id) + " " + names_.name(e.id);
  }
  return text.empty() ? "nothing" : text;
}

std::string NodeCore::why_group_waits(const PlacementGroup& g) const {
  if (g.strategy == model::GroupStrategy::kStrictSpread && g.bundles.size() > 1)
    return "STRICT_SPREAD puts each of its " + std::to_string(g.bundles.size()) +
           " bundles on a node of its own, and this session has one node";
  std::string never, now;
  for (const auto& need : g.sum.entries()) {
    const std::string what =
        model::format_amount(need.amount, need.id) + " " + names_.name(need.id);
    const int64_t have = scheduler_.total().get(need.id);
    const int64_t free = std::max<int64_t>(scheduler_.available().get(need.id), 0);
    if (have < need.amount)
      never += (never.empty() ? "" : " and ") + ("its bundles need " + what) +
               " in all, this session has " + model::format_amount(have, need.id);
    else if (free < need.amount)
      now += (now.empty() ? "" : " and ") + ("its bundles need " + what) + " in all, " +
             model::format_amount(free, need.id) + " of " + model::format_amount(have, need.id) +
             " are free" + held_for_long(*this, need.id);
  }
  if (!never.empty()) return never;
  return now.empty() ? "its GPUs are free only in pieces" : now;
}

std::string NodeCore::explain_in_group(const TaskRecord& t) const {
  const PlacementGroup& g = scheduler_.groups()[t.placement];
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  if (g.state == GroupState::kPending)
    return "its " + group_label(g) + " is not ready: " + why_group_waits(g);
  std::string text = "it needs " + describe_amounts(tmpl.resources) + " in ";
  if (tmpl.bundle >= 0) {
    const Bundle& b = g.bundles[static_cast<size_t>(tmpl.bundle)];
    return text + "bundle " + std::to_string(tmpl.bundle) + " of " + group_label(g) + ", where " +
           describe_amounts(b.available) + " of " + describe_amounts(b.total) + " are free";
  }
  const size_t bundles = g.bundles.size();
  return text + "a bundle of " + group_label(g) + ", and " +
         (bundles == 1 ? "its only one has" : "none of its " + std::to_string(bundles) + " has") +
         " that free now";
}

std::string NodeCore::groups_json(const Client& c, std::string_view argument) const {
  const PlacementGroups& all = scheduler_.groups();
  std::vector<uint32_t> shown;
  bool captures = false;
  auto rest_of = [&](std::string_view word) {
    return argument.starts_with(word) ? argument.substr(word.size()) : std::string_view{};
  };
  TaskId id;
  if (auto ready = rest_of("ready "); task_from_hex(ready, &id)) {  // asked often: not described
    const uint32_t index = all.find(id);
    return index != kNoIndex && all[index].state == GroupState::kReady ? "true" : "false";
  }
  if (argument.empty()) {
    for (uint32_t i = 0; i < all.end(); ++i)
      if (all[i].live && all[i].state != GroupState::kRemoved) shown.push_back(i);
  } else if (auto hex = rest_of("id "); task_from_hex(hex, &id)) {
    shown.push_back(all.find(id));
  } else if (auto task = rest_of("task "); task_from_hex(task, &id)) {
    const Surroundings around = surroundings_of(c, tasks_.find(id));
    captures = around.captures;
    shown.push_back(all.find(around.group));
  } else if (auto name = rest_of("name "); !name.empty()) {
    const size_t end = std::min(name.find('\n'), name.size() - 1);
    shown.push_back(
        all.find_named(std::string(name.substr(0, end)), std::string(name.substr(end + 1))));
  }
  std::erase(shown, kNoIndex);
  JsonWriter j;
  j.begin_object().field("captures", captures).key("groups").begin_array();
  auto amounts = [&](const model::ResourceSet& set) {
    j.begin_object();
    for (const auto& e : set.entries())
      j.field(names_.name(e.id), static_cast<double>(e.amount) / model::kResourceUnit);
    j.end_object();
  };
  for (uint32_t index : shown) {
    const PlacementGroup& g = all[index];
    const bool ready = g.state == GroupState::kReady;
    j.begin_object()
        .field("id", g.id.hex())
        .field("name", g.name)
        .field("namespace", g.name_space)
        .field("strategy", strategy_name(g.strategy))
        .field("ready", ready)
        .field("feasible", all.feasible(index))
        .field("reason", ready ? "" : why_group_waits(g))
        .field("detached", g.detached)
        .field("job", g.id.job().value)
        .field("creator", g.creator.hex())
        .field("waited_ms",
               static_cast<double>((ready ? g.became_ready : now_) - g.created) / kMillisecond);
    j.key("bundles").begin_array();
    for (const Bundle& b : g.bundles) amounts(b.total);
    j.end_array().key("available").begin_array();
    for (const Bundle& b : g.bundles) amounts(b.available);
    j.end_array().end_object();
  }
  j.end_array().end_object();
  return j.take();
}

}  // namespace sundog::core
