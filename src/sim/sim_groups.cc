// What model processes do with placement groups: they make, await, use and remove them; and what
// only a node's shell can check of groups: who runs in which, and that nobody takes more than was
// reserved.
//
// Each group that is not detached is removed when its time is over, by its maker or by the driver
// of its job: a program may wait for whatever it likes and starves nobody for ever. Few detached
// ones hold anything, as with actors.
#include <algorithm>
#include <cstring>

#include "base/probe.h"
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

using core::GroupState;
using model::CallKind;
using model::CaptureChildren;

namespace {

constexpr int64_t kOne = model::kResourceUnit;
constexpr uint32_t kFirstInGroup = 2000;
constexpr uint32_t kDepthOfLeaves = 4;
constexpr size_t kGroupsMax = 3;  // of a process at once
constexpr const char* kNames[] = {"eve", "fay"};

struct InGroup {
  const char* name;
  int64_t cpu, gpu;  // 1/10000
  int32_t max_retries;
  bool retry_exceptions;
};
constexpr InGroup kTasks[] = {
    {"in_group", kOne, 0, 3, false},
    {"half_in_group", kOne / 2, 0, 1, false},
    {"light_in_group", 0, 0, 3, false},
    {"wide_in_group", 2 * kOne, 0, 0, false},
    {"stubborn_in_group", kOne, 0, 2, true},
    {"gpu_in_group", kOne, kOne, 2, false},
    {"half_gpu_in_group", kOne / 2, kOne / 2, 1, false},
};

struct MemberActor {
  const char* name;
  int64_t cpu, gpu, lifetime_cpu, lifetime_gpu;  // 1/10000
  int32_t max_restarts;
  bool detached;
};
constexpr MemberActor kMembers[] = {
    {"member", kOne, 0, 0, 0, 2, false},
    {"fragile_member", kOne / 2, 0, 0, 0, 0, false},
    {"detached_member", kOne, 0, 0, 0, 1, true},
    {"keeps_cpu_of_group", kOne, 0, kOne, 0, 1, false},
    {"keeps_gpu_of_group", kOne, kOne, 0, kOne, 1, false},
};

// Halves of GPUs may be free and yet not in one piece: only some runs have them.
bool has_halves(const SimConfig& config) { return config.seed % 3 == 0; }

}  // namespace

// ---------------------------------------------------------------- what makers do

void SimProcess::make_group(std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  const TaskId parent = running_ ? running_->task : TaskId::root_of(who_.job);
  const TaskId id =
      TaskId::make(who_.job, parent, running_ ? running_->attempt : 0, (1ull << 62) | ++calls_);
  GroupFacts facts;
  facts.node = node_->index();
  const bool holds_back = world.oracle.holding(facts.node) > 0 || world.config.cpus < 3;
  facts.detached = who_.role == model::Role::kDriver && !holds_back && random_.one_in(6);
  const bool too_much = !facts.detached && random_.one_in(10);
  std::vector<uint32_t> bundles;
  std::vector<model::NamedAmount> resources;
  GroupFacts::Amounts sum;
  for (uint64_t n = facts.detached ? 1 : 1 + random_.below(3); n > 0; --n) {
    GroupFacts::Amounts b;
    b.cpu = kOne / 2 * static_cast<int64_t>(1 + random_.below(n > 1 ? 2 : 4));
    if (too_much) b.cpu += kOne * world.config.cpus;
    if (node_->gpus() > 0 && random_.one_in(4))
      b.gpu = has_halves(world.config) && random_.one_in(2) ? kOne / 2 : kOne;
    if (facts.detached) b = {kOne, 0};
    resources.push_back({"CPU", b.cpu});
    if (b.gpu > 0) resources.push_back({"GPU", b.gpu});
    bundles.push_back(b.gpu > 0 ? 2 : 1);
    sum.cpu += b.cpu;
    sum.gpu += b.gpu;
    facts.bundles.push_back(b);
  }
  model::CreatePlacementGroup m;
  m.group = id;
  m.parent = parent;
  m.strategy = static_cast<model::GroupStrategy>(1 + random_.below(random_.one_in(4) ? 4 : 3));
  m.detached = facts.detached;
  facts.named = random_.one_in(8);
  m.name_space = "space";
  if (facts.named) m.name = kNames[random_.below(std::size(kNames))];
  m.bundles = bundles;
  m.resources = resources;
  const bool apart = m.strategy == model::GroupStrategy::kStrictSpread && bundles.size() > 1;
  facts.feasible = !apart && sum.cpu <= kOne * world.config.cpus && sum.gpu <= kOne * node_->gpus();
  const ObjectId handle{id, 0};
  const uint64_t meaning = mix(random_.next(), 2);
  const uint64_t content = world.oracle.write({handle, 0, meaning, 8, false, {}});
  m.ready.format = model::Format::kRaw;
  m.ready.bytes = {reinterpret_cast<const std::byte*>(&content), 8};
  world.oracle.put(handle, meaning, facts.node);
  const bool expires = !facts.detached;
  world.oracle.group_made(id, std::move(facts));
  send(m);
  adopt(handle);
  own->push_back(handle);
  groups_.push_back(id);
  if (!expires) return;
  const bool is_long = who_.role == model::Role::kDriver && random_.one_in(3);
  const DurationNs longest = (is_long ? 400 : 60) * kMillisecond;
  world.queue.after(world.delay(kMillisecond, longest), [this, id] { group_expires(id); });
}

