// Connecting, the states of a Runtime and its end. See runtime_impl.h.
#include "client/runtime.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "client/runtime_impl.h"
#include "os/clock.h"
#include "os/socket.h"
#include "wire/hello.h"

namespace sundog::client {
namespace {

constexpr DurationNs kDaemonEndTimeout = 5 * kSecond;
constexpr uint64_t kWorkerRootCall = ~uint64_t{0};

// What a driver does outside of tasks belongs to its job's root; every worker has a root of its
// own.
TaskId root_task(const Session& session) {
  TaskId root = TaskId::root_of(session.info.job);
  if (session.role == model::Role::kDriver) return root;
  return TaskId::make(session.info.job, root, session.client.value, kWorkerRootCall);
}

CallError not_connected(std::string text) { return {CallStatus::kNotConnected, std::move(text)}; }

}  // namespace

CallResult<std::unique_ptr<Runtime>> Runtime::connect_driver(const DriverConfig& config) {
  auto session = config.address.empty() ? start_daemon(config) : join_daemon(config);
  if (!session) return Failure{not_connected(session.error())};
  return std::unique_ptr<Runtime>(std::make_unique<RuntimeImpl>(std::move(*session)));
}

CallResult<std::unique_ptr<Runtime>> Runtime::connect_worker(int control, JobId job,
                                                             model::Language language,
                                                             uint64_t runtime_env,
                                                             uint64_t spawn_token,
                                                             std::string_view program) {
  wire::Hello hello;
  if (program.size() < sizeof hello.entry_point) {
    program.copy(hello.entry_point, sizeof hello.entry_point - 1);
  }
  hello.role = static_cast<uint8_t>(model::Role::kWorker);
  hello.language = static_cast<uint8_t>(language);
  hello.job = job.value;
  hello.runtime_env = runtime_env;
  hello.spawn_token = spawn_token;
  auto session = greet(os::Fd(control), hello);
  if (!session) return Failure{not_connected(session.error())};
  return std::unique_ptr<Runtime>(std::make_unique<RuntimeImpl>(std::move(*session)));
}

RuntimeImpl::RuntimeImpl(Session session)
    : session_(std::move(session)),
      views_(std::move(session_.arenas), std::move(session_.arena_bytes)),
      writers_(session_.control.get()),
      link_(session_, this),
      core_(session_.info.job, root_task(session_), &link_, keep_inline,
            new core::DropList(poke, this)),
      poller_(*os::Poller::create()) {
  Operation operation(this);
  rest();
  // Signals are for the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run_thread(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

RuntimeImpl::~RuntimeImpl() {
  shutdown();
  SUNDOG_CHECK(state_ != State::kForkedChild);  // its thread and lock are the parent's
}

void RuntimeImpl::flush_drops_that_matter() {
  if (is_over()) [[unlikely]]
    return;
  if (!unwanted_grants_.empty() || !unwanted_names_.empty()) [[unlikely]]
    send_unwanted();
  core_.flush_what_matters(&dead_exports_);
  link_.publish();
}

void RuntimeImpl::Operation::close() {
  if (!lock_.owns_lock()) return;
  runtime_->flush_drops_that_matter();
  if (runtime_->dead_exports_.empty()) [[likely]] {
    lock_.unlock();
    return;
  }
  std::vector<core::ClientExport*> dead;
  dead.swap(runtime_->dead_exports_);
  lock_.unlock();
  for (core::ClientExport* exported : dead) delete exported;  // unmaps
}

// ---------------------------------------------------------------- states

std::optional<CallError> RuntimeImpl::unusable() const {
  if (state_.load(std::memory_order_acquire) == State::kLive) [[likely]]
    return std::nullopt;
  return over_error();
}

CallError RuntimeImpl::over_error() const {
  State state = state_.load(std::memory_order_acquire);
  // A call that waited learns what ended it, even if shutdown() was quicker than its waking up.
  if (state == State::kShutDown && !death_cause_.empty()) state = State::kNodeDied;
  switch (state) {
    case State::kNodeDied:
      return {CallStatus::kNodeDied,
              "the daemon of session " + session_.info.session + " (pid " +
                  std::to_string(session_.info.daemon_pid) + ") " + death_cause_ +
                  ". Arrays that you hold stay readable; call shutdown() and init() to go on"};
    case State::kForkedChild:
      return {CallStatus::kForkedChild,
              "this process was forked from a client of session " + session_.info.session +
                  " and is none itself: arrays stay readable, references do not work. Call "
                  "init(address=\"auto\") here to join the session"};
    default:
      return not_connected("session " + session_.info.session +
                           " was shut down; call init() to start another");
  }
}

void RuntimeImpl::node_died(std::string cause) {
  hung_up_.store(true);
  Operation operation(this);
  if (state_.load() != State::kLive) return;
  drain();
  death_cause_ = std::move(cause);
  state_.store(State::kNodeDied, std::memory_order_release);
  wake_everyone();
}

// ---------------------------------------------------------------- the end

// The daemon that we started serves other programs too. It says so when it has given up what was
// ours; a daemon that ends says nothing.
bool RuntimeImpl::goes_on_without_us(int control) {
  const TimeNs deadline = os::now() + kDaemonEndTimeout;
  for (TimeNs now = os::now(); now < deadline; now = os::now()) {
    pollfd ready{control, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>((deadline - now) / kMillisecond) + 1) <= 0) continue;
    os::Received packet = os::receive_packet(control, /*wait=*/false);
    if (packet.status == os::ReceiveStatus::kNothing) continue;
    if (packet.status != os::ReceiveStatus::kPacket) return false;
    if (wire::parse_control<wire::Goodbye>(packet.data)) return true;
  }
  return false;
}

void RuntimeImpl::shutdown() {
  if (state_.load() == State::kForkedChild) return;
  {
    Operation operation(this);
    if (state_.load() == State::kShutDown) return;
    operation.close();
  }
  {
    Lock lock(mutex_);
    state_.store(State::kShutDown, std::memory_order_release);
    wake_everyone();
  }
  stop_thread();
  ::shutdown(session_.control.get(), SHUT_WR);
  if (session_.daemon.pid != 0 && goes_on_without_us(session_.control.get()))
    session_.daemon = {};  // it ends with the last of its programs
  session_.control.reset();
  end_daemon();
  {
    Lock lock(mutex_);
    drain();
    for (auto& [tag, hold] : fork_holds_) {
      for (core::ClientExport* exported : hold.exports) exported->drop();
    }
    fork_holds_.clear();
    functions_.clear();
    core_.close();
  }
  deliver();
  session_.bell.reset();
  session_.event.reset();
}

void RuntimeImpl::stop_thread() {
  if (!thread_.joinable()) return;
  stop_thread_.store(true);
  os::signal_eventfd(session_.event.get());
  thread_.join();
}

void RuntimeImpl::end_daemon() {
  Daemon& daemon = session_.daemon;
  if (daemon.pid == 0) return;
  os::ExitInfo exit;
  TimeNs deadline = os::now() + kDaemonEndTimeout;
  auto result = os::wait_pidfd_until(daemon.pidfd.get(), deadline, &exit);
  if (result == os::WaitResult::kRunning) {
    os::send_signal_pidfd(daemon.pidfd.get(), SIGKILL);
    os::wait_pidfd_until(daemon.pidfd.get(), kNever, &exit);
  }
  daemon.pidfd.reset();
  daemon.pid = 0;
}

// ---------------------------------------------------------------- forks

void RuntimeImpl::before_fork() {
  if (state_.load() == State::kForkedChild) return;
  Operation operation(this);
  if (state_.load() != State::kLive) return;
  ForkHold hold;
  for (core::ClientExport* exported : core_.exports()) {
    if (exported->uses() == 0) continue;
    exported->use();
    hold.exports.push_back(exported);
  }
  if (hold.exports.empty()) return;
  // The child keeps the write end to its end, so the read end hangs up when the last child is gone.
  auto pipe = os::make_pipe(true);
  if (!pipe) {  // no descriptor left: the bytes stay pinned for good rather than change
    fork_holds_[++last_fork_ + kForkTagBase] = std::move(hold);
    return;
  }
  hold.read_end = std::move(pipe->read);
  fork_write_end_ = std::move(pipe->write);
  (void)poller_.add(hold.read_end.get(), ++last_fork_ + kForkTagBase);
  fork_holds_[last_fork_ + kForkTagBase] = std::move(hold);
}

void RuntimeImpl::after_fork_in_parent() {
  if (state_.load() == State::kForkedChild) return;
  Lock lock(mutex_);
  fork_write_end_.reset();
}

void RuntimeImpl::drop_fork_hold(uint64_t tag) {
  Operation operation(this);
  auto it = fork_holds_.find(tag);
  if (it == fork_holds_.end()) return;
  poller_.remove(it->second.read_end.get());
  for (core::ClientExport* exported : it->second.exports) exported->drop();
  fork_holds_.erase(it);
}

void RuntimeImpl::after_fork_in_child() {
  // The lock may be held by a thread that does not exist here: it is never taken again.
  state_.store(State::kForkedChild);
  if (core_.drops() != nullptr) core_.drops()->never_poke();
  // The parent's hang-up must be seen although this process lives on.
  session_.control.reset();
  session_.bell.reset();
  session_.event.reset();
  writers_.forget_control();
  for (auto& [tag, hold] : fork_holds_) hold.read_end.reset();
}

}  // namespace sundog::client
