#include "node/environment_host.h"

#include <signal.h>

#include "os/clock.h"
#include "os/files.h"
#include "os/process.h"

namespace sundog::node {
namespace {

constexpr int kLifeline = 3;  // in the setup process
constexpr size_t kReasonBytesMax = 16 * 1024;
constexpr DurationNs kEndPatience = kSecond;  // of stop()

std::string hex(uint64_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; number >>= 4) text[i] = kDigits[number & 15];
  return text;
}

}  // namespace

EnvironmentHost::EnvironmentHost(loop::EventLoop* loop, Setup setup, Listener listener,
                                 obs::Log* log)
    : loop_(loop), setup_(std::move(setup)), listener_(std::move(listener)), log_(log) {}

EnvironmentHost::~EnvironmentHost() { stop(); }

std::string EnvironmentHost::path(const Environment& e, std::string_view ending) const {
  return setup_.folder + "/" + hex(e.hash) + "-" + std::to_string(e.attempt) + std::string(ending);
}

std::string EnvironmentHost::log_path(uint64_t hash) const {
  return setup_.log_folder + "/runtime_env-" + hex(hash) + ".log";
}

// ---------------------------------------------------------------- the setup process

void EnvironmentHost::prepare(const core::PrepareEnvironment& order) {
  Environment& e = environments_[order.hash];
  end_setup(&e);
  retire_zygote(&e);
  remove_files(e);
  e.hash = order.hash;
  e.attempt = order.attempt;
  log_->info("runtime environment is prepared", {{"hash", hex(e.hash)}, {"attempt", e.attempt}});
  Status started = setup_.python.empty()
                       ? Status(Failure<std::string>{"this session was started without Python"})
                       : start_setup(&e, order.description);
  if (!started) listener_.failed(e.hash, e.attempt, started.error());
}

Status EnvironmentHost::start_setup(Environment* e, std::string_view description) {
  if (Status s = os::make_folder(setup_.folder); !s) return s;
  auto request = os::open_log_file(path(*e, ".request"));
  if (!request) return Failure{request.error()};
  if (Status s = os::write_all(request->get(), as_bytes(description)); !s) return s;
  auto output = os::open_log_file(log_path(e->hash));
  if (!output) return Failure{output.error()};
  auto lifeline = os::make_pipe(/*nonblocking_read=*/false);
  if (!lifeline) return Failure{lifeline.error()};
  os::SpawnRequest spawn;
  spawn.path = setup_.python;
  spawn.arguments = {"-S",
                     "-E",
                     os::parent_folder(setup_.zygote) + "/_environment_setup.py",
                     setup_.base_config,
                     path(*e, ""),
                     log_path(e->hash)};
  spawn.fds = {{lifeline->read.get(), kLifeline}, {output->get(), 1}, {output->get(), 2}};
  spawn.new_session = true;
  auto pid = os::spawn(spawn);
  if (!pid) return Failure{pid.error()};
  auto pidfd = os::open_pidfd(*pid);
  if (!pidfd) return Failure{pidfd.error()};
  e->pid = *pid;
  e->pidfd = *std::move(pidfd);
  e->lifeline = std::move(lifeline->write);
  e->watcher = std::make_unique<loop::FunctionWatcher>(
      [this, hash = e->hash, attempt = e->attempt](const os::Readiness&) {
        on_setup_end(hash, attempt);
      });
  return loop_->watch(e->pidfd.get(), e->watcher.get());
}

void EnvironmentHost::on_setup_end(uint64_t hash, uint32_t attempt) {
  auto it = environments_.find(hash);
  if (it == environments_.end() || it->second.attempt != attempt || !it->second.pidfd) return;
  Environment& e = it->second;
  os::kill_process_group(e.pid);  // what it left behind; reaped, its pid could be another's
  os::ExitInfo info;
  if (os::wait_pidfd(e.pidfd.get(), &info) == os::WaitResult::kRunning) return;
  loop_->unwatch(e.pidfd.get());
  e.pidfd.reset();
  e.lifeline.reset();
  e.pid = 0;
  if (info.exited && info.code == 0) {
    Status started = start_zygote(&e);
    if (!started) return listener_.failed(hash, attempt, started.error());
    return listener_.ready(hash, attempt);
  }
  std::string how = info.exited ? "with exit code " + std::to_string(info.code)
                                : "by " + os::signal_name(info.code);
  std::string why = why_failed(e, how);
  log_->warning("runtime environment failed", {{"hash", hex(hash)}, {"why", why}});
  listener_.failed(hash, attempt, std::move(why));
}

