#include "sim/sim_node.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/probe.h"
#include "shm/claims.h"

namespace sundog::sim {

namespace {

constexpr uint64_t kPage = model::kPageBytes;
constexpr uint64_t kPoison = 0xDEADDEADDEADDEADull;

core::NodeConfig node_config(const SimConfig& config, uint32_t index, uint32_t gpus) {
  core::NodeConfig c;
  c.node = SimNetwork::node_id(index);
  c.session = "sim";
  c.resources = {{"CPU", int64_t{config.cpus} * model::kResourceUnit},
                 {"GPU", int64_t{gpus} * model::kResourceUnit}};
  c.store_bytes = config.store_bytes;
  c.encode_error = [](const model::SystemError& e) { return std::string(e.sentence); };
  return c;
}

}  // namespace

void SimWorld::trace(const std::string& line) const {
  if (config.trace)
    std::fprintf(stderr, "%12lld %s\n", static_cast<long long>(queue.now()), line.c_str());
}

SimNode::SimNode(SimWorld* world, uint32_t index, SimNetwork* network)
    : world_(world),
      index_(index),
      network_(network),
      cpus_(world->config.cpus),
      // In a cluster only some nodes have GPUs, so that some tasks must go elsewhere.
      gpus_(network == nullptr || index + 1 == world->config.nodes ? world->config.gpus : 0),
      core_random_(mix(world->config.seed, index)) {
  boot();
}

void SimNode::boot() {
  ++life_;
  core_ = std::make_unique<core::NodeCore>(node_config(world_->config, index_, gpus_));
  arena_.assign(world_->config.store_bytes / kPage, kPoison);
  if (network_ == nullptr) return;
  core::ClusterConfig cluster;
  cluster.node = SimNetwork::node_id(index_);
  cluster.boot = mix(world_->config.seed, 7'000'000 + 1000 * index_ + life_) >> 16;
  cluster.pulls = {4 * kPage, 2, 100 * kMillisecond};
  cluster.spill_queue = 6;
  core_->join_cluster(cluster);
  uint64_t number = ++peer_timer_number_;
  at(now() + 1, [this, number] {
    if (number == peer_timer_number_) step_peer(core::PeerTick{});
  });
}

void SimNode::crash() {
  if (!is_up()) return;
  world_->trace(name() + ": crash");
  for (auto& [id, a] : processes_) {
    if (a.process->alive()) a.process->kill({id, {}});
    if (a.process->who().role == model::Role::kDriver && !a.gone)
      world_->oracle.job_ended(a.process->who().job);
    graveyard_.push_back(std::move(a.process));
  }
  world_->oracle.node_died(index_);
  processes_.clear();
  generations_.clear();
  settled_.clear();
  extents_.clear();
  core_.reset();
  ++life_;
}

void SimNode::at(TimeNs when, std::function<void()> what) {
  world_->queue.at(when, [this, life = life_, what = std::move(what)] {
    if (life == life_) what();
  });
}

// ---------------------------------------------------------------- processes

ClientId SimNode::new_client_id() {
  // The lowest index that is free; what a dead process left must not confuse its successor.
  uint32_t index = 1;
  for (; generations_.contains(index); ++index) {
    ClientId last = ClientId::make(index, generations_[index]);
    auto found = processes_.find(last);
    if (found != processes_.end() && found->second.gone) break;
  }
  if (generations_.contains(index)) SUNDOG_PROBE("sim.client_index_reused");
  return ClientId::make(index, ++generations_[index]);
}

SimProcess* SimNode::attach(core::ClientConnected who) {
  who.client = new_client_id();
  who.pid = ++last_pid_;
  Attached& a = processes_[who.client];
  a.process = std::make_unique<SimProcess>(this, who, Random(world_->random.next()));
  SimProcess* process = a.process.get();
  step(who);
  process->start();
  return process;
}

void SimNode::start_driver(JobId job) {
  core::ClientConnected who;
  who.role = model::Role::kDriver;
  who.job = job;
  if (world_->config.rival_tasks > 0) who.weight = model::kJobWeightUnit * (1 + job.value % 3);
  attach(who);
  if (world_->random.one_in(2))
    step(core::Prestart{job, model::Language::kPython, 0, world_->config.cpus});
}

void SimNode::end_detached() {
  if (!is_up() || core_->actors().live() + core_->scheduler().groups().live() == 0) return;
  core::ClientConnected who;
  who.role = model::Role::kTool;
  attach(who);
}

SimNode::Attached* SimNode::find(ClientId id) {
  auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : &found->second;
}

void SimNode::kill(ClientId id, model::DeathCause cause) {
  Attached* a = find(id);
  if (a == nullptr || !a->process->alive()) return;
  world_->trace(name() + ": kill " + a->process->describe());
  a->process->kill({id, cause});
  announce_gone(id, cause);
}

void SimNode::process_finished(SimProcess* process, int32_t exit_code) {
  world_->trace(name() + ": end of " + process->describe());
  announce_gone(process->who().client, {model::DeathCause::Kind::kExited, exit_code, {}});
}

// The core hears of a death after everything that the process published.
void SimNode::announce_gone(ClientId id, model::DeathCause cause) {
  Attached* a = find(id);
  TimeNs when =
      std::max(now() + world_->delay(kMicrosecond, 3 * kMillisecond), a->to_core_free + 1);
  bool was_driver = a->process->who().role == model::Role::kDriver;
  JobId job = a->process->who().job;
  at(when, [this, id, cause, was_driver, job] {
    find(id)->gone = true;
    if (was_driver) {
      world_->oracle.job_ended(job);
      groups_end_with(job);
    }
    step(core::ClientGone{id, cause});
  });
}

void SimNode::kill_random_worker() {
  std::vector<ClientId> alive;
  for (const auto& [id, a] : processes_)
    if (a.process->alive() && a.process->who().role == model::Role::kWorker) alive.push_back(id);
  if (alive.empty()) return;
  kill(alive[world_->random.below(alive.size())], {model::DeathCause::Kind::kSignalled, 9, {}});
}

void SimNode::kill_random_driver() {
  std::vector<ClientId> alive;
  for (const auto& [id, a] : processes_)
    if (a.process->alive() && a.process->who().role == model::Role::kDriver) alive.push_back(id);
  if (alive.empty()) return;
  SUNDOG_PROBE("sim.driver_killed");
  kill(alive[world_->random.below(alive.size())], {model::DeathCause::Kind::kSignalled, 9, {}});
}

bool SimNode::has_drivers() const {
  for (const auto& [id, a] : processes_)
    if (a.process->who().role == model::Role::kDriver && !a.gone) return true;
  return false;
}

void SimNode::to_core(SimProcess* from, wire::RecordType type, std::vector<std::byte> payload) {
  Attached* a = find(from->who().client);
  TimeNs when = std::max(now() + world_->delay(500, 30 * kMicrosecond), a->to_core_free + 1);
  a->to_core_free = when;
  at(when, [this, id = from->who().client, type, payload = std::move(payload)] {
    auto decoded = wire::decode_client_message(type, payload, &scratch_);
    if (!decoded.ok())
      return world_->oracle.fail("a client's message cannot be read: " + decoded.error());
    world_->trace(name() + ": client " + std::to_string(id.value) + " says record " +
                  std::to_string(static_cast<int>(type)));
    if (const auto* cancel = std::get_if<model::CancelTask>(&decoded.value())) hears_of(*cancel);
    if (const auto* remove = std::get_if<model::RemovePlacementGroup>(&decoded.value()))
      group_ends(remove->group);
    step(core::FromClient{id, decoded.value()});
  });
}

// A task that this node owns, and has or may give away no more, begins no further attempt.
void SimNode::hears_of(const model::CancelTask& cancel) {
  const uint32_t index = core_->tasks().find(cancel.task);
  if (index == core::kNoIndex) return;
  const core::TaskRecord& t = core_->tasks()[index];
  if (t.foreign || t.state == core::TaskState::kRemote) return;
  const bool queued = t.state == core::TaskState::kWaiting || t.state == core::TaskState::kReady ||
                      t.state == core::TaskState::kAtActor;
  for (uint32_t argument : t.refs()) {
    const core::ObjectRecord& object = core_->objects()[argument];
    if (queued && !object.ready && object.shared && object.producer == core::kNoIndex)
      SUNDOG_PROBE("sim.cancelled_while_fetching");
  }
  world_->oracle.cancel_heard(cancel.task, t.attempt, queued);
}

// ---------------------------------------------------------------- the core

void SimNode::step(const core::Event& event) {
  core::Effects effects;
  core_->step(now(), core_random_, event, &effects);
  after_step(effects);
}

void SimNode::step_peer(const core::PeerEvent& event) {
  if (!is_up()) return;
  core::Effects effects;
  core_->step_peer(now(), core_random_, event, &effects);
  after_step(effects);
}

void SimNode::after_step(const core::Effects& effects) {
  ++world_->steps;
  uint64_t life = life_;
  for (const core::Effect& effect : effects) perform(effect);
  for (const core::PeerEffect& effect : core_->take_peer_effects()) {
    std::visit([this](const auto& e) { on_effect(e); }, effect);
    if (life != life_) return;
  }
  if (std::string wrong = core_->validate(); !wrong.empty())
    world_->oracle.fail(name() + ": " + wrong);
  if (world_->config.groups) check_waiting_groups();
}

void SimNode::perform(const core::Effect& effect) {
  std::visit([this](const auto& e) { on_effect(e); }, effect);
}

void SimNode::on_effect(const core::ToClient& e) {
  auto type = wire::encode(e.message, &encode_buffer_);
  world_->note("to", &e.client.value, 4);
  world_->note("record", encode_buffer_.data(), encode_buffer_.size());
  Attached* a = find(e.client);
  if (a == nullptr || a->gone)
    return world_->oracle.fail(name() + ": the core writes to a client that is gone");
  if (auto* execute = std::get_if<model::Execute>(&e.message)) {
    uint32_t& word = a->process->claim_word(execute->slot);
    if ((word & 3) == static_cast<uint32_t>(shm::ClaimState::kOffered))
      world_->oracle.fail(name() + ": a claim slot is offered twice");
    word = shm::claim_word(execute->generation, shm::ClaimState::kOffered);
  } else if (auto* grant = std::get_if<model::Grant>(&e.message)) {
    uint64_t end = grant->extent.offset + grant->extent.size;
    for (const auto& [offset, lent] : extents_)
      if (offset < end && grant->extent.offset < offset + lent.size)
        world_->oracle.fail(name() + ": memory was granted that is in use");
    if (end > world_->config.store_bytes) world_->oracle.fail(name() + ": granted past the arena");
    extents_[grant->extent.offset] = {grant->extent.size, Use::kGranted};
  } else if (auto* notice = std::get_if<model::Notice>(&e.message)) {
    world_->trace(name() + ": notice: " + std::string(notice->text));
  }
  if (!a->process->alive()) return;
  TimeNs when = std::max(now() + world_->delay(500, 30 * kMicrosecond), a->to_process_free + 1);
  a->to_process_free = when;
  at(when, [this, id = e.client, type, payload = encode_buffer_] {
    SimProcess* process = find(id)->process.get();
    if (process->alive()) process->receive(type, payload);
  });
}

// The compare-and-swap happens a little later, and the core hears of it later still.
void SimNode::on_effect(const core::RevokeClaim& e) {
  uint32_t key[] = {e.worker.value, e.slot, e.generation};
  world_->note("revoke", key, sizeof key);
  find(e.worker)->process->contested();
  TimeNs swap_at = now() + world_->delay(0, 20 * kMicrosecond);
  TimeNs tell_after = world_->delay(0, 20 * kMicrosecond);
  at(swap_at, [this, e, tell_after] {
    uint32_t& word = find(e.worker)->process->claim_word(e.slot);
    bool won = word == shm::claim_word(e.generation, shm::ClaimState::kOffered);
    if (won) word = shm::claim_word(e.generation, shm::ClaimState::kRevoked);
    if (won) {
      SUNDOG_PROBE("sim.revoke_won");
    } else {
      SUNDOG_PROBE("sim.revoke_lost");
    }
    at(now() + tell_after, [this, e, won] {
      step(core::ClaimRevoked{e.worker, e.slot, e.generation, won});
    });
  });
}

void SimNode::on_effect(const core::SpawnWorker& e) {
  world_->note("spawn", &e.token, 8);
  TimeNs when = now() + world_->delay(200 * kMicrosecond, 5 * kMillisecond);
  uint32_t one_in = world_->config.spawn_fails_one_in;
  // Fewer in a row than the core takes for hopeless.
  bool fails = one_in != 0 && failed_starts_ < 2 && world_->random.one_in(one_in);
  failed_starts_ = fails ? failed_starts_ + 1 : 0;
  bool warm = is_warm_;
  if (!warm && world_->random.one_in(8)) {  // the imports are done while workers start
    is_warm_ = true;
    at(when + kMillisecond, [this] { step(core::WorkersWarm{}); });
  }
  at(when, [this, e, fails, warm] {
    if (fails) return step(core::SpawnFailed{e.token, "the simulator said so"});
    core::ClientConnected who;
    who.role = model::Role::kWorker;
    who.language = e.language;
    who.job = e.job;
    who.runtime_env = e.runtime_env;
    who.spawn_token = e.token;
    who.warm = warm;
    attach(who);
  });
}

void SimNode::on_effect(const core::KillClient& e) {
  world_->note("kill", &e.client.value, 4);
  world_->trace(name() + ": the core kills client " + std::to_string(e.client.value) + ": " +
                std::string(e.reason));
  if (e.reason.find("protocol") != std::string_view::npos)
    world_->oracle.fail(name() + ": " + std::string(e.reason));
  const bool for_cancelling = e.reason == "its task is cancelled";
  const bool for_group = e.reason == "its placement group was removed";
  at(now() + world_->delay(kMicrosecond, kMillisecond),
     [this, id = e.client, for_cancelling, for_group] {
       const SimProcess& process = *find(id)->process;
       if (for_cancelling && process.alive() && process.runs_task())
         world_->oracle.killed_for_cancelling(process.running_task());
       if (for_group && process.alive() && !process.actor().is_nil() &&
           !world_->oracle.may_be_dead(process.actor()))
         world_->oracle.fail("an actor was ended with its placement group, which nobody removed");
       kill(id, {model::DeathCause::Kind::kKilledByUs, 9, {}});
     });
}

void SimNode::on_effect(const core::ExtentFreed& e) {
  world_->note("freed", &e.extent, sizeof e.extent);
  auto lent = extents_.find(e.extent.offset);
  if (lent == extents_.end() || lent->second.size != e.extent.size)
    return world_->oracle.fail(name() + ": bytes were freed that were not in use");
  for (const auto& [id, a] : processes_) {
    if (!a.process->alive()) continue;
    for (const auto& [object, view] : a.process->views())
      if (view.extent.offset == e.extent.offset)
        world_->oracle.fail(name() + ": bytes of object " + object.hex() +
                            " were freed under a view of " + a.process->describe());
    if (a.process->grants().contains(e.extent.offset))
      world_->oracle.fail(name() + ": a grant was freed while " + a.process->describe() +
                          " writes");
  }
  for (uint64_t p = 0; p < e.extent.size; p += kPage)
    arena_[(e.extent.offset + p) / kPage] = kPoison;
  extents_.erase(lent);
}

void SimNode::on_effect(const core::SetTimer& e) {
  world_->note("timer", &e.at, sizeof e.at);
  uint64_t number = ++timer_number_;
  if (e.at == kNever) return;
  at(e.at + world_->delay(0, 100 * kMicrosecond), [this, number] {
    if (number == timer_number_) step(core::Tick{});
  });
}

void SimNode::on_effect(const core::RecordTask& e) {
  world_->note("task", &e.event.task, sizeof e.event.task);
}

void SimNode::on_effect(const core::AnswerTimeline& e) {
  world_->note("timeline", &e.request, sizeof e.request);
}

void SimNode::on_effect(const core::JobSettled& e) {
  world_->note("settled", &e.job, sizeof e.job);
  if (!settled_.insert(e.job).second) world_->oracle.fail(name() + ": a job was settled twice");
}

// Some environments take long, some fail now and then, and one cannot be built.
void SimNode::on_effect(const core::PrepareEnvironment& e) {
  world_->note("prepare", &e.hash, sizeof e.hash);
  const bool fails = e.hash == kBrokenEnvironment || world_->random.one_in(6);
  const TimeNs when = now() + world_->delay(kMillisecond, 40 * kMillisecond);
  at(when, [this, hash = e.hash, attempt = e.attempt, fails] {
    if (fails) return step(core::EnvironmentFailed{hash, attempt, "the simulator said so"});
    step(core::EnvironmentReady{hash, attempt});
  });
}

void SimNode::on_effect(const core::AbortEnvironment& e) {
  world_->note("abort", &e.hash, sizeof e.hash);
}

void SimNode::on_effect(const core::EndEnvironment& e) {
  world_->note("end", &e.hash, sizeof e.hash);
}

// ---------------------------------------------------------------- the network

void SimNode::on_effect(const core::ToPeer& e) {
  core::ToPeer message = e;
  if (auto* chunk = std::get_if<model::PullChunk>(&message.message)) {
    for (uint64_t p = 0; p < chunk->length; p += kPage) {
      uint64_t word = arena_[(chunk->source.offset + p) / kPage];
      chunk->bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
  }
  network_->send(index_, message);
}

void SimNode::on_effect(const core::ToController& e) {
  if (!retired_) network_->send(index_, e);
}

void SimNode::on_effect(const core::FetchStarted& e) {
  for (const auto& [offset, lent] : extents_)
    if (offset < e.extent.offset + e.extent.size && e.extent.offset < offset + lent.size)
      world_->oracle.fail(name() + ": an object is fetched into memory that is in use");
  extents_[e.extent.offset] = {e.extent.size, Use::kSealed};
}

void SimNode::on_effect(const core::StoreChunk& e) {
  world_->note("chunk", &e.offset, sizeof e.offset);
  for (size_t i = 0; i * 8 < e.bytes.size(); ++i)
    std::memcpy(&arena_[(e.extent.offset + e.offset) / kPage + i], e.bytes.data() + i * 8, 8);
}

void SimNode::on_effect(const core::PeerTimer& e) {
  uint64_t number = ++peer_timer_number_;
  if (retired_) return;
  at(e.at, [this, number] {
    if (number == peer_timer_number_) step_peer(core::PeerTick{});
  });
}

void SimNode::on_effect(const core::EndSession&) {
  SUNDOG_PROBE("sim.node_fenced");
  world_->trace(name() + ": fenced");
  // The shell ends the process and a new one starts.
  at(now(), [this] {
    crash();
    boot();
  });
}

// ---------------------------------------------------------------- memory

void SimNode::write_arena(const model::Extent& extent, uint64_t content) {
  for (uint64_t p = 0; p < extent.size; p += kPage) arena_[(extent.offset + p) / kPage] = content;
}

uint64_t SimNode::read_arena(const model::Extent& extent) const {
  uint64_t content = arena_[extent.offset / kPage];
  for (uint64_t p = 0; p < extent.size; p += kPage)
    if (arena_[(extent.offset + p) / kPage] != content) return 0;
  return content;
}

void SimNode::sealed(const model::Extent& extent) {
  auto lent = extents_.find(extent.offset);
  if (lent == extents_.end()) return world_->oracle.fail("sealed what was not granted");
  lent->second = {extent.size, Use::kSealed};
}

// ---------------------------------------------------------------- checks

// A worker takes resources when its task begins; one that has blocked and resumed may overdraw
// the CPUs up to twice their number. Counted from what the processes do, not from what the core
// believes.
void SimNode::check_running() {
  int64_t fresh = 0, all = 0, gpus = 0;
  for (const auto& [id, a] : processes_) {
    const SimProcess& p = *a.process;
    if (!p.alive()) continue;
    gpus += p.running_gpu();
    if (p.is_blocked()) continue;
    all += p.running_cpu();
    if (!p.has_blocked()) fresh += p.running_cpu();
  }
  int64_t cpus = int64_t{cpus_} * model::kResourceUnit;
  if (fresh > cpus) {
    trace_state();
    world_->oracle.fail(name() + ": tasks started on CPUs that are taken");
  }
  if (gpus > int64_t{gpus_} * model::kResourceUnit)
    world_->oracle.fail(name() + ": tasks started on GPUs that are taken");
  if (all > cpus) SUNDOG_PROBE("sim.cpus_overdrawn_by_resumed_workers");
  if (world_->config.groups) check_bundles();
}

void SimNode::trace_state() const {
  for (const auto& [id, a] : processes_)
    if (a.process->alive() || !a.gone)
      world_->trace("client " + std::to_string(id.value) + ": " + a.process->describe_state());
  world_->trace(core_->dump_json());
}

bool SimNode::is_empty() const {
  // A process that is being started for a GPU has it already.
  if (core_->scheduler().available() != core_->scheduler().total()) return false;
  return core_->tasks().live() == 0 && core_->actors().live() == 0 &&
         core_->objects().live() == 0 && core_->scheduler().num_workers() == 0 &&
         groups_left() == 0 && extents_.empty() &&
         (core_->cluster() == nullptr || core_->cluster()->leftovers().empty());
}

void SimNode::check_empty() {
  auto expect = [&](bool good, const std::string& what) {
    if (!good) world_->oracle.fail(name() + " at the end: " + what);
  };
  expect(core_->tasks().live() == 0, std::to_string(core_->tasks().live()) + " tasks left");
  expect(core_->actors().live() == 0, std::to_string(core_->actors().live()) + " actors left");
  expect(core_->names().size() == 0, "names left");
  expect(groups_left() == 0, std::to_string(groups_left()) + " placement groups left");
  expect(core_->objects().live() == 0, std::to_string(core_->objects().live()) + " objects left");
  expect(core_->objects().used_bytes() == 0, "bytes in use");
  expect(core_->objects().pinned_objects() == 0, "pins left");
  expect(core_->scheduler().available() == core_->scheduler().total(), "resources not given back");
  expect(core_->scheduler().num_workers() == 0, "workers left");
  expect(extents_.empty(), "extents left");
  if (core_->cluster() != nullptr)
    expect(core_->cluster()->leftovers().empty(), core_->cluster()->leftovers());
}

}  // namespace sundog::sim
