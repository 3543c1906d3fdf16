// NodeShell: forks of workers, and their deaths.
#include <signal.h>

#include "node/node_shell.h"
#include "os/clock.h"
#include "os/machine.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::node {

std::string comma_separated(std::span<const uint32_t> numbers) {
  std::string text;
  for (uint32_t n : numbers) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

void NodeShell::perform(const core::SpawnWorker& e) {
  if (e.language == model::Language::kCpp) {
    if (Status s = start_cpp_worker(e); !s) queue_event(core::SpawnFailed{e.token, {}}, s.error());
    return;
  }
  ZygoteLink* zygote = zygote_for(e.runtime_env);
  if (zygote == nullptr) {
    queue_event(core::SpawnFailed{e.token, {}}, zygote_
                                                    ? "the zygote of its environment is gone"
                                                    : "this session was started without Python");
    return;
  }
  auto pipes = make_worker_pipes();
  if (!pipes) {
    queue_event(core::SpawnFailed{e.token, {}}, pipes.error());
    return;
  }
  expect_worker(e, &*pipes);
  ForkOrder order;
  order.token = e.token;
  order.job = e.job;
  order.runtime_env = e.runtime_env;
  order.environment = worker_environment();
  if (const JobList::Job* job = jobs_.find(e.job))
    order.environment.push_back("SUNDOG_DRIVER=" + std::to_string(job->pid));
  if (!e.gpus.empty()) order.environment.push_back("SUNDOG_GPUS=" + comma_separated(e.gpus));
  order.control = std::move(pipes->control.theirs);
  order.out = std::move(pipes->out.write);
  order.err = std::move(pipes->err.write);
  zygote->fork(std::move(order));
}

Result<NodeShell::WorkerPipes> NodeShell::make_worker_pipes() {
  auto control = os::make_socketpair();
  if (!control) return Failure{control.error()};
  auto out = os::make_pipe(/*nonblocking_read=*/true);
  if (!out) return Failure{out.error()};
  auto err = os::make_pipe(/*nonblocking_read=*/true);
  if (!err) return Failure{err.error()};
  return WorkerPipes{*std::move(control), *std::move(out), *std::move(err)};
}

void NodeShell::expect_worker(const core::SpawnWorker& e, WorkerPipes* pipes) {
  Spawn spawn;
  spawn.token = e.token;
  spawn.job = e.job;
  spawn.runtime_env = e.runtime_env;
  spawn.out = std::move(pipes->out.read);
  spawn.err = std::move(pipes->err.read);
  spawn.socket = pipes->control.ours.get();
  spawn.label = std::make_shared<TaskLabel>();
  spawns_.emplace(e.token, std::move(spawn));
  add_newcomer(std::move(pipes->control.ours), e.token, 0);
}

ZygoteLink* NodeShell::zygote_for(uint64_t runtime_env) {
  return runtime_env == 0 ? zygote_.get() : environments_->zygote(runtime_env);
}

void NodeShell::catch_up_with_forks() {
  if (zygote_) zygote_->catch_up();
  environments_->catch_up();
}

void NodeShell::group_ended(uint32_t pid) {
  if (zygote_ && zygote_->guards(pid)) return zygote_->ended(pid);
  environments_->group_ended(pid);
}

void NodeShell::start_environments() {
  EnvironmentHost::Setup setup;
  setup.python = options_.python;
  setup.zygote = options_.zygote;
  setup.base_config = options_.zygote_config;
  setup.folder = session_->environments_folder();
  setup.log_folder = session_->folder() + "/logs";
  EnvironmentHost::Listener listener{
      [this](uint64_t hash, uint32_t attempt) {
        queue_event(core::EnvironmentReady{hash, attempt});
      },
      [this](uint64_t hash, uint32_t attempt, std::string why) {
        queue_event(core::EnvironmentFailed{hash, attempt, {}}, std::move(why));
      },
      [this](uint64_t token, uint32_t pid, os::Fd pidfd) {
        on_forked(token, pid, std::move(pidfd));
      },
      [this](uint64_t token, std::string why) { on_fork_failed(token, std::move(why)); }};
  environments_ =
      std::make_unique<EnvironmentHost>(loop_.get(), std::move(setup), std::move(listener), &log_);
}

std::vector<std::string> NodeShell::worker_environment() const {
  return {"SUNDOG_SESSION=" + options_.session, "SUNDOG_ADDRESS=" + options_.socket_path};
}

void NodeShell::on_forked(uint64_t token, uint32_t pid, os::Fd pidfd) {
  auto it = spawns_.find(token);
  if (it == spawns_.end()) {
    os::kill_process_group(static_cast<pid_t>(pid));  // nobody waits for it any more
    os::send_signal_pidfd(pidfd.get(), SIGKILL);
    return;
  }
  Spawn& spawn = it->second;
  spawn.pid = pid;
  spawn.stage = spawn.runtime_env == 0 ? zygote_stage_ : kWarmStage;
  spawn.pidfd = std::move(pidfd);
  spawn.end_watcher = std::make_unique<loop::FunctionWatcher>(
      [this, token](const os::Readiness&) { on_spawn_ended(token); });
  loop_->watch(spawn.pidfd.get(), spawn.end_watcher.get()).ok();
}

void NodeShell::on_fork_failed(uint64_t token, std::string reason) {
  auto it = spawns_.find(token);
  if (it == spawns_.end()) return;
  log_.warning("a worker could not be forked", {{"why", reason}});
  if (it->second.pidfd) loop_->unwatch(it->second.pidfd.get());
  drop_newcomer(it->second.socket);
  JobId job = it->second.job;
  spawns_.erase(it);
  queue_event(core::SpawnFailed{token, {}}, std::move(reason));
  welcome_driver_if_ready(job);
}

// It ended before it said Hello.
void NodeShell::on_spawn_ended(uint64_t token) {
  auto it = spawns_.find(token);
  if (it == spawns_.end()) return;
  Spawn& spawn = it->second;
  os::kill_process_group(static_cast<pid_t>(spawn.pid));
  os::ExitInfo info;
  if (os::wait_pidfd(spawn.pidfd.get(), &info) == os::WaitResult::kRunning) return;
  group_ended(spawn.pid);
  std::string what = info.exited ? "with exit code " + std::to_string(info.code)
                                 : "by " + os::signal_name(info.code);
  std::string reason =
      "worker " + std::to_string(spawn.pid) + " ended " + what + " before it was ready";
  output_->add_worker(spawn.pid, spawn.job, std::move(spawn.out), std::move(spawn.err),
                      spawn.label);
  output_->worker_ended(spawn.pid, [this, token, reason](std::string tail) {
    while (!tail.empty() && tail.back() == '\n') tail.pop_back();
    std::string last = tail.substr(tail.rfind('\n') + 1);
    on_fork_failed(token, last.empty() ? reason : reason + ": " + last);
  });
  loop_->unwatch(spawn.pidfd.get());
  spawn.pidfd.reset();
}

void NodeShell::on_process_end(ClientId id) {
  ClientLink* client = link(id);
  if (client == nullptr) return;
  // Before it is reaped its pid cannot be anybody else's.
  if (client->is_fork()) os::kill_process_group(static_cast<pid_t>(client->pid));
  os::ExitInfo info;
  os::WaitResult result = os::wait_pidfd(client->pidfd.get(), &info);
  if (result == os::WaitResult::kRunning) return;
  if (client->is_fork()) group_ended(client->pid);
  if (result == os::WaitResult::kNotOurs) {  // a driver, or a worker that came by itself
    disconnect(client, model::DeathCause::Kind::kDisconnected, 0, "its process ended");
  } else {
    disconnect(client, cause_of(info, *client), info.code, {});
  }
}

// ---------------------------------------------------------------- warm and cold workers

// The first workers are forked before numpy is imported, so that they are there at once.
void NodeShell::on_stage_done(int stage) {
  log_.info("zygote warmed up", {{"stage", stage}});
  zygote_stage_ = stage;
  if (stage >= kWarmStage) queue_event(core::WorkersWarm{});
}

// A fork ends with its group; a worker that somebody else started, alone.
void NodeShell::end_process(ClientLink* client) {
  if (client->is_fork()) os::kill_process_group(static_cast<pid_t>(client->pid));
  if (client->pidfd) os::send_signal_pidfd(client->pidfd.get(), SIGKILL);
}

model::DeathCause::Kind NodeShell::cause_of(const os::ExitInfo& info, const ClientLink& client) {
  using Kind = model::DeathCause::Kind;
  if (info.exited) return Kind::kExited;
  if (info.code == SIGKILL && client.killed_because.empty()) {
    int64_t kills = os::oom_kills();
    bool by_kernel = oom_kills_ >= 0 && kills > oom_kills_;
    oom_kills_ = kills;
    if (by_kernel) return Kind::kOutOfMemory;
  }
  return Kind::kSignalled;
}

// Its socket is closed: it is ending, and the pidfd will say how. A worker that closed the socket
// and goes on is of no use any more.
void NodeShell::on_worker_hang_up(ClientLink* client) {
  if (!client->pidfd) {
    disconnect(client, model::DeathCause::Kind::kDisconnected, 0, "it hung up");
    return;
  }
  loop_->at(os::now() + kExitPatience, [this, id = client->id] {
    ClientLink* still = link(id);
    if (still == nullptr || still->state != LinkState::kAttached) return;
    disconnect(still, model::DeathCause::Kind::kKilledByUs, 0,
               "it closed its socket and did not end");
  });
}

}  // namespace sundog::node