void SimProcess::remove_group(const TaskId& id) {
  std::erase(groups_, id);
  node_->world().oracle.group(id)->removed = true;
  send(model::RemovePlacementGroup{id});
}

void SimProcess::hears_of_removal(const TaskId& id) {
  SUNDOG_PROBE("sim.maker_heard_of_removal");
  const GroupFacts* facts = node_->world().oracle.group(id);
  if (facts == nullptr)
    return node_->world().oracle.fail("a process hears of a removed group that nobody made");
  if (!facts->removed && node_->driver_of(who_.job) != nullptr)
    node_->world().oracle.fail("a process hears of a group's removal, and nobody removed it");
}

void SimProcess::group_expires(const TaskId& id) {
  if (node_->world().oracle.group(id)->removed) return;
  if (alive_) return remove_group(id);
  SimProcess* driver = node_->driver_of(who_.job);
  if (driver == nullptr) return;  // it ended with the job
  SUNDOG_PROBE("sim.group_of_a_dead_process_removed");
  driver->remove_group(id);
}

Co<bool> SimProcess::group_step(uint32_t depth, std::vector<ObjectId>* own) {
  const SimConfig& config = node_->world().config;
  const uint64_t choice = random_.below(13);
  // In a cluster only drivers: they are where their job's groups can be removed.
  const bool may_make = who_.role == model::Role::kDriver || config.nodes == 1;
  if (may_make && (groups_.empty() || (groups_.size() < kGroupsMax && choice < 3))) make_group(own);
  if (groups_.empty()) co_return true;
  const TaskId group = groups_[random_.below(groups_.size())];
  if (choice < 6) {
    for (uint64_t n = 1 + random_.below(5); n > 0; --n) submit_into(group, depth, own);
  } else if (choice < 8) {
    make_actor_in(group, own);
  } else if (choice < 10) {
    auto waiting = await_group(group);
    co_await waiting;
  } else if (choice == 12) {
    auto streaming = stream_step(own, group);
    co_await streaming;
  } else {
    if (choice == 10) {
      auto pause = sleep(node_->world().delay(kMicrosecond, 3 * kMillisecond));
      co_await pause;
    }
    remove_group(group);
  }
  co_return true;
}

Co<bool> SimProcess::await_group(const TaskId& group) {
  const TimeNs since = node_->now();
  std::vector<ObjectId> one{{group, 0}};
  if (!handles_.contains(one[0]) || handles_.at(one[0]).handles == 0) co_return true;
  hold(one[0]);  // whatever is done with others meanwhile
  const DurationNs patience =
      random_.one_in(2) ? node_->world().delay(10 * kMicrosecond, 20 * kMillisecond) : kNever;
  auto waiting = get(one, 1, true, patience);
  co_await waiting;
  auto value = values_.find(one[0]);
  if (value != values_.end() && !value->second.is_error && node_->now() - since > kMillisecond)
    SUNDOG_PROBE("sim.group_was_waited_for");
  let_go(one[0]);
  co_return true;
}

