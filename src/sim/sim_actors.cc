// What model processes do with actors: they make, call, name, kill and lose them.
//
// Methods and constructors wait only for a while, or for tasks of their own without arguments:
// anything else could be a call that waits behind them. Few actors keep what tasks need, so that
// programs do not starve by themselves.
#include <algorithm>

#include "base/probe.h"
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

using model::CallKind;

namespace {

constexpr int64_t kOne = model::kResourceUnit;
constexpr uint32_t kFirstActor = 100, kFirstMethod = 200;
constexpr uint32_t kDepthOfLeaves = 4;
constexpr const char* kNames[] = {"ada", "bob"};

struct SimActorTemplate {
  const char* name;
  int64_t cpu, gpu, lifetime_cpu, lifetime_gpu;  // 1/10000
  int32_t max_restarts;
  bool detached;
  uint32_t concurrency = 1, io = 0;  // calls at once, those of the group "io" apart
};
constexpr SimActorTemplate kActors[] = {
    {"fragile", kOne, 0, 0, 0, 0, false},       {"tough", kOne, 0, 0, 0, 2, false},
    {"eternal", kOne / 2, 0, 0, 0, -1, false},  {"detached", kOne, 0, 0, 0, 1, true},
    {"keeps_cpu", kOne, 0, kOne, 0, 1, false},  {"keeps_gpu", kOne, kOne, 0, kOne, 1, false},
    {"several", kOne, 0, 0, 0, 1, false, 3, 2},
};
constexpr uint32_t kDetached = 3, kKeepsCpu = 4, kKeepsGpu = 5;

struct SimMethod {
  const char* name;
  int32_t max_retries;
  bool retry_exceptions;
};
constexpr SimMethod kMethods[] = {{"once", 0, false},
                                  {"again", 2, false},
                                  {"stubborn", 2, true},
                                  {"exit", 0, false},
                                  {"io", 1, false}};
constexpr uint32_t kExit = 3, kIo = 4;

}  // namespace

void SimProcess::define_actor_templates() {
  uint32_t number = kFirstActor;
  for (const SimActorTemplate& t : kActors) {
    model::NamedAmount needs[] = {{"CPU", t.cpu}, {"GPU", t.gpu}};
    model::NamedAmount keeps[] = {{"CPU", t.lifetime_cpu}, {"GPU", t.lifetime_gpu}};
    model::DefineTemplate define;
    define.template_id = number++;
    define.function = function_id(0);
    define.name = t.name;
    define.kind = CallKind::kCreateActor;
    define.resources = needs;
    define.lifetime = keeps;
    define.max_restarts = t.max_restarts;
    define.detached = t.detached;
    define.max_concurrency = t.concurrency;
    model::NamedAmount io{"io", t.io};
    if (t.io > 0) define.groups = {&io, 1};
    send(define);
  }
  number = kFirstMethod;
  for (const SimMethod& m : kMethods) {
    model::DefineTemplate define;
    define.template_id = number++;  // without a function: the actor's process has its class
    define.name = m.name;
    define.method = m.name;
    define.kind = CallKind::kMethod;
    define.max_retries = m.max_retries;
    define.retry_exceptions = m.retry_exceptions;
    if (define.method == "io") define.group = "io";
    send(define);
  }
}

std::vector<ObjectId> SimProcess::actors_in(const std::vector<ObjectId>& own) const {
  std::vector<ObjectId> found;
  for (const ObjectId& id : own)
    if (node_->world().oracle.actor(id) != nullptr) found.push_back(id);
  return found;
}

// ---------------------------------------------------------------- what callers do

