// NodeCore: the step, clients and jobs.
#include "core/node_core.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

namespace {

model::ResourceSet intern_all(model::ResourceNames* names, const NodeConfig& config) {
  model::ResourceSet set;
  for (const auto& [name, amount] : config.resources) set.set(names->intern(name), amount);
  return set;
}

}  // namespace

NodeCore::NodeCore(NodeConfig config)
    : config_(std::move(config)),
      objects_(config_.store_bytes),
      waits_(&objects_),
      scheduler_(&tasks_, intern_all(&names_, config_)),
      actors_(&tasks_) {
  SUNDOG_CHECK(config_.encode_error != nullptr);
}

void NodeCore::join_cluster(const ClusterConfig& config) {
  cluster_ = std::make_unique<NodeCluster>(this, config);
}

void NodeCore::begin_step(TimeNs now, Effects* effects) {
  now_ = now;
  scheduler_.at(now);
  effects_ = effects;
  if (kept_something_) forget_kept();
  objects_.begin_step();
}

void NodeCore::forget_kept() {
  kept_something_ = false;
  kept_text_.clear();
  kept_arguments_.clear();
  kept_numbers_.clear();
  kept_inputs_.clear();
}

void NodeCore::step(TimeNs now, Random& /*random*/, const Event& event, Effects* effects) {
  begin_step(now, effects);
  if (const auto* message = std::get_if<FromClient>(&event)) {
    on(*message);
  } else {
    std::visit([this](const auto& e) { on(e); }, event);
  }
  finish_step();
  effects_ = nullptr;
}

void NodeCore::step_peer(TimeNs now, Random& /*random*/, const PeerEvent& event, Effects* effects) {
  begin_step(now, effects);
  if (cluster_) cluster_->on(event);
  finish_step();
  effects_ = nullptr;
}

// Tasks whose arguments came begin, and what nobody holds any more is freed.
void NodeCore::settle_all_objects() {
  do {
    // Grows while we walk it: an argument that is an error fails its task, and so on.
    for (size_t i = 0; i < arguments_there_.size(); ++i) {
      const TaskRecord& t = tasks_[arguments_there_[i]];
      if (t.live && t.state == TaskState::kWaiting && t.unready == 0)
        arguments_ready(arguments_there_[i]);
    }
    arguments_there_.clear();
    if (objects_.has_suspects()) objects_.collect(&freed_);
    // What an actor that ends held may be free now.
  } while (objects_.has_freed_handles() && handles_gone());
}

void NodeCore::finish_step() {
  if (cancelling_.next() <= now_) cancel_what_is_due();
  if (environments_.next() <= now_) environments_due();
  settle_objects();
  while (scheduler_.groups().has_pending() && reserve_groups()) settle_objects();
  if (!to_settle_.empty()) {
    for (JobId ended : std::exchange(to_settle_, {})) settle_ended_job(ended);
    settle_objects();
  }
  if (cluster_) {
    // What is freed here may let go of refs and tasks elsewhere, and that of others here.
    for (;;) {
      auto ids = objects_.take_unreferenced();
      for (const ObjectId& id : ids) cluster_->unreferenced(id);
      if (ids.empty()) cluster_->finish_step();
      if (ids.empty() && arguments_there_.empty()) break;
      settle_objects();
    }
  }
  if (!freed_.empty()) {
    for (const model::Extent& extent : freed_) effects_->push_back(ExtentFreed{extent});
    freed_.clear();
  }
  if (!admission_.empty()) serve_admission();
  if (actors_.has_to_serve()) offer_calls();
  if (!retiring_.empty()) settle_retiring();
  scheduler_.schedule(now_, &actions_);
  if (!actions_.empty()) perform_all();
  set_timer();
}

void NodeCore::set_timer() {
  TimeNs at = scheduler_.next_timer();
  if (!admission_.empty()) at = std::min(at, now_ + StoreAdmission::kGrace);
  if (!stopping_.empty()) at = std::min(at, stopping_.front().first);
  at = std::min({at, cancelling_.next(), environments_.next()});
  // A timer that fires a little early is only a Tick too many: keep it unless it must come sooner.
  bool keep = timer_at_ > now_ && timer_at_ <= at && timer_at_ != kNever;
  if (!keep && at != timer_at_) {
    timer_at_ = at;
    effects_->push_back(SetTimer{at});
  }
}

// Actions may lead to further ones (a lost argument fails a task, which readies another).
void NodeCore::perform_all() {
  while (!actions_.empty()) {
    Actions now_due = std::move(spare_actions_);
    now_due.swap(actions_);
    for (const Action& a : now_due) perform(a);
    now_due.clear();
    spare_actions_ = std::move(now_due);  // keeps the capacity
  }
}