// A template of its own, for some bundle, now and then for one that is not there.
uint32_t SimProcess::define_in(const TaskId& group, model::DefineTemplate define,
                               TaskFacts* facts) {
  const size_t bundles = node_->world().oracle.group(group)->bundles.size();
  facts->group = group;
  facts->bundle = static_cast<int32_t>(random_.below(bundles + 1)) - 1;
  if (random_.one_in(30)) facts->bundle = static_cast<int32_t>(bundles);
  facts->capture = static_cast<CaptureChildren>(random_.below(3));
  define.template_id = kFirstInGroup + group_templates_++;
  define.function = function_id(0);
  define.placement_group = group;
  define.bundle = facts->bundle;
  define.capture_children = facts->capture;
  send(define);
  return define.template_id;
}

void SimProcess::submit_into(const TaskId& group, uint32_t depth, std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  if (world.oracle.num_tasks() >= world.config.tasks_max) return;
  if (!functions_put_) put_functions();
  const size_t choices = std::size(kTasks) - (has_halves(world.config) ? 0 : 1);
  size_t number = random_.below(choices);
  // Most of them fit into some bundle.
  for (int i = 0; i < 3; ++i)
    if (!world.oracle.group_holds(group, -1, kTasks[number].cpu, kTasks[number].gpu))
      number = random_.below(choices);
  const InGroup& t = kTasks[number];
  if (t.gpu > 0) depth = kDepthOfLeaves;
  TaskFacts facts;
  facts.seed = random_.next();
  facts.max_retries = t.max_retries;
  facts.cpu = t.cpu;
  facts.gpu = t.gpu;
  model::NamedAmount needs[] = {{"CPU", t.cpu}, {"GPU", t.gpu}};
  model::DefineTemplate define;
  define.name = t.name;
  define.resources = needs;
  define.max_retries = t.max_retries;
  define.retry_exceptions = t.retry_exceptions;
  auto refs = pick(*own, 2);
  auto contained = pick(*own, 2);
  model::Submit submit;
  submit.template_id = define_in(group, define, &facts);
  submit.num_results = 1 + static_cast<uint32_t>(random_.below(2));
  submit.refs = refs;
  submit.contained = contained;
  send_submit(submit, std::move(facts), depth, own);
}

void SimProcess::make_actor_in(const TaskId& group, std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  if (world.oracle.num_tasks() >= world.config.tasks_max) return;
  if (!functions_put_) put_functions();
  size_t number = random_.below(std::size(kMembers));
  if (kMembers[number].detached && who_.role != model::Role::kDriver) number = 0;
  // What a detached group has, its tasks wait for without end.
  if (world.oracle.group(group)->detached && kMembers[number].lifetime_cpu > 0) number = 0;
  const MemberActor& t = kMembers[number];
  TaskFacts facts;
  facts.seed = random_.next();
  facts.max_retries = t.max_restarts;
  facts.cpu = t.cpu;
  facts.gpu = t.gpu;
  model::NamedAmount needs[] = {{"CPU", t.cpu}, {"GPU", t.gpu}};
  model::NamedAmount keeps[] = {{"CPU", t.lifetime_cpu}, {"GPU", t.lifetime_gpu}};
  model::DefineTemplate define;
  define.name = t.name;
  define.kind = CallKind::kCreateActor;
  define.resources = needs;
  define.lifetime = keeps;
  define.max_restarts = t.max_restarts;
  define.detached = t.detached;
  ActorFacts actor;
  actor.node = node_->index();
  actor.max_restarts = t.max_restarts;
  actor.lifetime_cpu = t.lifetime_cpu;
  actor.lifetime_gpu = t.lifetime_gpu;
  actor.detached = t.detached;
  auto refs = pick(*own, 1);
  model::Submit submit;
  submit.template_id = define_in(group, define, &facts);
  submit.refs = refs;
  const ObjectId handle{send_submit(submit, std::move(facts), kDepthOfLeaves, own), 0};
  world.oracle.actor_made(handle, std::move(actor));
}