ObjectId SimProcess::make_actor(bool may_be_detached, std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  if (world.oracle.num_tasks() >= world.config.tasks_max) return {};
  if (!functions_put_) put_functions();
  auto number = static_cast<uint32_t>(random_.below(std::size(kActors)));
  bool driver = who_.role == model::Role::kDriver;
  if (number == kDetached && !(driver && may_be_detached)) number = 0;
  bool keeps = number == kKeepsCpu || number == kKeepsGpu;
  if (keeps && (!driver || world.oracle.holding(node_->index()) > 0)) number = 1;
  if (number == kKeepsCpu && world.config.cpus < 3) number = 1;
  if (number == kKeepsGpu && node_->gpus() < 2) number = 1;
  const SimActorTemplate& t = kActors[number];
  auto refs = pick(*own, 2);
  auto contained = pick(*own, 2);
  model::Submit submit;
  submit.template_id = kFirstActor + number;
  submit.refs = refs;
  submit.contained = contained;
  TaskFacts facts;
  facts.seed = random_.next();
  facts.max_retries = t.max_restarts;
  facts.cpu = t.cpu;
  facts.gpu = t.gpu;
  ActorFacts actor;
  actor.node = node_->index();
  actor.max_restarts = t.max_restarts;
  actor.lifetime_cpu = t.lifetime_cpu;
  actor.lifetime_gpu = t.lifetime_gpu;
  actor.detached = t.detached;
  actor.has_io = t.io > 0;
  ObjectId handle{send_submit(submit, std::move(facts), kDepthOfLeaves, own), 0};
  world.oracle.actor_made(handle, std::move(actor));
  return handle;
}

void SimProcess::call_actors(std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  auto actors = actors_in(*own);
  if (actors.empty()) return;
  ObjectId handle = actors[random_.below(actors.size())];
  for (uint64_t n = 1 + random_.below(random_.one_in(4) ? 12 : 3); n > 0; --n) {
    if (world.oracle.num_tasks() >= world.config.tasks_max) return;
    auto number = static_cast<uint32_t>(random_.below(std::size(kMethods)));
    if (number == kExit && !random_.one_in(8)) number = 0;
    if (number == kIo && !world.oracle.actor(handle)->has_io) number = 1;
    auto refs = random_.one_in(3) ? pick(*own, 2) : std::vector<ObjectId>{};
    auto contained = random_.one_in(3) ? pick(*own, 2) : std::vector<ObjectId>{};
    model::Submit submit;
    submit.template_id = kFirstMethod + number;
    submit.actor = handle;
    submit.num_results = 1 + static_cast<uint32_t>(random_.below(2));
    submit.refs = refs;
    submit.contained = contained;
    TaskFacts facts;
    facts.seed = random_.next();
    facts.max_retries = kMethods[number].max_retries;
    facts.actor = handle;
    // Within a group they start in order.
    facts.caller = uint64_t{number == kIo} << 63 | uint64_t{node_->index()} << 32 | who_.pid;
    facts.sequence = calls_ + 1;
    TaskId call = send_submit(submit, std::move(facts), kDepthOfLeaves, own);
    if (world.oracle.actor(handle)->node == node_->index()) continue;
    SUNDOG_PROBE("sim.call_of_an_actor_elsewhere");
    world.oracle.excuse(call, "its actor lives on another node");
  }
}

void SimProcess::kill_an_actor(const std::vector<ObjectId>& own) {
  auto actors = actors_in(own);
  if (actors.empty()) return;
  ObjectId handle = actors[random_.below(actors.size())];
  ActorFacts* facts = node_->world().oracle.actor(handle);
  if (facts->node != node_->index()) return;
  bool no_restart = random_.one_in(2);
  if (no_restart) facts->killed = true;
  send(model::KillActor{handle, no_restart});
}

Co<bool> SimProcess::actor_step(std::vector<ObjectId>* own) {
  uint64_t choice = random_.below(13);
  if (choice < 3) {
    make_actor(false, own);
  } else if (choice < 9) {
    call_actors(own);
  } else if (choice == 9) {
    kill_an_actor(*own);
  } else {
    auto naming = named_step(own);
    co_await naming;
  }
  co_return true;
}