void NodeCore::perform(const Action& a) {
  switch (a.kind) {
    case Action::Kind::kAssign:
      assign(a);
      return;
    case Action::Kind::kRevoke:
      effects_->push_back(RevokeClaim{a.worker, a.slot, a.generation});
      return;
    case Action::Kind::kSpawn:
      if (a.pool.runtime_env != 0) environments_.worker_came(a.pool.runtime_env);
      effects_->push_back(
          SpawnWorker{a.token, a.pool.job, a.pool.language, a.pool.runtime_env, keep(a.gpus)});
      return;
    case Action::Kind::kStop:
      send(a.worker, model::Stop{"it is idle, and not needed any more"});
      return;
    case Action::Kind::kPrepare:
      want_environment(a.pool.runtime_env);
      return;
    case Action::Kind::kResume: {
      auto get = static_cast<uint32_t>(a.token);
      send(a.worker, model::Waited{waits_[get].request});
      waits_.release(get);
      return;
    }
  }
}

// ---------------------------------------------------------------- clients and jobs

const Client* NodeCore::client(ClientId id) const {
  return const_cast<NodeCore*>(this)->client(id);
}

void NodeCore::on(const ClientConnected& e) {
  uint32_t i = e.client.index();
  if (i >= clients_.size()) clients_.resize(i + 1);
  SUNDOG_CHECK(!clients_[i].live);
  Client& c = clients_[i];
  c = Client{};
  c.live = true;
  c.id = e.client;
  c.role = e.role;
  c.job = e.job;
  c.pid = e.pid;
  c.runtime_env = e.role == model::Role::kWorker ? e.runtime_env : 0;
  if (c.runtime_env != 0 && !scheduler_.awaits(e.spawn_token))
    environments_.worker_came(c.runtime_env);
  if (e.role == model::Role::kDriver) {
    jobs_[e.job].driver = e.client;
    scheduler_.set_weight(e.job, e.weight);
  }
  if (e.role == model::Role::kWorker) {
    JobId pool_job = e.language == model::Language::kCpp ? JobId{} : e.job;
    scheduler_.worker_joined(e.client, {pool_job, e.language, e.runtime_env}, e.pid, e.spawn_token,
                             now_, e.warm);
    auto it = jobs_.find(e.job);
    if (it != jobs_.end() && it->second.ended && it->second.detached == 0)
      effects_->push_back(KillClient{e.client, "its job has ended"});
  }
}

void NodeCore::on(const ClientGone& e) {
  Client* c = client(e.client);
  if (c == nullptr) return;
  // What was offered to it: asked back, so that we learn what it had claimed.
  std::vector<uint32_t> offered = scheduler_.worker_left(e.client);
  if (c->actor != kNoIndex) actor_process_gone(c->actor, offered, e.cause);
  for (uint32_t task : offered) {
    TaskRecord& t = tasks_[task];
    orphans_[{e.client, t.slot}] = {task, c->pid, e.cause.kind, e.cause.code,
                                    std::string(e.cause.detail)};
    if (t.state == TaskState::kOffered)
      effects_->push_back(RevokeClaim{e.client, t.slot, t.generation});
    t.state = TaskState::kRevoking;
  }
  for (uint32_t get : waits_.gets_of(e.client)) waits_.release(get);
  admission_.forget(e.client);
  NameTable::Answers answers;
  directory_.client_gone(e.client, &answers);
  for (const model::Extent& g : c->grants) {
    model::Extent whole = g;
    whole.size = objects_.allocator().size_at(g.offset);
    objects_.allocator().release(g.offset);
    effects_->push_back(ExtentFreed{whole});
  }
  objects_.drop_client(e.client);
  bool was_driver = c->role == model::Role::kDriver;
  JobId ended = c->job;
  if (c->runtime_env != 0) environments_.worker_left(c->runtime_env, now_);
  *c = Client{};
  close_streams_of(e.client);
  send_answers(answers);
  if (was_driver) end_job(ended);
}

void NodeCore::end_job(JobId id) {
  Job& j = jobs_[id];
  if (j.ended) return;
  j.ended = true;
  ++ended_jobs_;
  settle_ended_job(id);
  if (cluster_) cluster_->job_ended(id);
}

