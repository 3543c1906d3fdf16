// A NodeCore with a driver and workers, driven by a test: it says what clients say and keeps what
// they are told.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/node_core.h"

namespace sundog::core {

inline constexpr JobId kJob{7};

// Drives one NodeCore with a driver and keeps what it said.
class Node {
 public:
  explicit Node(int cpus = 2, uint64_t store_bytes = 64 << 20, int gpus = 0)
      : core_({.node = {},
               .session = "test",
               .resources = {{"CPU", cpus * model::kResourceUnit},
                             {"GPU", gpus * model::kResourceUnit}},
               .store_bytes = store_bytes,
               .encode_error = [](const model::SystemError& e) {
                 std::string text(e.sentence);
                 if (!e.cause.empty()) text += " cause: " + to_string(e.cause);
                 return text;
               }}) {
    event(ClientConnected{driver, model::Role::kDriver, model::Language::kPython, kJob, 0, 100, 0});
  }

  void event(const Event& e) {
    effects_.clear();
    core_.step(now, random_, e, &effects_);
    ASSERT_EQ(core_.validate(), "");
    for (const Effect& effect : effects_) keep(effect);
  }
  void say(ClientId from, const model::ClientMessage& m) { event(FromClient{from, m}); }

  ClientId join_worker(uint64_t token = 0) {
    ClientId id = ClientId::make(++last_index_, 1);
    event(ClientConnected{id, model::Role::kWorker, model::Language::kPython, kJob, 0,
                          1000 + last_index_, token});
    return id;
  }
  // Answers every start with a worker.
  void start_workers() {
    while (!spawned.empty()) {
      uint64_t token = spawned.front();
      spawned.erase(spawned.begin());
      workers.push_back(join_worker(token));
    }
  }

  void define(uint32_t number, int64_t cpu = 1, int retries = 3, int64_t gpu = 0,
              ClientId from = driver) {
    model::NamedAmount needs[] = {{"CPU", cpu * model::kResourceUnit},
                                  {"GPU", gpu * model::kResourceUnit}};
    model::DefineTemplate t;
    t.template_id = number;
    t.name = "f";
    t.resources = needs;
    t.max_retries = retries;
    say(from, t);
  }
  TaskId submit(uint32_t number, std::span<const ObjectId> refs = {}, ClientId from = driver,
                TaskId parent = {}) {
    model::Submit s;
    s.task = TaskId::make(kJob, TaskId::root_of(kJob), 0, ++calls_);
    s.parent = parent;
    s.template_id = number;
    s.refs = refs;
    say(from, s);
    return s.task;
  }
  struct Run {
    ClientId worker;
    uint32_t slot = 0, generation = 0, attempt = 0;
    TaskId task;
    std::string first_argument;
    model::CallKind kind = model::CallKind::kTask;
    ObjectId actor;
    std::string method;
    uint16_t group = 0;
    uint32_t concurrency = 1;
  };
  void finish(const Run& r, std::string_view result = "ok", DurationNs took = kSecond,
              bool exiting = false, bool failed = false) {
    model::ResultView v;
    v.value.format = failed ? model::Format::kTaskError : model::Format::kText;
    v.value.bytes = as_bytes(result);
    model::Done d;
    d.task = r.task;
    d.attempt = r.attempt;
    d.slot = r.slot;
    d.started = now - took;
    d.finished = now;
    d.results = {&v, 1};
    d.exiting = exiting;
    d.failed = failed;
    say(r.worker, d);
  }
  void raise(const Run& r, std::string_view error) { finish(r, error, kSecond, false, true); }
  Run run_of(const TaskId& task) {
    for (size_t i = runs.size(); i-- > 0;)
      if (runs[i].task == task) return runs[i];
    ADD_FAILURE() << "never executed";
    return {};
  }

  // ---- actors
  struct ActorOptions {
    int32_t max_restarts = 0;
    bool detached = false;
    int64_t cpu = 1, lifetime_cpu = 0, gpu = 0;
    std::vector<ObjectId> refs = {};
    uint32_t max_concurrency = 1;
    std::vector<model::NamedAmount> groups = {};
    bool out_of_order = false;
  };
  ObjectId make_actor() { return make_actor(ActorOptions{}); }
  ObjectId make_actor(const ActorOptions& options, ClientId from = driver) {
    model::NamedAmount needs[] = {{"CPU", options.cpu * model::kResourceUnit},
                                  {"GPU", options.gpu * model::kResourceUnit}};
    model::NamedAmount keeps[] = {{"CPU", options.lifetime_cpu * model::kResourceUnit},
                                  {"GPU", options.gpu * model::kResourceUnit}};
    model::DefineTemplate t;
    t.template_id = kActorTemplate;
    t.kind = model::CallKind::kCreateActor;
    t.name = "Counter";
    t.resources = needs;
    t.lifetime = keeps;
    t.max_restarts = options.max_restarts;
    t.detached = options.detached;
    t.max_concurrency = options.max_concurrency;
    t.groups = options.groups;
    t.out_of_order = options.out_of_order;
    say(from, t);
    return {submit(kActorTemplate, options.refs, from), 0};
  }
  TaskId call(const ObjectId& actor, int32_t retries = 0, std::span<const ObjectId> refs = {},
              ClientId from = driver, std::string_view group = {}) {
    model::DefineTemplate t;
    t.template_id = kMethodTemplate;
    t.kind = model::CallKind::kMethod;
    t.name = "Counter.add";
    t.method = "add";
    t.max_retries = retries;
    t.group = group;
    say(from, t);
    model::Submit s;
    s.task = TaskId::make(kJob, TaskId::root_of(kJob), 0, ++calls_);
    s.actor = actor;
    s.template_id = kMethodTemplate;
    s.refs = refs;
    say(from, s);
    return s.task;
  }
  // Submits, starts a worker and lets the constructor end.
  ObjectId living_actor(const ActorOptions& options) {
    ObjectId actor = make_actor(options);
    start_workers();
    finish(run_of(actor.task));
    return actor;
  }
  ObjectId living_actor() { return living_actor(ActorOptions{}); }
  // The process dies; `claimed`: the runs that it had begun. Each claim is told, the last first.
  void die(ClientId worker, std::vector<TaskId> claimed = {},
           model::DeathCause cause = {model::DeathCause::Kind::kSignalled, 9, {}}) {
    revokes.clear();
    event(ClientGone{worker, cause});
    auto asked = std::exchange(revokes, {});
    for (size_t i = asked.size(); i-- > 0;) {
      TaskId task;
      for (const Run& r : runs)
        if (r.worker == worker && r.slot == asked[i].slot && r.generation == asked[i].generation)
          task = r.task;
      bool had = std::find(claimed.begin(), claimed.end(), task) != claimed.end();
      event(ClaimRevoked{worker, asked[i].slot, asked[i].generation, !had});
    }
  }
  void drop(const ObjectId& id, ClientId from = driver) {
    model::RefCount count{id, 1};
    say(from, model::DropRefs{{&count, 1}});
  }
  std::string value_of(const ObjectId& id) {
    for (size_t i = values.size(); i-- > 0;)
      if (values[i].first == id) return values[i].second;
    return "(none)";
  }
  std::vector<TaskId> run_order() const {
    std::vector<TaskId> order;
    for (const Run& r : runs) order.push_back(r.task);
    return order;
  }
  std::string ask(model::Question question, std::string_view argument = {}) {
    return ask_as(driver, question, argument);
  }
  std::string ask_as(ClientId from, model::Question question, std::string_view argument = {}) {
    say(from, model::Query{1, question, argument});
    return reply;
  }