// Claims or looks for a name; what it reserved it binds, or gives back, at once.
Co<bool> SimProcess::named_step(std::vector<ObjectId>* own) {
  if (running_) co_return false;  // while it waited for a name it would hold its CPU
  auto putting = put_value(64, {}, own);
  bool put = co_await putting;
  if (!put) co_return false;
  ObjectId descriptor = own->back();
  const char* name = kNames[random_.below(std::size(kNames))];
  uint32_t request = ++last_request_;
  bool claims = !random_.one_in(3);
  if (claims) {
    send(model::ClaimName{request, "space", name});
  } else {
    send(model::FindName{request, "space", name});
  }
  while (!name_replies_.contains(request)) co_await Suspend{this};
  model::NameReply reply = name_replies_[request];
  name_replies_.erase(request);
  if (reply.status == model::NameStatus::kFound) {
    SUNDOG_PROBE("sim.actor_found_by_name");
    if (node_->world().oracle.actor(reply.actor) == nullptr)
      node_->world().oracle.fail("a name is bound to what is no actor");
    adopt(reply.actor);
    adopt(reply.descriptor);
    own->push_back(reply.actor);
    own->push_back(reply.descriptor);
  } else if (reply.status == model::NameStatus::kReserved) {
    if (random_.one_in(2)) {
      auto thinking = sleep(node_->world().delay(kMicrosecond, 20 * kMillisecond));
      co_await thinking;
    }
    ObjectId handle = random_.one_in(5) ? ObjectId{} : make_actor(true, own);
    send(model::BindName{"space", name, handle, handle.is_nil() ? ObjectId{} : descriptor});
  }
  co_return true;
}

// ---------------------------------------------------------------- what actors do

// An actor's process runs its constructor, then calls of this actor, and nothing else.
bool SimProcess::check_actor(const OwnedExecute& e) {
  Oracle& oracle = node_->world().oracle;
  std::string wrong;
  switch (e.kind) {
    case CallKind::kTask:
      if (!actor_.is_nil()) wrong = "a task runs in the process of an actor";
      break;
    case CallKind::kCreateActor:
      if (!actor_.is_nil()) wrong = "a process constructs a second actor";
      if (e.actor != ObjectId{e.task, 0}) wrong = "a constructor has the handle of another actor";
      actor_ = e.actor;
      break;
    case CallKind::kMethod:
      if (actor_ != e.actor || !constructed_) wrong = "a call runs where its actor is not";
      if (exiting_) wrong = "a call runs after its actor asked to end";
      break;
  }
  if (wrong.empty()) return true;
  oracle.fail(wrong + ": " + describe());
  return false;
}

Co<bool> SimProcess::run_leaf(std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  if (!random_.one_in(4) || world.oracle.num_tasks() >= world.config.tasks_max) co_return true;
  if (!functions_put_) put_functions();
  model::Submit submit;
  submit.template_id = 0;
  TaskFacts facts;
  facts.seed = random_.next();
  facts.max_retries = 3;
  facts.cpu = kOne;
  std::vector<ObjectId> one{{send_submit(submit, std::move(facts), kDepthOfLeaves, own), 0}};
  auto waiting = get(one, 1, true, kNever);
  co_await waiting;
  if (kept_cpu_ > 0) SUNDOG_PROBE("sim.actor_lent_its_cpu");
  co_return true;
}

// Comes when all drivers are gone, and ends what they left on purpose.
Co<bool> SimProcess::tool_program() {
  Oracle& oracle = node_->world().oracle;
  for (const ObjectId& handle : oracle.detached_on(node_->index())) {
    SUNDOG_PROBE("sim.detached_actor_outlived_its_driver");
    oracle.actor(handle)->killed = true;
    send(model::KillActor{handle, true});
  }
  for (const TaskId& group : oracle.detached_groups_on(node_->index())) {
    SUNDOG_PROBE("sim.detached_group_outlived_its_driver");
    remove_group(group);
  }
  auto pause = sleep(kMillisecond);
  co_await pause;
  finish(0);
  co_return true;
}

}  // namespace sundog::sim