std::string EnvironmentHost::why_failed(const Environment& e, const std::string& how) const {
  auto told = os::read_text(path(e, ".failure"), kReasonBytesMax);
  if (told && !told->empty()) return *std::move(told);
  return "the process that sets it up ended " + how + " (its log: " + log_path(e.hash) + ")";
}

void EnvironmentHost::abort(const core::AbortEnvironment& order) {
  auto it = environments_.find(order.hash);
  if (it != environments_.end() && it->second.attempt == order.attempt) end_setup(&it->second);
}

void EnvironmentHost::end_setup(Environment* e, std::vector<os::Fd>* killed) {
  if (e->pid == 0) return;
  os::kill_process_group(e->pid);
  os::send_signal_pidfd(e->pidfd.get(), SIGKILL);  // it may not lead a group yet
  loop_->unwatch(e->pidfd.get());
  if (killed != nullptr) killed->push_back(std::move(e->pidfd));
  e->pidfd.reset();
  e->lifeline.reset();
  e->pid = 0;
}

void EnvironmentHost::remove_files(const Environment& e) const {
  if (e.attempt == 0) return;
  for (const char* ending : {".request", ".config", ".failure"}) os::remove_file(path(e, ending));
}

// ---------------------------------------------------------------- its zygote

Status EnvironmentHost::start_zygote(Environment* e) {
  ZygoteLink::Listener listener;
  listener.forked = listener_.forked;
  listener.failed = listener_.fork_failed;
  listener.stage_done = [](int) {};  // its first workers are as good as later ones
  listener.gave_up = [this, hash = e->hash, attempt = e->attempt](const std::string& why) {
    listener_.failed(hash, attempt, why);
  };
  e->zygote = std::make_unique<ZygoteLink>(
      loop_,
      ZygoteLink::Program{setup_.python, setup_.zygote, path(*e, ".config"), log_path(e->hash)},
      std::move(listener), log_);
  return e->zygote->start();
}

ZygoteLink* EnvironmentHost::zygote(uint64_t hash) {
  auto it = environments_.find(hash);
  return it == environments_.end() ? nullptr : it->second.zygote.get();
}

void EnvironmentHost::end(const core::EndEnvironment& order) {
  auto it = environments_.find(order.hash);
  if (it == environments_.end()) return;
  log_->info("runtime environment ends: nobody used it", {{"hash", hex(order.hash)}});
  end_setup(&it->second);
  retire_zygote(&it->second);
  remove_files(it->second);
  environments_.erase(it);
}

void EnvironmentHost::retire_zygote(Environment* e) {
  if (!e->zygote) return;
  e->zygote->dismiss("the runtime environment of the worker ended before it was forked");
  retired_.push_back(std::move(e->zygote));
  loop_->at(os::now(), [this] { retired_.clear(); });
}

void EnvironmentHost::group_ended(uint32_t pid) {
  for (auto& [hash, e] : environments_)
    if (e.zygote && e.zygote->guards(pid)) return e.zygote->ended(pid);
}

bool EnvironmentHost::knows(int pid) const {
  for (const auto& [hash, e] : environments_)
    if (e.pid == pid || (e.zygote && e.zygote->pid() == pid)) return true;
  return false;
}

void EnvironmentHost::catch_up() {
  for (auto& [hash, e] : environments_)
    if (e.zygote) e.zygote->catch_up();
}

void EnvironmentHost::stop() {
  if (stopped_) return;
  stopped_ = true;
  std::vector<os::Fd> killed;
  for (auto& [hash, e] : environments_) {
    end_setup(&e, &killed);
    if (e.zygote) killed.push_back(e.zygote->kill());
  }
  const TimeNs deadline = os::now() + kEndPatience;
  for (const os::Fd& pidfd : killed) {
    os::ExitInfo ignored;
    if (pidfd) os::wait_pidfd_until(pidfd.get(), deadline, &ignored);
  }
}

}  // namespace sundog::node