// Ends what is over with the job: all of it, or all but what its detached actors need.
void NodeCore::settle_ended_job(JobId id) {
  Job& j = jobs_[id];
  // If the last of them dies here, with its placement group, this is done again for all the rest.
  const bool some_live_on = j.detached > 0;
  for (uint32_t i = 0; i < actors_.end(); ++i) {
    const ActorRecord& a = actors_[i];
    if (!a.live || a.handle.task.job() != id || a.state == ActorState::kDead) continue;
    if (!a.outlives_job || j.detached == 0)
      end_actor(i, {"the driver of its job has ended", {}, {}});
  }
  for (const Client& c : clients_)
    if (c.live && c.role == model::Role::kWorker && c.job == id && !keeps_on(c))
      effects_->push_back(KillClient{c.id, "its driver has ended"});
  for (uint32_t i = 0; i < tasks_.end(); ++i) {
    TaskRecord& t = tasks_[i];
    if (!t.live || t.id.job() != id || !is_over(t)) continue;
    if (t.state == TaskState::kReady || t.state == TaskState::kWaiting ||
        t.state == TaskState::kRemote || t.state == TaskState::kAtActor)
      fail_task(i, model::ErrorKind::kTaskCancelled, "its driver has ended");
  }
  remove_groups_of(id);
  if (some_live_on) return;
  for (uint32_t object : j.held) objects_.drop_internal(object);
  j.held.clear();
  scheduler_.job_ended(id);
  effects_->push_back(JobSettled{id});
}

void NodeCore::on(const ClaimRevoked& e) {
  auto orphan = orphans_.find({e.worker, e.slot});
  if (orphan == orphans_.end()) {
    const uint32_t asked = scheduler_.task_at(e.worker, e.slot);
    const bool outstanding = asked != kNoIndex && tasks_[asked].generation == e.generation;
    uint32_t task = scheduler_.claim_revoked(e.worker, e.slot, e.generation, e.won);
    if (task == kNoIndex) {
      SUNDOG_PROBE("tasks.worker_kept_its_claim");
      if (outstanding) claim_was_kept(asked);
      return;
    }
    SUNDOG_PROBE("tasks.taken_back_unclaimed");
    // The worker never saw the arguments: the pins made for it are ours to give back.
    for (uint32_t r : tasks_[task].refs())
      if (!objects_[r].extent.empty()) objects_.unpin(r, e.worker, 1);
    end_deadline(task);
    if (tasks_[task].actor != kNoIndex) actors_.answered(task);
    if (tasks_[task].cancelling) fail_cancelled(task, cancelling_.reason(task), false);
    return;
  }
  Orphan o = std::move(orphan->second);
  orphans_.erase(orphan);
  TaskRecord& t = tasks_[o.task];
  t.worker = ClientId{};
  model::DeathCause cause{o.kind, o.code, o.detail};
  if (t.kind == model::CallKind::kMethod) return call_orphan_told(o.task, !e.won, cause, o.pid);
  if (t.kind == model::CallKind::kCreateActor)
    return creation_crashed(o.task, cause, o.pid, !e.won);
  if (!e.won) {
    SUNDOG_PROBE("tasks.worker_died_with_a_claim");
    worker_crashed(o.task, cause, o.pid);
  } else if (is_over(t)) {
    fail_task(o.task, model::ErrorKind::kTaskCancelled, "its driver has ended");
  } else if (is_unwanted(t)) {
    fail_task(o.task, model::ErrorKind::kTaskCancelled, "its generator was closed");
  } else if (t.cancelling) {
    fail_cancelled(o.task, cancelling_.reason(o.task), false);
  } else {
    SUNDOG_PROBE("tasks.worker_died_without_a_claim");
    end_deadline(o.task);
    scheduler_.enqueue(o.task);  // never tried: costs no retry
  }
}

void NodeCore::on(const SpawnFailed& e) {
  PoolKey pool;
  uint32_t failures = scheduler_.spawn_failed(e.spawn_token, &pool);
  SUNDOG_PROBE("workers.start_failed");
  const bool own = pool.runtime_env != 0;  // its description is at fault, and stays as it is
  if (own) environments_.worker_left(pool.runtime_env, now_);
  if (failures < (own ? kEnvironmentStartsMax : LocalScheduler::kSpawnFailuresMax)) return;
  if (own)
    return fail_environment(pool.runtime_env, "no worker of it starts: " + std::string(e.reason));
  std::string sentence = "no worker could be started: " + std::string(e.reason);
  for (uint32_t i = 0; i < tasks_.end(); ++i) {
    TaskRecord& t = tasks_[i];
    if (!t.live || t.state != TaskState::kReady) continue;
    const TaskTemplate& tmpl = tasks_.tmpl_of(t);
    JobId pool_job = tmpl.language == model::Language::kCpp ? JobId{} : t.id.job();
    if (tmpl.language != pool.language || pool_job != pool.job || tmpl.runtime_env != 0) continue;
    fail_task(i, model::ErrorKind::kWorkerStartFailed, sentence);
  }
}

void NodeCore::on(const Tick&) {
  timer_at_ = kNever;
  scheduler_.tick(now_, &actions_);
  perform_all();
  kill_stopped_too_long();
}

