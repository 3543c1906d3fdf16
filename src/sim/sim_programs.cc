// What model processes do: random programs of drivers and tasks, as coroutines. Arguments of a
// co_await are named first: no temporaries live across a suspension.
#include <algorithm>
#include <cstring>

#include "base/probe.h"
#include "shm/claims.h"
#include "sim/sim_node.h"
#include "sim/sim_process.h"

namespace sundog::sim {

using model::Format;

namespace {

struct SimTemplate {
  const char* name;
  int64_t cpu, gpu;  // 1/10000
  int32_t max_retries;
  bool retry_exceptions;
  DurationNs timeout;
  uint32_t max_calls;
};
constexpr int64_t kOne = model::kResourceUnit;
constexpr SimTemplate kTemplates[] = {
    {"plain", kOne, 0, 3, false, 0, 0},
    {"half", kOne / 2, 0, 1, false, 0, 0},
    {"gpu", kOne, kOne, 2, false, 0, 0},
    {"light", 0, 0, 3, false, 0, 0},
    {"wide_once", 2 * kOne, 0, 0, false, 0, 0},
    {"stubborn", kOne, 0, 2, true, 0, 0},
    {"timed", kOne, 0, 2, true, 20 * kMillisecond, 0},
    {"few", kOne, 0, 3, false, 0, 2},
};
constexpr uint32_t kGpuTemplate = 2;
constexpr uint32_t kNumFunctions = 3;
constexpr uint32_t kDepthMax = 4;  // deeper tasks do not submit, get or wait
constexpr uint64_t kPage = model::kPageBytes;

}  // namespace

ObjectId SimProcess::function_id(uint32_t number) const {
  return {TaskId::for_function(who_.job, {number + 1, 77}), ObjectId::kPutBit};
}

void SimProcess::define_templates() {
  uint32_t number = 0;
  for (const SimTemplate& t : kTemplates) {
    model::NamedAmount needs[] = {{"CPU", t.cpu}, {"GPU", t.gpu}};
    model::DefineTemplate define;
    define.template_id = number;
    define.function = function_id(number % kNumFunctions);
    define.name = t.name;
    define.resources = needs;
    define.max_retries = t.max_retries;
    define.retry_exceptions = t.retry_exceptions;
    define.timeout_ns = t.timeout;
    define.max_calls = t.max_calls;
    send(define);
    ++number;
  }
  define_actor_templates();
  define_stream_templates();
  if (node_->world().config.environments) define_environments();
}

void SimProcess::define_environments() {
  for (uint64_t hash : {kGoodEnvironment, kBrokenEnvironment}) {
    const DurationNs patience = hash == kGoodEnvironment ? 30 * kMillisecond : 0;
    send(model::DefineEnvironment{hash, patience, 0, "{}"});
    model::NamedAmount needs[] = {{"CPU", kTemplates[0].cpu}};
    model::DefineTemplate define;
    define.template_id = kEnvironmentTemplates + static_cast<uint32_t>(hash);
    define.function = function_id(0);
    define.name = "in_environment";
    define.resources = needs;
    define.max_retries = kTemplates[0].max_retries;
    define.runtime_env = hash;
    send(define);
  }
}

// A process that calls a function has put it; its id is a hash of its bytes.
void SimProcess::put_functions() {
  functions_put_ = true;
  Oracle& oracle = node_->world().oracle;
  for (uint32_t number = 0; number < kNumFunctions; ++number) {
    ObjectId id = function_id(number);
    uint64_t meaning = mix(number, 4711);
    oracle.put(id, meaning, node_->index());
    uint64_t content = oracle.write({id, 0, meaning, 8, false, {}});
    model::Put put;
    put.id = id;
    put.value = {Format::kRaw, {}, {reinterpret_cast<const std::byte*>(&content), 8}};
    put.hold_for_job = true;
    send(put);
    adopt(id);
  }
}

// ---------------------------------------------------------------- actions

Co<bool> SimProcess::put_value(uint64_t size, std::vector<ObjectId> contained,
                               std::vector<ObjectId>* own) {
  TaskId parent = running_ ? running_->task : TaskId::root_of(who_.job);
  uint32_t attempt = running_ ? running_->attempt : 0;
  TaskId task = TaskId::make(who_.job, parent, attempt, (1ull << 63) | ++calls_);
  ObjectId id{task, ObjectId::kPutBit};
  Oracle& oracle = node_->world().oracle;
  uint64_t meaning = mix(random_.next(), 1);
  uint64_t content = oracle.write({id, 0, meaning, size, false, contained});
  model::Put put;
  put.id = id;
  put.contained = contained;
  std::vector<std::byte> bytes;
  if (size > model::kInlineValueBytesMax) {
    model::Extent extent;
    auto allocation = allocate(size, &extent);
    bool granted = co_await allocation;
    if (!granted) {
      SUNDOG_PROBE("sim.put_refused");
      co_return false;
    }
    auto writing = sleep(node_->world().delay(kMicrosecond, 300 * kMicrosecond));
    co_await writing;
    if (random_.one_in(15)) {
      SUNDOG_PROBE("sim.grant_abandoned");
      grants_.erase(extent.offset);
      send(model::Abandon{extent});
      co_return false;
    }
    // What was granted may be more than what is used.
    if (random_.one_in(4)) extent.size = std::max(kPage, extent.size - kPage);
    node_->write_arena(extent, content);
    put.value = {Format::kTensor, extent, {}};
    grants_.erase(extent.offset);
    node_->sealed(extent);
  } else {
    bytes.resize(std::max<uint64_t>(size, 8));
    std::memcpy(bytes.data(), &content, 8);
    put.value = {Format::kRaw, {}, bytes};
  }
  oracle.put(id, meaning, node_->index());
  send(put);
  adopt(id);
  own->push_back(id);
  co_return true;
}

void SimProcess::submit(uint32_t depth, std::vector<ObjectId>* own) {
  SimWorld& world = node_->world();
  if (world.oracle.num_tasks() >= world.config.tasks_max) return;
  if (!functions_put_) put_functions();
  auto refs = pick(*own, 3);
  auto contained = pick(*own, 2);
  uint64_t seed = random_.next();
  auto number = static_cast<uint32_t>(random_.below(std::size(kTemplates)));
  if (number == kGpuTemplate) {
    // A task that waits while it holds a GPU may deadlock by itself: these are leaves.
    if (world.config.gpus == 0)
      number = 0;
    else
      depth = kDepthMax;
  }
  const SimTemplate& t = kTemplates[number];
  model::Submit submit;
  submit.template_id = number;
  submit.num_results = 1 + static_cast<uint32_t>(random_.below(3));
  submit.refs = refs;
  submit.contained = contained;
  TaskFacts facts;
  if (world.config.environments && number == 0) {
    facts.environment = random_.one_in(3) ? kBrokenEnvironment : kGoodEnvironment;
    submit.template_id = kEnvironmentTemplates + static_cast<uint32_t>(facts.environment);
    facts.may_run = facts.environment == kGoodEnvironment;
  }
  facts.seed = seed;
  facts.max_retries = t.max_retries;
  facts.cpu = t.cpu;
  facts.gpu = t.gpu;
  facts.timed = t.timeout > 0;
  send_submit(submit, std::move(facts), depth, own);
}

TaskId SimProcess::send_submit(model::Submit submit, TaskFacts facts, uint32_t depth,
                               std::vector<ObjectId>* own) {
  submit.parent = running_ ? running_->task : TaskId::root_of(who_.job);
  submit.parent_attempt = running_ ? running_->attempt : 0;
  submit.task = TaskId::make(who_.job, submit.parent, submit.parent_attempt, ++calls_);
  std::vector<std::byte> arguments(16 + submit.contained.size() * sizeof(ObjectId));
  auto count = static_cast<uint32_t>(submit.contained.size());
  std::memcpy(arguments.data(), &facts.seed, 8);
  std::memcpy(arguments.data() + 8, &depth, 4);
  std::memcpy(arguments.data() + 12, &count, 4);
  std::copy_n(reinterpret_cast<const std::byte*>(submit.contained.data()), count * sizeof(ObjectId),
              arguments.data() + 16);
  submit.arguments = arguments;
  if (node_->world().config.groups) surround(&facts);
  facts.num_results = submit.num_results;
  facts.owner = node_->index();
  facts.parent = submit.parent;
  facts.arguments.assign(submit.refs.begin(), submit.refs.end());
  node_->world().oracle.submitted(submit.task, std::move(facts));
  send(submit);
  for (uint32_t i = 0; i < submit.num_results; ++i) {
    adopt({submit.task, i});
    own->push_back({submit.task, i});
  }
  return submit.task;
}

// A task leaves refs behind in its process, for later ones to look at. These pass them on to
// nobody and wait for them only for a while: one may be the result of the very task that runs.
void SimProcess::keep_some(std::vector<ObjectId>* own) {
  while (!kept_.empty() && random_.one_in(2)) {
    let_go(kept_.back());
    kept_.pop_back();
  }
  while (!own->empty() && kept_.size() < 4 && random_.one_in(3)) {
    kept_.push_back(own->back());
    own->pop_back();
  }
}

Co<bool> SimProcess::random_get(std::vector<ObjectId>* own, bool values) {
  auto ids = pick(*own, 4);
  auto num_ready = static_cast<uint32_t>(values ? ids.size() : random_.below(ids.size() + 1));
  DurationNs timeout =
      random_.one_in(3) ? node_->world().delay(10 * kMicrosecond, 20 * kMillisecond) : kNever;
  auto waiting = get(ids, num_ready, values, timeout);
  co_await waiting;
  if (values && random_.one_in(2))
    for (const ObjectId& id : ids) open(id, own);
  co_return true;
}

void SimProcess::cancel_one(const std::vector<ObjectId>& own) {
  if (own.empty()) return;
  const ObjectId& id = own[random_.below(own.size())];
  if (id.is_put()) return;
  model::CancelTask cancel;
  cancel.task = id.task;
  // Half of them by force: most tasks end before it comes to that.
  cancel.level = static_cast<model::CancelLevel>(std::min<uint64_t>(random_.below(6), 3));
  cancel.recursive = random_.one_in(2);
  cancel.grace_ms = static_cast<uint32_t>(random_.below(3)) * 30;
  node_->world().oracle.cancelled(cancel.task, cancel.recursive);
  send(cancel);
}

Co<bool> SimProcess::random_step(uint32_t depth, std::vector<ObjectId>* own) {
  if (node_->world().config.groups && random_.one_in(4)) {
    auto grouping = group_step(depth, own);
    co_return co_await grouping;
  }
  uint64_t choice = random_.below(22);
  if (choice > 19) {
    auto streaming = stream_step(own);
    co_await streaming;
  } else if (choice > 15) {
    auto acting = actor_step(own);
    co_await acting;
  } else if (choice < 5) {
    submit(depth, own);
    if (choice == 0)
      for (int i = 0; i < 6; ++i) submit(depth, own);
  } else if (choice < 7) {
    auto contained = pick(*own, 2);
    uint64_t small = 8 + random_.below(1500), large = (3 + random_.below(20)) * kPage;
    auto putting = put_value(choice == 5 ? small : large, contained, own);
    co_await putting;
  } else if (choice < 10) {
    auto waiting = random_get(own, true);
    co_await waiting;
  } else if (choice == 10) {
    auto waiting = random_get(own, false);
    co_await waiting;
  } else if (choice < 13) {
    for (uint64_t n = random_.below(4); n > 0 && !own->empty(); --n) {
      size_t at = random_.below(own->size());
      let_go((*own)[at]);
      own->erase(own->begin() + static_cast<long>(at));
    }
    if (random_.one_in(2)) flush();
  } else if (choice == 13) {
    drop_some_views(false);
    flush();
  } else if (choice == 15 && random_.one_in(2)) {
    cancel_one(*own);
  } else {
    bool is_long = random_.one_in(4);
    DurationNs least = is_long ? kMillisecond : kMicrosecond;
    auto resting = sleep(node_->world().delay(least, 20 * least));
    co_await resting;
  }
  co_return true;
}

// ---------------------------------------------------------------- programs

Co<bool> SimProcess::driver_program() {
  define_templates();
  if (node_->world().config.rival_tasks > 0) {
    auto rivalry = rival_program();
    co_return co_await rivalry;
  }
  std::vector<ObjectId> own;
  if (random_.one_in(2)) {  // several drivers begin at once and want the same name
    auto naming = named_step(&own);
    co_await naming;
  }
  for (uint32_t i = 0; i < node_->world().config.driver_steps; ++i) {
    auto step = random_step(1, &own);
    co_await step;
    auto pause = sleep(node_->world().delay(kMicrosecond, 100 * kMicrosecond));
    co_await pause;
  }
  auto ids = held_ids();
  // One after the other, and views given back, so that results larger than the store get through.
  for (const ObjectId& id : ids) {
    std::vector<ObjectId> one{id};
    auto waiting = get(one, 1, true, kNever);
    co_await waiting;
    drop_some_views(true);
  }
  let_go_all(own);
  flush();
  if (random_.one_in(2)) {  // some drivers linger, so that everything is seen to be freed by refs
    auto resting = sleep(200 * kMillisecond);
    co_await resting;
  }
  finish(0);
  co_return true;
}

Co<bool> SimProcess::worker_program() {
  define_templates();
  for (;;) {
    while (queue_.empty() && !stop_ && !exiting_) {
      drop_some_views(true);
      flush();
      if (kept_cpu_ == 0) has_blocked_ = false;  // an actor that resumed may overdraw for good
      contested_ = false;
      co_await Suspend{this};
    }
    if (stop_ || exiting_) break;
    OwnedExecute e = std::move(queue_.front());
    queue_.pop_front();
    if (!claim(e)) continue;
    begun_.push_back(*running_);
    while (!begun_.empty() && !exiting_) {
      claim_more();
      size_t at = random_.below(begun_.size());
      running_ = begun_[at];
      begun_.erase(begun_.begin() + static_cast<long>(at));
      auto running = run_task(*running_);
      co_await running;
    }
    for (const OwnedExecute& other : begun_)  // its actor asked to end while they ran
      node_->world().oracle.crashed(other.task, other.attempt);
    begun_.clear();
  }
  finish(0);
  co_return true;
}

void SimProcess::claim_more() {
  while (!queue_.empty() && queue_.front().kind == model::CallKind::kMethod) {
    OwnedExecute e = queue_.front();
    uint32_t of_group = 0;
    for (const OwnedExecute& other : begun_) of_group += other.group == e.group;
    if (of_group >= e.concurrency || random_.one_in(8)) return;
    queue_.pop_front();
    if (!claim(e)) continue;
    begun_.push_back(*running_);
    if (begun_.size() > 1) SUNDOG_PROBE("sim.several_calls_at_once");
  }
}

bool SimProcess::claim(const OwnedExecute& e) {
  uint32_t& word = claim_word(e.slot);
  if (word != shm::claim_word(e.generation, shm::ClaimState::kOffered)) {
    SUNDOG_PROBE("sim.claim_lost_by_the_worker");
    return false;
  }
  word = shm::claim_word(e.generation, shm::ClaimState::kClaimed);
  Oracle& oracle = node_->world().oracle;
  oracle.started(e.task, e.attempt, node_->index());
  const TaskFacts* facts = oracle.task(e.task);
  if (facts == nullptr) return false;
  if (!check_actor(e)) return false;
  running_ = e;
  yielded_ = 0;
  cancelled_ = model::CancelLevel::kQueued;
  has_blocked_ = has_blocked_ && (contested_ || kept_cpu_ > 0);
  running_cpu_ = facts->cpu;
  running_since_ = node_->now();
  node_->world().shares.began(e.task.job());
  running_gpu_ = facts->gpu;
  if (e.kind != model::CallKind::kMethod) {
    group_ = facts->group;
    bundle_ = facts->bundle;
  }
  bool same = facts->arguments.size() == e.refs.size();
  for (size_t i = 0; same && i < e.refs.size(); ++i) same = e.refs[i].id == facts->arguments[i];
  if (!same) oracle.fail("task " + e.task.hex() + " got other arguments than were submitted");
  for (OwnedArgument& argument : running_->refs) {
    if (!argument.extent.empty()) {
      argument.content = node_->read_arena(argument.extent);
      add_view(argument.id, argument.extent, argument.content);
    }
    oracle.check_value(argument.id, argument.content);
  }
  node_->check_running();
  if (node_->world().config.groups) node_->check_group_of(e.task, e.attempt);
  return true;
}

Co<bool> SimProcess::run_task(OwnedExecute e) {
  std::vector<ObjectId> own;
  if (!e.function.is_nil() && !values_.contains(e.function)) {
    hold(e.function);
    std::vector<ObjectId> one{e.function};
    auto fetching = get(one, 1, true, kNever);
    co_await fetching;
  }
  for (const ObjectId& id : e.contained) {
    if (random_.one_in(3)) continue;
    hold(id);
    own.push_back(id);
  }
  // References inside the arguments' values; the task holds the values until its end.
  for (const OwnedArgument& argument : running_->refs) {
    const Written* written = node_->world().oracle.find(argument.content);
    if (written == nullptr || random_.one_in(2)) continue;
    for (const ObjectId& inner : written->contained) {
      hold(inner);
      own.push_back(inner);
    }
  }
  bool may_wait = e.depth < kDepthMax || e.kind == model::CallKind::kMethod;
  if (may_wait && !kept_.empty() && random_.one_in(2)) {
    std::vector<ObjectId> ids = pick(kept_, 3);
    auto number = static_cast<uint32_t>(ids.size());
    auto waiting = get(ids, number, true, node_->world().delay(kMillisecond, 20 * kMillisecond));
    co_await waiting;
  }
  bool is_short = random_.one_in(2);
  DurationNs least = is_short ? kMicrosecond : 100 * kMicrosecond;
  auto computing = sleep(node_->world().delay(least, 40 * least));
  co_await computing;
  const bool is_rival = node_->world().config.rival_tasks > 0;
  if (e.kind == model::CallKind::kTask && !is_rival && random_.one_in(2)) call_actors(&own);
  if (e.kind != model::CallKind::kTask) {
    auto leaf = run_leaf(&own);
    co_await leaf;
  } else if (e.depth < kDepthMax) {
    for (uint64_t n = random_.below(5); n > 0; --n) {
      auto step = random_step(e.depth + 1, &own);
      co_await step;
    }
  }
  bool yielded_all = true;
  if (e.returns == model::Returns::kStream) {
    auto yielding = yield_items(own);
    yielded_all = co_await yielding;
  }
  auto producing = produce_results(own, !yielded_all);
  co_await producing;
  keep_some(&own);
  let_go_all(own);
  if (random_.one_in(2)) flush();
  co_return true;
}

void SimProcess::end_task(const model::Done& done, bool raised) {
  Oracle& oracle = node_->world().oracle;
  const std::string unfair =
      node_->world().shares.ended(done.task.job(), node_->now() - running_since_);
  if (!unfair.empty()) oracle.fail(unfair);
  oracle.published_end(done.task, done.attempt, raised, done.retry);
  if (running_->kind == model::CallKind::kCreateActor) {
    const ActorFacts* facts = oracle.actor(actor_);
    constructed_ = true;
    ignores_stop_ = random_.one_in(6);
    kept_cpu_ = facts->lifetime_cpu;
    kept_gpu_ = facts->lifetime_gpu;
  }
  running_.reset();
  running_cpu_ = running_gpu_ = 0;
  send(done);
}

Co<bool> SimProcess::produce_results(std::vector<ObjectId> own, bool raised) {
  OwnedExecute e = *running_;
  Oracle& oracle = node_->world().oracle;
  uint64_t arguments = 0;
  for (const OwnedArgument& argument : e.refs) {
    const Written* written = oracle.find(argument.content);
    arguments = mix(arguments, written == nullptr ? 0 : written->meaning);
  }
  raised = raised || Random(e.seed).one_in(12);
  // Who was interrupted ends so, mostly; who was only told may, too.
  if (cancelled_ >= model::CancelLevel::kInterrupt) raised = raised || !random_.one_in(4);
  if (cancelled_ == model::CancelLevel::kCooperative) raised = raised || random_.one_in(2);
  std::vector<model::ResultView> results(e.num_results);
  std::vector<std::vector<ObjectId>> contained(e.num_results);
  std::vector<std::vector<std::byte>> bytes(e.num_results);
  model::Done done;
  done.task = e.task;
  done.attempt = e.attempt;
  done.slot = e.slot;
  for (uint32_t i = 0; i < e.num_results && !raised; ++i) {
    uint64_t shape = mix(e.seed, 100 + i);
    uint64_t size = shape % 4 == 0   ? (3 + shape / 4 % 12) * kPage
                    : shape % 4 == 1 ? 1100 + shape / 4 % 6000
                                     : 8 + shape / 4 % 600;
    contained[i] = pick(own, 2);
    uint64_t meaning = mix(mix(e.seed, i), arguments);
    uint64_t content = oracle.write({{e.task, i}, e.attempt, meaning, size, false, contained[i]});
    results[i].index = i;
    results[i].contained = contained[i];
    if (size > model::kInlineValueBytesMax) {
      model::Extent extent;
      auto allocation = allocate(size, &extent);
      bool granted = co_await allocation;
      if (!granted) {
        SUNDOG_PROBE("sim.result_refused");
        oracle.excuse(e.task, "the store was full");
        raised = true;
        break;
      }
      auto writing = sleep(node_->world().delay(kMicrosecond, 500 * kMicrosecond));
      co_await writing;
      node_->write_arena(extent, content);
      results[i].value = {Format::kTensor, extent, {}};
    } else {
      bytes[i].resize(size);
      std::memcpy(bytes[i].data(), &content, 8);
      results[i].value = {Format::kRaw, {}, bytes[i]};
    }
    if (random_.one_in(4)) {
      SUNDOG_PROBE("sim.result_ahead_of_the_end");
      if (!results[i].value.extent.empty()) {
        node_->sealed(results[i].value.extent);
        grants_.erase(results[i].value.extent.offset);
      }
      send(model::Results{e.task, e.attempt, {&results[i], 1}});
      results[i].index = UINT32_MAX;  // sent
      auto pause = sleep(node_->world().delay(kMicrosecond, 200 * kMicrosecond));
      co_await pause;
    }
  }
  if (raised) {
    // Extents that were written for nothing go back; results sent ahead stay as they are.
    while (!grants_.empty()) {
      model::Extent extent = grants_.begin()->second;
      grants_.erase(grants_.begin());
      send(model::Abandon{extent});
    }
    uint64_t content = oracle.write({{e.task, 0}, e.attempt, 0, 8, true, {}});
    for (uint32_t i = 0; i < e.num_results; ++i) {
      results[i] = {i, {Format::kTaskError, {}, {}}, {}};
      bytes[i].resize(8);
      std::memcpy(bytes[i].data(), &content, 8);
      results[i].value.bytes = bytes[i];
    }
    if (e.returns == model::Returns::kStream) {  // the item that says so
      results.push_back(results[0]);
      results[1].index = yielded_ + 1;
    }
    done.failed = true;
    done.retry = e.retry_exceptions;
  }
  std::erase_if(results, [](const model::ResultView& r) { return r.index == UINT32_MAX; });
  for (const auto& r : results) {
    if (!r.value.in_extent()) continue;
    node_->sealed(r.value.extent);
    grants_.erase(r.value.extent.offset);
  }
  done.results = results;
  done.exiting = e.method == "exit";
  if (done.exiting) {
    exiting_ = true;
    oracle.actor(actor_)->exited = true;
  }
  done.finished = node_->now();
  done.started = done.finished - 10 * kMicrosecond;
  end_task(done, raised);
  co_return true;
}

}  // namespace sundog::sim