// ---------------------------------------------------------------- what the oracle is told

void SimProcess::surround(TaskFacts* facts) const {
  Oracle& oracle = node_->world().oracle;
  if (!facts->actor.is_nil()) return;  // it runs where its actor does
  const TaskFacts* around = nullptr;
  if (running_)
    around = oracle.task(running_->kind == CallKind::kMethod ? actor_.task : running_->task);
  facts->captures = facts->capture == CaptureChildren::kAsParent
                        ? around != nullptr && around->captures
                        : facts->capture == CaptureChildren::kYes;
  if (facts->group.is_nil() && !facts->outside_groups && facts->captures && around != nullptr) {
    facts->group = around->group;
    facts->captured = !facts->group.is_nil();
  }
  if (facts->group.is_nil()) return;
  if (!oracle.group_holds(facts->group, facts->bundle, facts->cpu, facts->gpu))
    facts->may_run = false;
}

SimProcess* SimNode::driver_of(JobId job) {
  for (auto& [id, a] : processes_)
    if (a.process->alive() && a.process->who().role == model::Role::kDriver &&
        a.process->who().job == job)
      return a.process.get();
  return nullptr;
}

void SimNode::group_ends(const TaskId& id) {
  const uint32_t group = core_->scheduler().groups().find(id);
  if (group == core::kNoIndex) return;
  GroupFacts* facts = world_->oracle.group(id);
  if (core_->scheduler().groups()[group].state == GroupState::kPending)
    SUNDOG_PROBE("sim.waiting_group_removed");
  const core::TaskTable& tasks = core_->tasks();
  for (uint32_t i = 0; i < tasks.end(); ++i) {
    const core::TaskRecord& t = tasks[i];
    if (!t.live || t.placement != group) continue;
    const bool with_worker =
        t.state == core::TaskState::kOffered || t.state == core::TaskState::kRevoking;
    if (with_worker) {
      SUNDOG_PROBE("sim.group_removed_under_tasks_of_workers");
      facts->with_workers.insert({t.id, t.attempt});
      const TaskFacts* task = world_->oracle.task(t.id);
      if (task->running) SUNDOG_PROBE("sim.group_removed_under_a_running_task");
      if (task->running && task->items > 0) SUNDOG_PROBE("sim.group_removed_under_a_generator");
    } else if (t.state == core::TaskState::kReady) {
      SUNDOG_PROBE("sim.group_removed_under_queued_tasks");
    } else if (t.state == core::TaskState::kWaiting) {
      SUNDOG_PROBE("sim.group_removed_under_tasks_without_arguments");
    }
  }
}

void SimNode::groups_end_with(JobId job) {
  const core::PlacementGroups& groups = core_->scheduler().groups();
  for (uint32_t i = 0; i < groups.end(); ++i) {
    const core::PlacementGroup& g = groups[i];
    if (!g.live || g.state == GroupState::kRemoved || g.id.job() != job || g.detached) continue;
    SUNDOG_PROBE("sim.driver_ended_with_groups");
    group_ends(g.id);
  }
}

// ---------------------------------------------------------------- what is checked