void NodeCore::on(const Prestart& e) {
  scheduler_.prestart({e.job, e.language, e.runtime_env}, e.count, &actions_);
}

void NodeCore::on(const WorkersWarm&) { scheduler_.replace_cold(&actions_); }

void NodeCore::on(const FromClient& e) {
  Client* c = client(e.client);
  if (c == nullptr) return;
  // What each task costs goes the short way.
  if (const auto* submit = std::get_if<model::Submit>(&e.message)) return on_message(*c, *submit);
  if (const auto* done = std::get_if<model::Done>(&e.message)) return on_message(*c, *done);
  std::visit([&](const auto& m) { on_message(*c, m); }, e.message);
}

// ---------------------------------------------------------------- small tools

bool NodeCore::speaks_for(const Client& c, JobId id) const {
  if (c.job == id) return true;
  return c.role == model::Role::kWorker && c.job.value == 0 && jobs_.contains(id);
}

bool NodeCore::is_over_with_its_job(const TaskRecord& t) const {
  auto it = jobs_.find(t.id.job());
  if (it == jobs_.end() || !it->second.ended) return false;
  return !t.outlives_job || it->second.detached == 0;
}

void NodeCore::notice(JobId id, uint8_t severity, std::string text) {
  auto it = jobs_.find(id);
  if (it == jobs_.end() || client(it->second.driver) == nullptr) return;
  send(it->second.driver, model::Notice{severity, keep(std::move(text))});
}

void NodeCore::violation(Client& c, std::string what) {
  effects_->push_back(KillClient{c.id, keep("it broke the protocol: " + std::move(what))});
}

std::string_view NodeCore::keep(std::string text) {
  kept_something_ = true;
  kept_text_.push_back(std::move(text));
  return kept_text_.back();
}

std::span<const uint32_t> NodeCore::keep(std::vector<uint32_t> numbers) {
  if (numbers.empty()) return {};
  kept_something_ = true;
  kept_numbers_.push_back(std::move(numbers));
  return kept_numbers_.back();
}

std::string NodeCore::validate() const {
  if (cluster_)
    if (std::string wrong = cluster_->validate(); !wrong.empty()) return wrong;
  if (std::string wrong = objects_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = scheduler_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = actors_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = directory_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = streams_.validate(); !wrong.empty()) return wrong;
  for (uint32_t i = 0; i < actors_.end(); ++i) {
    const Worker* w = actors_[i].live ? scheduler_.worker(actors_[i].worker) : nullptr;
    std::vector<uint32_t> offered(actors_[i].groups.size());
    for (uint32_t task : w != nullptr && w->actor ? w->queue : std::vector<uint32_t>{})
      ++offered[tasks_[task].group];
    for (size_t g = 0; g < offered.size(); ++g)
      if (actors_[i].groups[g].offered != offered[g])
        return "actor " + actors_[i].handle.hex() + ": miscounts what is with its process";
  }
  if (std::string wrong = cancelling_.validate(); !wrong.empty()) return wrong;
  if (std::string wrong = environments_.validate(); !wrong.empty()) return wrong;
  size_t cancelled = 0;
  for (uint32_t i = 0; i < tasks_.end(); ++i) {
    const TaskRecord& t = tasks_[i];
    if (!t.live) continue;
    if (t.cancelling || t.has_deadline) ++cancelled;
    if (t.cancelling != cancelling_.asked(i)) return "a task disagrees about its end";
    std::string who = "task " + t.id.hex() + ": ";
    if (t.state == TaskState::kReady && !t.queued) return who + "ready but in no queue";
    if (t.state == TaskState::kWaiting && t.unready == 0) return who + "waits for nothing";
    uint32_t unready = 0;
    for (uint32_t r : t.refs())
      if (!objects_[r].ready) ++unready;
    if (t.state == TaskState::kWaiting && unready != t.unready)
      return who + "miscounts its arguments";
    for (uint32_t r : t.refs())
      if (objects_[r].internal_refs == 0) return who + "does not hold an argument";
    if (t.state == TaskState::kAtActor && !actors_.is_listed(i))
      return who + "at its actor but in no list";
    if (t.state == TaskState::kOffered && scheduler_.worker(t.worker) == nullptr)
      return who + "is offered to nobody";
  }
  if (cancelled != cancelling_.size()) return "cancelled tasks are miscounted";
  for (uint32_t i = 0; i < objects_.end(); ++i) {
    const ObjectRecord& o = objects_[i];
    const bool of_nobody = o.live && !o.ready && !o.shared && o.producer == kNoIndex;
    if (of_nobody && scheduler_.groups().find(o.id.task) == kNoIndex)
      return "object " + o.id.hex() + ": pending, of no task and no placement group";
  }
  return {};
}

}  // namespace sundog::core