  const NodeCore& core() const { return core_; }
  static constexpr uint32_t kActorTemplate = 50, kMethodTemplate = 51;

  static constexpr ClientId driver{1 << ClientId::kIndexBits};
  TimeNs now = 100 * kSecond;
  std::vector<ClientId> workers;
  std::vector<uint64_t> spawned;
  std::vector<Run> runs;
  std::vector<RevokeClaim> revokes;
  std::vector<std::pair<ObjectId, std::string>> values;  // to the driver
  std::vector<uint32_t> waited;
  std::vector<uint32_t> worker_waited;
  std::vector<model::Extent> grants, freed;
  std::vector<std::string> refused, killed, notices;
  std::vector<std::pair<ClientId, TaskId>> groups_removed;
  std::string reply;
  std::vector<std::pair<ClientId, std::string>> stops;  // and why
  std::vector<ClientId> kills;
  std::vector<std::pair<TaskId, model::CancelLevel>> cancels;
  std::vector<std::pair<ClientId, model::NameReply>> names;
  std::vector<JobId> settled;
  std::vector<model::TaskEvent> records;
  TimeNs timer_at = kNever;

 private:
  void keep(const Effect& effect) {
    if (auto* s = std::get_if<SpawnWorker>(&effect)) spawned.push_back(s->token);
    if (auto* s = std::get_if<JobSettled>(&effect)) settled.push_back(s->job);
    if (auto* r = std::get_if<RecordTask>(&effect)) records.push_back(r->event);
    if (auto* r = std::get_if<RevokeClaim>(&effect)) revokes.push_back(*r);
    if (auto* f = std::get_if<ExtentFreed>(&effect)) freed.push_back(f->extent);
    if (auto* k = std::get_if<KillClient>(&effect)) killed.emplace_back(k->reason);
    if (auto* k = std::get_if<KillClient>(&effect)) kills.push_back(k->client);
    if (auto* t = std::get_if<SetTimer>(&effect)) timer_at = t->at;
    auto* to = std::get_if<ToClient>(&effect);
    if (to == nullptr) return;
    if (auto* e = std::get_if<model::Execute>(&to->message)) {
      std::string first = e->refs.empty() ? "" : to_string(e->refs[0].value.bytes);
      runs.push_back({to->client, e->slot, e->generation, e->attempt, e->task, first, e->kind,
                      e->actor, std::string(e->method), e->group, e->concurrency});
    }
    if (auto* s = std::get_if<model::Stop>(&to->message))
      stops.emplace_back(to->client, std::string(s->reason));
    if (auto* c = std::get_if<model::CancelRunning>(&to->message))
      cancels.emplace_back(c->task, c->level);
    if (auto* n = std::get_if<model::NameReply>(&to->message)) names.emplace_back(to->client, *n);
    if (auto* v = std::get_if<model::Value>(&to->message))
      values.emplace_back(v->id, to_string(v->value.bytes));
    if (auto* w = std::get_if<model::Waited>(&to->message))
      (to->client == driver ? waited : worker_waited).push_back(w->request);
    if (auto* g = std::get_if<model::Grant>(&to->message)) grants.push_back(g->extent);
    if (auto* r = std::get_if<model::Refused>(&to->message)) refused.emplace_back(r->reason);
    if (auto* n = std::get_if<model::Notice>(&to->message)) notices.emplace_back(n->text);
    if (auto* r = std::get_if<model::Reply>(&to->message)) reply = r->text;
    if (auto* g = std::get_if<model::GroupRemoved>(&to->message))
      groups_removed.emplace_back(to->client, g->group);
  }

  NodeCore core_;
  Random random_{1};
  Effects effects_;
  uint32_t last_index_ = 0;
  uint64_t calls_ = 0;
};

inline ObjectId result_of(const TaskId& task) { return {task, 0}; }

}  // namespace sundog::core
