// NodeShell: start, turn, stop.
#include "node/node_shell.h"

#include <signal.h>

#include <algorithm>
#include <array>

#include "model/resources.h"
#include "net/control.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/machine.h"
#include "os/process.h"
#include "wire/error_layout.h"

namespace sundog::node {

// ---------------------------------------------------------------- start

Result<std::unique_ptr<NodeShell>> NodeShell::create(NodeOptions options) {
  std::unique_ptr<NodeShell> shell(new NodeShell(std::move(options)));
  if (Status s = shell->start(); !s) return Failure{s.error()};
  return shell;
}

NodeShell::NodeShell(NodeOptions options)
    : options_(std::move(options)), random_(static_cast<uint64_t>(os::wall_now())) {
  for (size_t i = 0; i < node_.bytes.size(); ++i) {
    node_.bytes[i] = static_cast<uint8_t>(random_.next());
  }
}

NodeShell::~NodeShell() = default;

Status NodeShell::start() {
  auto [files_before, files_now] = os::raise_open_files_limit();
  auto session = Session::create(options_.session_dir);
  if (!session) return Failure{session.error()};
  session_ = std::make_unique<Session>(*std::move(session));
  if (Status s = log_.open(session_->log_path("daemon.log")); !s) return s;
  log_.info("daemon starts", {{"session", options_.session},
                              {"pid", os::own_pid()},
                              {"cpus", options_.num_cpus / 10'000},
                              {"store_bytes", options_.store_bytes},
                              {"open_files_before", files_before},
                              {"open_files", files_now}});
  auto event_loop = loop::EventLoop::create();
  if (!event_loop) return Failure{event_loop.error()};
  loop_ = *std::move(event_loop);
  if (Status s = os::become_subreaper(); !s) return s;
  auto arena = Arena::create(options_.store_bytes, loop_.get());
  if (!arena) return Failure{arena.error()};
  arena_ = *std::move(arena);
  auto doorbell = shm::Doorbell::create(&doorbell_memory_);
  if (!doorbell) return Failure{doorbell.error()};
  doorbell_ = *std::move(doorbell);
  auto bell = os::make_eventfd();
  if (!bell) return Failure{bell.error()};
  bell_ = *std::move(bell);
  oom_kills_ = os::oom_kills();

  core::NodeConfig config;
  config.node = node_;
  config.session = options_.session;
  config.resources = options_.resources;
  config.resources.emplace_back("CPU", options_.num_cpus);
  if (options_.num_gpus > 0) config.resources.emplace_back("GPU", options_.num_gpus);
  if (options_.memory_bytes > 0) {
    config.resources.emplace_back("memory", options_.memory_bytes * model::kResourceUnit);
  }
  config.store_bytes = options_.store_bytes;
  config.encode_error = [](const model::SystemError& e) { return wire::encode_system_error(e); };
  core_ = std::make_unique<core::NodeCore>(std::move(config));

  constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  auto signals = os::make_signalfd(kSignals);
  if (!signals) return Failure{signals.error()};
  signals_ = *std::move(signals);
  auto watch = [this](int fd, std::function<void(const os::Readiness&)> f) -> Status {
    own_watchers_.push_back(std::make_unique<loop::FunctionWatcher>(std::move(f)));
    return loop_->watch(fd, own_watchers_.back().get());
  };
  if (Status s = watch(signals_.get(), [this](const os::Readiness&) { on_signal(); }); !s) return s;
  if (Status s = loop_->watch_bell(bell_.get()); !s) return s;
  output_ =
      std::make_unique<OutputLog>(loop_.get(), session_->folder() + "/logs",
                                  [this](OutputBatch batch) { deliver_output(std::move(batch)); });
  if (Status s = output_->start(); !s) return s;
  start_environments();
  if (!options_.python.empty()) {
    zygote_ = std::make_unique<ZygoteLink>(
        loop_.get(),
        ZygoteLink::Program{options_.python, options_.zygote, options_.zygote_config,
                            session_->log_path("zygote.log")},
        ZygoteLink::Listener{
            [this](uint64_t token, uint32_t pid, os::Fd pidfd) {
              on_forked(token, pid, std::move(pidfd));
            },
            [this](uint64_t token, std::string why) { on_fork_failed(token, std::move(why)); },
            [this](int stage) { on_stage_done(stage); }},
        &log_);
    if (Status s = zygote_->start(); !s) return s;
  }
  if (!options_.cpp_worker.empty()) use_cpp_worker(options_.cpp_worker, true);
  if (!options_.socket_path.empty()) {
    auto listener = net::listen_for_clients(options_.socket_path);
    if (!listener) return Failure{listener.error()};
    listener_ = *std::move(listener);
    if (Status s = watch(listener_.get(), [this](const os::Readiness&) { on_listener(); }); !s) {
      return s;
    }
  }
  if (options_.control_fd >= 0) add_newcomer(os::Fd(options_.control_fd), 0, 0);
  output_->run_on_disk_thread([this] {
    size_t removed = session_->remove_old_sessions(os::wall_now());
    if (removed > 0) log_.info("old sessions removed", {{"count", removed}});
    if (options_.socket_path.empty()) return;
    removed =
        session_->remove_dead_sockets(os::parent_folder(options_.socket_path), os::wall_now());
    if (removed > 0) log_.info("sockets of killed sessions removed", {{"count", removed}});
  });
  return ok_status();
}

// ---------------------------------------------------------------- the turn

void NodeShell::run() {
  int busy_turns = 0;
  while (!stopping_) {
    if (turn()) {
      if (++busy_turns % kTurnsBetweenPolls == 0) loop_->poll(0);
      if (!gathers_ || !shm::prepare_doze(doorbell_.map())) continue;
      loop_->poll(std::min(tick_at_, os::now() + Batching::kDozeMax));
      busy_turns = 0;
      shm::end_sleep(doorbell_.map());
      continue;
    }
    if (stopping_) break;
    if (!shm::prepare_sleep(doorbell_.map())) continue;
    loop_->poll(tick_at_);
    shm::end_sleep(doorbell_.map());
  }
  shut_down();
}

void NodeShell::stop(std::string reason) {
  if (!stopping_) log_.info("daemon stops", {{"why", reason}});
  stopping_ = true;
}

// Whether there was anything to do.
bool NodeShell::turn() {
  rung_.swap(more_to_read_);  // those that had more than their share come first
  shm::take_rung(doorbell_.map(), [&](uint32_t index) {
    if (index < clients_.size() && clients_[index] && !clients_[index]->rung) {
      rung_.push_back(index);
    }
  });
  bool is_time = tick_at_ != kNever && os::now() >= tick_at_;
  if (rung_.empty() && !is_time && to_publish_.empty()) return false;
  TimeNs started = os::now();
  uint64_t records_before = counters_.records;
  for (uint32_t index : rung_) {
    if (clients_[index]) clients_[index]->rung = false;
    if (!read_rung(index)) continue;
    clients_[index]->rung = true;
    more_to_read_.push_back(index);
  }
  rung_.clear();
  if (is_time) tick();
  publish_all();
  note_turn(started, records_before);
  return true;
}

void NodeShell::tick() {
  tick_at_ = kNever;
  now_ = os::now();
  decide(core::Tick{});
}

// Reads a bounded number of records; true if there are more.
bool NodeShell::read_rung(uint32_t index) {
  if (!clients_[index]) return false;
  ClientLink* client = clients_[index].get();
  if (client->state != LinkState::kAttached) return false;
  ClientId id = client->id;
  shm::Record record;
  int n = 0;
  first_of_several_ = true;
  while (n < kRecordsPerTurn && client->reader.next(&record)) {
    ++n;
    if (!read_record(client, record)) return false;
    if (link(id) != client || client->state != LinkState::kAttached) return false;
  }
  if (client->reader.broken()) {
    ++counters_.malformed;
    disconnect(client, model::DeathCause::Kind::kKilledByUs, 0,
               "its ring is damaged: a position or size in it cannot be");
    return false;
  }
  client->reader.release();  // parts of a message that is not whole yet take room too
  if (client->has_overflow() && client->flush()) mark_for_publishing(client);
  return client->reader.has_more();
}

// All that a client wrote before its end.
void NodeShell::read_all(ClientLink* client) {
  shm::Record record;
  first_of_several_ = true;
  while (!client->spoke_nonsense && client->reader.next(&record)) {
    if (!read_record(client, record)) return;
  }
}

bool NodeShell::read_record(ClientLink* client, const shm::Record& record) {
  ++counters_.records;
  auto& incoming = std::get<core::FromClient>(incoming_);
  std::string why;
  if (!wire::decode_client_message(static_cast<wire::RecordType>(record.type), record.payload,
                                   &decode_scratch_, &incoming.message, &why)) {
    ++counters_.malformed;
    log_.error("malformed record",
               {{"client", client->id.value}, {"pid", client->pid}, {"what", why}});
    client->spoke_nonsense = true;
    disconnect(client, model::DeathCause::Kind::kKilledByUs, 0,
               "it sent a malformed record: " + why);
    return false;
  }
  if (const auto* query = std::get_if<model::Query>(&incoming.message)) [[unlikely]] {
    if (query->question == model::Question::kOutput) {
      output_->mark(client->job, query->request);  // no business of the core
      return true;
    }
    if (query->question == model::Question::kJobs) {
      send(client, model::Reply{query->request, true, jobs_.json()});
      return true;
    }
    if (query->question == model::Question::kPastTasks) {
      send(client, model::Reply{query->request, true,
                                past_tasks_json(recorder_, failures_, *core_, query->argument)});
      return true;
    }
  }
  incoming.client = client->id;
  // The clock is read once for messages that lie side by side; but nothing follows from a task's
  // end before that end.
  if (first_of_several_ || !std::holds_alternative<model::Submit>(incoming.message)) {
    now_ = os::now();
    first_of_several_ = false;
  }
  decide(incoming_);
  return true;
}

void NodeShell::publish_all() {
  for (size_t i = 0; i < to_publish_.size(); ++i) {
    ClientLink* client = clients_[to_publish_[i]].get();
    if (client == nullptr || !client->listed) continue;
    client->listed = false;
    if (client->state != LinkState::kAttached) continue;
    client->flush();
    client->publish();
    bool waits = client->has_overflow() || !client->outputs.empty() || client->trace != nullptr;
    if (waits && std::find(full_.begin(), full_.end(), client->id) == full_.end()) {
      full_.push_back(client->id);
    }
  }
  to_publish_.clear();
  if (!full_.empty() && retry_timer_ == 0) {
    retry_timer_ = loop_->at(os::now() + retry_after_, [this] {
      retry_timer_ = 0;
      retry_full();
    });
  }
}

// Clients make room without telling us; ask again soon while they do, seldom while they do not.
void NodeShell::retry_full() {
  std::vector<ClientId> again;
  again.swap(full_);
  bool moved = false;
  for (ClientId id : again) {
    ClientLink* client = link(id);
    if (client == nullptr || client->state != LinkState::kAttached) continue;
    moved |= client->flush() || !client->is_busy();
    serve_patient(client);
  }
  retry_after_ = moved ? kRetryMin : std::min(retry_after_ * 2, kRetryMax);
}

void NodeShell::note_turn(TimeNs started, uint64_t records_before) {
  ++counters_.turns;
  TimeNs ended = os::now();
  DurationNs took = ended - started;
  gathers_ = batching_.after_turn(
      ended, {counters_.records - records_before, core_->tasks().live(), core_->waits().live()});
  counters_.longest_turn = std::max(counters_.longest_turn, took);
  if (took < kLongTurn) return;
  ++counters_.long_turns;
  log_.warning("a long turn", {{"us", took / kMicrosecond}, {"turn", counters_.turns}});
}

// ---------------------------------------------------------------- signals and the end

void NodeShell::on_signal() {
  while (int number = os::read_signalfd(signals_.get())) {
    if (number == SIGCHLD) {
      reap_strangers();
    } else {
      stop("it got " + os::signal_name(number));
    }
  }
}

// Children of dead workers become ours; workers and the zygote have pidfds of their own.
void NodeShell::reap_strangers() {
  while (pid_t pid = os::peek_ended_child()) {
    auto number = static_cast<uint32_t>(pid);
    bool known = (zygote_ && zygote_->pid() == pid) || environments_->knows(pid);
    for (const auto& client : clients_) known |= client && client->pid == number;
    for (const auto& [token, spawn] : spawns_) known |= spawn.pid == number;
    if (known) return;      // its pidfd is readable; strangers behind it have their turn after that
    catch_up_with_forks();  // one may have ended before we heard of it
    for (const auto& [token, spawn] : spawns_) known |= spawn.pid == number;
    if (known) return;
    os::reap_child(pid);
  }
}

void NodeShell::shut_down() {
  if (listener_) {
    loop_->unwatch(listener_.get());
    os::remove_file(options_.socket_path);
  }
  std::vector<int> pidfds;
  auto end = [&](uint32_t pid, const os::Fd& pidfd) {
    os::kill_process_group(static_cast<pid_t>(pid));
    if (!pidfd) return;
    os::send_signal_pidfd(pidfd.get(), SIGKILL);  // it may not lead a group yet
    pidfds.push_back(pidfd.get());
  };
  for (const auto& client : clients_) {
    if (client && client->is_fork()) end(client->pid, client->pidfd);
  }
  for (const auto& [token, spawn] : spawns_) {
    if (spawn.pid != 0) end(spawn.pid, spawn.pidfd);
  }
  if (zygote_) zygote_->stop();
  environments_->stop();
  TimeNs deadline = os::now() + kSecond;
  for (int pidfd : pidfds) {
    os::ExitInfo ignored;
    os::wait_pidfd_until(pidfd, deadline, &ignored);
  }
  output_->stop();
  arena_->stop();
  os::remove_file(options_.zygote_config);
  remove_descriptions();
  os::remove_tree(session_->environments_folder());
  log_.info("daemon ends", {{"turns", counters_.turns},
                            {"long_turns", counters_.long_turns},
                            {"longest_turn_us", counters_.longest_turn / kMicrosecond},
                            {"records", counters_.records},
                            {"malformed", counters_.malformed},
                            {"events", recorder_.end()},
                            {"events_dropped", recorder_.dropped()}});
}

}  // namespace sundog::node
