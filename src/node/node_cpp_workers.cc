// NodeShell: workers in C++, processes of one program that the session was started with, or else of
// the one whose worker came first. The daemon is their parent.
#include <unistd.h>

#include <algorithm>

#include "node/node_shell.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::node {
namespace {

constexpr uint32_t kCppWorkersPrestarted = 4;  // at most; more come as tasks need them
constexpr int kControlInChild = 3;

}  // namespace

// Tells the core that C++ workers can be started, and starts the first ones.
void NodeShell::use_cpp_worker(const std::string& program, bool start) {
  options_.cpp_worker = program;
  const auto cpus = static_cast<uint32_t>(options_.num_cpus / 10'000);
  const uint32_t count = start ? std::min(std::max(cpus, 1u), kCppWorkersPrestarted) : 0;
  queue_event(core::Prestart{JobId{}, model::Language::kCpp, 0, count});
}

// A C++ worker that joined by itself: more of its kind can be started when they are needed.
void NodeShell::learn_cpp_worker(std::string_view program) {
  if (options_.cpp_worker.empty() && program.starts_with('/')) {
    use_cpp_worker(std::string(program), false);
  }
}

Status NodeShell::start_cpp_worker(const core::SpawnWorker& e) {
  if (options_.cpp_worker.empty()) {
    return Failure{std::string(
        "no C++ worker is attached to this session; start one, it connects to the session's "
        "socket")};
  }
  auto pipes = make_worker_pipes();
  if (!pipes) return Failure{pipes.error()};
  os::SpawnRequest request;
  request.path = options_.cpp_worker;
  request.arguments = {"--sundog-worker",
                       std::to_string(kControlInChild) + ":" + std::to_string(e.token)};
  request.fds = {{pipes->control.theirs.get(), kControlInChild},
                 {pipes->out.write.get(), STDOUT_FILENO},
                 {pipes->err.write.get(), STDERR_FILENO}};
  request.environment = worker_environment();
  if (!e.gpus.empty()) request.environment.push_back("SUNDOG_GPUS=" + comma_separated(e.gpus));
  request.new_session = true;
  auto pid = os::spawn(request);
  if (!pid) return Failure{pid.error()};
  auto pidfd = os::open_pidfd(*pid);
  if (!pidfd) return Failure{pidfd.error()};
  expect_worker(e, &*pipes);
  on_forked(e.token, static_cast<uint32_t>(*pid), *std::move(pidfd));
  return ok_status();
}

}  // namespace sundog::node