void SimNode::check_group_of(const TaskId& id, uint32_t attempt) {
  Oracle& oracle = world_->oracle;
  const TaskFacts& facts = *oracle.task(id);
  const core::PlacementGroups& groups = core_->scheduler().groups();
  const uint32_t index = core_->tasks().find(id);
  if (index != core::kNoIndex && facts.actor.is_nil()) {
    const core::TaskRecord& t = core_->tasks()[index];
    const TaskId placed = t.placement == core::kNoIndex ? TaskId{} : groups[t.placement].id;
    if (placed != facts.group)
      oracle.fail("task " + id.hex() + " runs in " +
                  (placed.is_nil() ? "no placement group" : "placement group " + placed.hex()) +
                  " and not in " + (facts.group.is_nil() ? "none" : facts.group.hex()));
  }
  if (facts.group.is_nil()) return;
  SUNDOG_PROBE("sim.task_in_a_group");
  if (facts.captured) SUNDOG_PROBE("sim.child_captured_in_a_group");
  const uint32_t group = groups.find(facts.group);
  const bool ready = group != core::kNoIndex && groups[group].state == GroupState::kReady;
  if (ready) return;
  if (!oracle.group(facts.group)->with_workers.contains({id, attempt}))
    oracle.fail("task " + id.hex() + " began in placement group " + facts.group.hex() + ", which " +
                (group == core::kNoIndex ? "was removed before" : "is not ready"));
}

// What runs in a bundle fits into it, and what runs outside into what no group has. As for the
// node, workers that have blocked may overdraw the CPUs.
void SimNode::check_bundles() {
  using Amounts = GroupFacts::Amounts;
  const core::PlacementGroups& groups = core_->scheduler().groups();
  std::map<std::pair<TaskId, int32_t>, Amounts> used;  // -1: in all bundles
  Amounts outside, reserved;
  for (const auto& [id, a] : processes_) {
    const SimProcess& p = *a.process;
    if (!p.alive()) continue;
    const Amounts amounts{p.has_blocked() ? 0 : p.running_cpu(), p.running_gpu()};
    auto add = [&](Amounts* to) {
      to->cpu += amounts.cpu;
      to->gpu += amounts.gpu;
    };
    const bool in_group = !p.group().is_nil() && groups.find(p.group()) != core::kNoIndex;
    add(in_group ? &used[{p.group(), -1}] : &outside);
    if (in_group && p.bundle() >= 0) add(&used[{p.group(), p.bundle()}]);
  }
  for (uint32_t i = 0; i < groups.end(); ++i) {
    const core::PlacementGroup& g = groups[i];
    if (!g.live || g.state != GroupState::kReady) continue;
    Amounts all;
    const auto& bundles = world_->oracle.group(g.id)->bundles;
    auto check = [&](int32_t bundle, const Amounts& has) {
      auto found = used.find({g.id, bundle});
      if (found != used.end() && (found->second.cpu > has.cpu || found->second.gpu > has.gpu))
        world_->oracle.fail(name() + ": more runs in a placement group than it has reserved");
    };
    for (size_t b = 0; b < bundles.size(); ++b) {
      all.cpu += bundles[b].cpu;
      all.gpu += bundles[b].gpu;
      check(static_cast<int32_t>(b), bundles[b]);
    }
    check(-1, all);
    reserved.cpu += all.cpu;
    reserved.gpu += all.gpu;
  }
  if (outside.cpu + reserved.cpu > kOne * cpus_ || outside.gpu + reserved.gpu > kOne * gpus_)
    world_->oracle.fail(name() + ": tasks outside of placement groups run on what these reserved");
}

// Nothing that fits waits.
void SimNode::check_waiting_groups() {
  const core::LocalScheduler& scheduler = core_->scheduler();
  const core::PlacementGroups& groups = scheduler.groups();
  if (!groups.has_pending()) return;
  for (uint32_t i = 0; i < groups.end(); ++i) {
    const core::PlacementGroup& g = groups[i];
    if (!g.live || g.state != GroupState::kPending) continue;
    const GroupFacts* facts = world_->oracle.group(g.id);
    const bool in_pieces = has_halves(world_->config) && g.sum.get(model::kGpu) > 0;
    if (facts->feasible && !in_pieces && scheduler.available().covers(g.sum))
      world_->oracle.fail(name() + ": placement group " + g.id.hex() + " fits and is not ready");
  }
}

uint32_t SimNode::groups_left() const {
  const core::PlacementGroups& groups = core_->scheduler().groups();
  uint32_t left = 0;
  for (uint32_t i = 0; i < groups.end(); ++i) left += groups[i].live;
  return left;
}

}  // namespace sundog::sim
