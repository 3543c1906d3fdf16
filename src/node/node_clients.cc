// NodeShell: who attaches, and who leaves.
#include <cstring>

#include "net/control.h"
#include "node/node_shell.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/machine.h"
#include "os/socket.h"

namespace sundog::node {
namespace {

constexpr shm::ChannelSizes kDriverRings{1 << 20, 1 << 20};
constexpr shm::ChannelSizes kWorkerRings{1 << 18, 1 << 18};

std::string sentence_of(const os::Received& received) {
  return received.status == os::ReceiveStatus::kHangUp ? "it hung up" : received.error;
}

}  // namespace

// ---------------------------------------------------------------- before the Hello

void NodeShell::on_listener() {
  for (;;) {
    auto accepted = os::accept_unix(listener_.get());
    if (!accepted) {
      log_.warning("cannot accept a connection", {{"why", accepted.error()}});
      return;
    }
    if (!*accepted) return;
    auto pid = net::check_peer(accepted->get());
    if (!pid) {
      log_.warning("connection refused", {{"why", pid.error()}});
      net::send_control(accepted->get(), net::make_goodbye(pid.error())).ok();
      continue;
    }
    add_newcomer(*std::move(accepted), 0, *pid);
  }
}

void NodeShell::add_newcomer(os::Fd socket, uint64_t spawn_token, pid_t pid) {
  int number = socket.get();
  Newcomer newcomer;
  newcomer.socket = std::move(socket);
  newcomer.spawn_token = spawn_token;
  newcomer.pid = pid;
  newcomer.watcher = std::make_unique<loop::FunctionWatcher>(
      [this, number](const os::Readiness&) { on_newcomer(number); });
  if (!loop_->watch(number, newcomer.watcher.get())) return;
  if (spawn_token == 0) {  // a fork's patience is its process's life
    newcomer.deadline = loop_->at(os::now() + kHelloPatience,
                                  [this, number] { refuse(number, "no Hello came in time"); });
  }
  newcomers_.emplace(number, std::move(newcomer));
}

void NodeShell::drop_newcomer(int socket) {
  auto it = newcomers_.find(socket);
  if (it == newcomers_.end()) return;
  loop_->unwatch(socket);
  loop_->cancel(it->second.deadline);
  newcomers_.erase(it);
}

// The first driver may end before it said who it is.
void NodeShell::stop_if_alone() {
  if (drivers_seen_ == 0 && newcomers_.empty() && !options_.stay) stop("no driver came");
}

void NodeShell::refuse(int socket, std::string_view reason) {
  log_.warning("client refused", {{"why", reason}});
  net::send_control(socket, net::make_goodbye(reason)).ok();
  drop_newcomer(socket);
  stop_if_alone();
}

void NodeShell::on_newcomer(int socket) {
  os::Received received = os::receive_packet(socket, /*wait=*/false);
  if (received.status == os::ReceiveStatus::kNothing) return;
  if (received.status != os::ReceiveStatus::kPacket) {
    uint64_t token = newcomers_.at(socket).spawn_token;
    if (token == 0) {
      log_.info("a connection ended before its Hello", {{"why", sentence_of(received)}});
      drop_newcomer(socket);
      stop_if_alone();
    } else {
      loop_->unwatch(socket);  // the fork's end is its pidfd's to tell
    }
    return;
  }
  auto hello = wire::parse_control<wire::Hello>(received.data);
  if (!hello) {
    refuse(socket, hello.error());
    return;
  }
  // What the zygote says of a fork comes before what the fork itself says.
  if (newcomers_.at(socket).spawn_token != 0) catch_up_with_forks();
  auto node = newcomers_.extract(socket);
  if (node.empty()) return;  // the fork failed meanwhile
  loop_->unwatch(socket);
  loop_->cancel(node.mapped().deadline);
  Status attached = attach(std::move(node.mapped()), *hello);
  if (!attached) log_.warning("client refused", {{"why", attached.error()}, {"pid", hello->pid}});
}

// ---------------------------------------------------------------- the Hello

uint32_t NodeShell::free_index() {
  for (uint32_t i = 0; i < clients_.size(); ++i) {
    if (!clients_[i]) return i;
  }
  clients_.emplace_back();
  generations_.push_back(0);
  return static_cast<uint32_t>(clients_.size() - 1);
}

Result<std::unique_ptr<ClientLink>> NodeShell::make_link(const wire::Hello& hello) {
  auto client = std::make_unique<ClientLink>();
  client->role = static_cast<model::Role>(hello.role);
  client->language = static_cast<model::Language>(hello.language);
  client->pid = hello.pid;
  auto eventfd = os::make_eventfd();
  if (!eventfd) return Failure{eventfd.error()};
  client->eventfd = *std::move(eventfd);
  if (auto pidfd = os::open_pidfd(static_cast<pid_t>(hello.pid))) {
    client->pidfd = *std::move(pidfd);  // without it the socket's end must do
  }
  return client;
}

// The fork said Hello: what was kept for it becomes its client's.
void NodeShell::adopt_fork(ClientLink* client, Spawn* spawn) {
  client->job = spawn->job;
  client->label = spawn->label;
  client->pidfd = std::move(spawn->pidfd);
  loop_->unwatch(client->pidfd.get());
  output_->add_worker(spawn->pid, spawn->job, std::move(spawn->out), std::move(spawn->err),
                      spawn->label);
}

Status NodeShell::attach(Newcomer newcomer, const wire::Hello& hello) {
  auto refused = [&](std::string reason) -> Status {
    net::send_control(newcomer.socket.get(), net::make_goodbye(reason)).ok();
    return Failure{std::move(reason)};
  };
  Spawn* spawn = nullptr;
  if (newcomer.spawn_token != 0) {
    auto it = spawns_.find(newcomer.spawn_token);
    bool is_worker = hello.role == static_cast<uint8_t>(model::Role::kWorker);
    if (it == spawns_.end() || it->second.pid != hello.pid || !is_worker) {
      return refused("it is not the worker that was forked for this socket");
    }
    spawn = &it->second;
  } else if (newcomer.pid != 0 && static_cast<uint32_t>(newcomer.pid) != hello.pid) {
    return refused("it says that it is process " + std::to_string(hello.pid) +
                   " but the kernel says " + std::to_string(newcomer.pid));
  }
  uint32_t index = free_index();
  if (index > ClientId::kIndexMax) return refused("4096 clients are attached already");
  auto made = make_link(hello);
  if (!made) return refused(made.error());
  std::unique_ptr<ClientLink> client = *std::move(made);
  bool is_driver = client->role == model::Role::kDriver;
  os::Fd memory;
  auto channel = shm::Channel::create(is_driver ? kDriverRings : kWorkerRings, &memory);
  if (!channel) return refused(channel.error());
  client->channel = *std::move(channel);
  client->reader = client->channel.to_node_reader();
  client->writer = client->channel.to_client_writer();
  client->id = ClientId::make(index, ++generations_[index]);
  client->control = std::move(newcomer.socket);
  core::ClientConnected connected;
  connected.runtime_env = hello.runtime_env;
  if (is_driver) {
    client->job = JobId{next_job_++};
    drivers_[client->job] = client->id;
    name_spaces_[client->job] = hello.name_space;
    keep_description(client->job, hello.pid);
    if (hello.job_weight > 0) connected.weight = hello.job_weight;
    jobs_.began(client->job,
                {hello.pid, hello.entry_point, hello.name_space, connected.weight, os::wall_now()});
    ++drivers_seen_;
  } else if (spawn != nullptr) {
    connected.spawn_token = spawn->token;
    connected.runtime_env = spawn->runtime_env;
    connected.warm = spawn->stage >= kWarmStage;
    adopt_fork(client.get(), spawn);
    spawns_.erase(newcomer.spawn_token);
  } else if (client->language == model::Language::kCpp) {
    learn_cpp_worker(hello.entry_point);
  }
  client->channel_memory = std::move(memory);
  // What we forked is in our cgroup. Where memory may be refused, only we ask for it.
  client->makes_pages =
      (client->is_fork() || os::shares_our_cgroup(client->pid)) && !os::commits_strictly();
  connected.client = client->id;
  connected.role = client->role;
  connected.language = client->language;
  connected.job = client->job;
  connected.pid = client->pid;
  log_.info("client attached", {{"client", client->id.value},
                                {"role", static_cast<int>(client->role)},
                                {"pid", client->pid},
                                {"job", client->job.value},
                                {"entry", std::string_view(hello.entry_point)}});
  ClientLink* link = client.get();
  clients_[index] = std::move(client);
  queue_event(connected);
  if (Status s = watch_client(link); !s) {
    disconnect(link, model::DeathCause::Kind::kDisconnected, 0, s.error());
    return s;
  }
  if (is_driver && hello.prestart > 0 && zygote_) {
    queue_event(
        core::Prestart{link->job, model::Language::kPython, hello.runtime_env, hello.prestart});
    // Its first tasks would only wait for the workers: they start while init() is still running.
    loop_->at(os::now() + kWelcomePatience, [this, id = link->id] { welcome(id); });
    return ok_status();
  }
  JobId job = link->job;
  welcome(link->id);  // may end the link
  if (spawn != nullptr) welcome_driver_if_ready(job);
  return ok_status();
}

void NodeShell::welcome(ClientId id) {
  ClientLink* client = link(id);
  if (client == nullptr || !client->channel_memory) return;
  int fds[] = {client->channel_memory.get(), doorbell_memory_.get(), bell_.get(),
               client->eventfd.get(), arena_->read_only()};
  Status sent = net::send_control(client->control.get(), make_welcome(*client), fds);
  client->channel_memory.reset();
  if (!sent) disconnect(client, model::DeathCause::Kind::kDisconnected, 0, sent.error());
}

void NodeShell::welcome_driver_if_ready(JobId job) {
  for (const auto& [token, spawn] : spawns_) {
    if (spawn.job == job) return;
  }
  if (ClientLink* driver = driver_of(job)) welcome(driver->id);
}

wire::Welcome NodeShell::make_welcome(const ClientLink& client) const {
  wire::Welcome welcome;
  welcome.client = client.id.value;
  welcome.job = client.job.value;
  welcome.daemon_pid = static_cast<uint32_t>(os::own_pid());
  std::memcpy(welcome.node, node_.bytes.data(), sizeof welcome.node);
  net::copy_text(reinterpret_cast<char(&)[16]>(welcome.session), options_.session);
  welcome.store_bytes = options_.store_bytes;
  welcome.total_memory_bytes = static_cast<uint64_t>(os::usable_memory().value);
  welcome.num_cpus = options_.num_cpus;
  welcome.num_gpus = options_.num_gpus;
  welcome.num_arenas = 1;
  welcome.arena_bytes[0] = arena_->bytes();
  net::copy_text(welcome.session_dir, session_->folder());
  auto name_space = name_spaces_.find(client.job);
  if (name_space != name_spaces_.end()) net::copy_text(welcome.name_space, name_space->second);
  return welcome;
}

Status NodeShell::watch_client(ClientLink* client) {
  ClientId id = client->id;
  client->control_watcher = std::make_unique<loop::FunctionWatcher>(
      [this, id](const os::Readiness& r) { on_control(id, r); });
  if (Status s = loop_->watch(client->control.get(), client->control_watcher.get()); !s) return s;
  if (!client->pidfd) return ok_status();
  client->pidfd_watcher = std::make_unique<loop::FunctionWatcher>(
      [this, id](const os::Readiness&) { on_process_end(id); });
  return loop_->watch(client->pidfd.get(), client->pidfd_watcher.get());
}

// ---------------------------------------------------------------- attached

ClientLink* NodeShell::driver_of(JobId job) {
  auto it = drivers_.find(job);
  ClientLink* client = it == drivers_.end() ? nullptr : link(it->second);
  return client != nullptr && client->state == LinkState::kAttached ? client : nullptr;
}

void NodeShell::mark_for_publishing(ClientLink* client) {
  if (client->listed) return;
  client->listed = true;
  to_publish_.push_back(client->id.index());
}

void NodeShell::on_control(ClientId id, const os::Readiness&) {
  ClientLink* client = link(id);
  if (client == nullptr) return;
  os::Received received = os::receive_packet(client->control.get(), /*wait=*/false);
  if (received.status == os::ReceiveStatus::kNothing) return;
  if (received.status == os::ReceiveStatus::kPacket) {
    auto want = wire::parse_control<wire::WantWritable>(received.data);
    if (want) {
      on_want_writable(client, *want);
    } else {
      disconnect(client, model::DeathCause::Kind::kDisconnected, 0, want.error());
    }
    return;
  }
  loop_->unwatch(client->control.get());
  if (client->role == model::Role::kWorker) {
    on_worker_hang_up(client);
  } else {
    disconnect(client, model::DeathCause::Kind::kDisconnected, 0, sentence_of(received));
  }
}

void NodeShell::on_want_writable(ClientLink* client, const wire::WantWritable& want) {
  if (want.arena != 0) {
    net::send_control(client->control.get(),
                      net::make_goodbye("there is no arena " + std::to_string(want.arena)))
        .ok();
    return;
  }
  wire::Descriptor descriptor;
  descriptor.arena = want.arena;
  int fds[] = {arena_->memory()};
  Status sent = net::send_control(client->control.get(), descriptor, fds);
  if (!sent) disconnect(client, model::DeathCause::Kind::kDisconnected, 0, sent.error());
}

// What the client wrote before its end counts, so its ring is read first; then the core is told.
void NodeShell::disconnect(ClientLink* client, model::DeathCause::Kind kind, int32_t code,
                           std::string detail) {
  if (client->state != LinkState::kAttached) return;
  client->state = LinkState::kDying;
  loop_->unwatch(client->control.get());
  if (client->pidfd) loop_->unwatch(client->pidfd.get());
  if (!client->killed_because.empty()) {
    kind = model::DeathCause::Kind::kKilledByUs;
    detail = client->killed_because;
  }
  log_.info("client gone", {{"client", client->id.value},
                            {"pid", client->pid},
                            {"kind", static_cast<int>(kind)},
                            {"code", code},
                            {"detail", detail}});
  if (kind == model::DeathCause::Kind::kKilledByUs) {
    net::send_control(client->control.get(), net::make_goodbye(detail)).ok();
    if (client->role == model::Role::kWorker) end_process(client);
  }
  core::ClientGone gone{client->id, {kind, code, {}}};
  // In the middle of a decision it is we who end it; then its last words do not count.
  if (!deciding_) read_all(client);
  if (deciding_ || !client->is_fork()) {
    if (client->is_fork()) output_->worker_ended(client->pid, [](const std::string&) {});
    queue_event(gone, std::move(detail));
    return;
  }
  output_->worker_ended(client->pid, [this, gone, detail = std::move(detail)](std::string tail) {
    std::string text = detail;
    if (!text.empty() && !tail.empty()) text += "\n";
    queue_event(gone, text + tail);
  });
}

void NodeShell::drop_link(ClientId id) {
  ClientLink* client = link(id);
  if (client == nullptr) return;
  if (client->role == model::Role::kDriver) driver_left(client);
  clients_[id.index()].reset();
  reap_strangers();  // a worker that we disconnected before it ended
}

// Where a program that joined says what its workers are to look like; the zygote reads it.
std::string NodeShell::described_in(JobId job) const {
  return options_.socket_path + ".job-" + std::to_string(job.value);
}

// Written under its pid before its Hello, and kept under its job: a process may join several times,
// and another may get its pid while something of this one lives on.
void NodeShell::keep_description(JobId job, uint32_t pid) const {
  if (options_.socket_path.empty()) return;
  os::rename_file(options_.socket_path + "." + std::to_string(pid), described_in(job));
}

void NodeShell::remove_descriptions() const {
  if (options_.socket_path.empty()) return;
  const std::string folder = os::parent_folder(options_.socket_path);
  const std::string beside = options_.socket_path.substr(folder.size() + 1) + ".";
  for (const os::FolderEntry& entry : os::list_folder(folder))
    if (entry.name.starts_with(beside)) os::remove_file(folder + "/" + entry.name);
}

// The session is over with its last driver. Another one that ends, and may wait for the end of the
// daemon that it started, is told that the session goes on.
void NodeShell::driver_left(ClientLink* client) {
  drivers_.erase(client->job);
  jobs_.ended(client->job, os::wall_now());
  output_->job_ended(client->job);
  if (!drivers_.empty()) {
    std::string others = std::to_string(drivers_.size()) + " other program" +
                         (drivers_.size() == 1 ? " uses" : "s use");
    net::send_control(client->control.get(),
                      net::make_goodbye("the session goes on: " + others + " it"))
        .ok();
  } else if (!options_.stay) {
    stop("the last driver is gone");
  }
}

}  // namespace sundog::node
