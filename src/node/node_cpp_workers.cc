// NodeShell: workers in C++, processes of one program that the session was started with, or else of
// the one whose worker came first. The daemon is their parent. Their runtime environments are
// variables and a folder, which the daemon gives them at their start: nothing is prepared.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/environment_text.h"
#include "node/node_shell.h"
#include "os/files.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::node {
namespace {

constexpr uint32_t kCppWorkersPrestarted = 4;  // at most; more come as tasks need them
constexpr int kControlInChild = 3;
constexpr int kEnvironmentInChild = 4;

// A descriptor with the text, to be read by another process.
Result<os::Fd> text_in_memory(std::string_view text) {
  auto memory = os::create_sealed_memory("environment", text.size());
  if (!memory) return memory;
  auto mapping =
      os::Mapping::map(memory->get(), 0, text.size(), os::Access::kReadWrite, os::Sharing::kShared);
  if (!mapping) return Failure{mapping.error()};
  std::memcpy(mapping->data(), text.data(), text.size());
  return memory;
}

// ${NAME} is what our environment has; nothing if it has none.
std::string expanded(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t begin = text.find("${");
    const size_t end = begin == text.npos ? text.npos : text.find('}', begin);
    if (end == text.npos) break;
    result += text.substr(0, begin);
    const std::string name(text.substr(begin + 2, end - begin - 2));
    if (const char* value = std::getenv(name.c_str())) result += value;
    text.remove_prefix(end + 1);
  }
  return result.append(text);
}

}  // namespace

// Tells the core that C++ workers can be started, and starts the first ones.
void NodeShell::use_cpp_worker(const std::string& program, bool start) {
  options_.cpp_worker = program;
  const auto cpus = static_cast<uint32_t>(options_.num_cpus / 10'000);
  const uint32_t count = start ? std::min(std::max(cpus, 1u), kCppWorkersPrestarted) : 0;
  queue_event(core::Prestart{JobId{}, model::Language::kCpp, 0, count});
  for (const auto& [hash, environment] : cpp_environments_) {
    queue_event(core::Prestart{JobId{}, model::Language::kCpp, hash, 0});
  }
}

bool NodeShell::prepare_for_cpp(const core::PrepareEnvironment& e) {
  std::string_view rest = e.description;
  if (!rest.starts_with(core::kCppEnvironment)) return false;
  rest.remove_prefix(core::kCppEnvironment.size());
  CppEnvironment environment;
  environment.description = e.description;
  environment.folder = core::next_part(&rest);
  while (!rest.empty()) {
    const std::string_view variable = core::next_part(&rest);
    if (variable.empty()) break;  // what follows is for Python
    environment.variables.push_back(expanded(variable));
  }
  if (!environment.folder.empty() && !os::is_folder(environment.folder)) {
    queue_event(core::EnvironmentFailed{e.hash, e.attempt, {}},
                "the copy of its working_dir is gone: " + environment.folder);
    return true;
  }
  cpp_environments_[e.hash] = std::move(environment);
  queue_event(core::EnvironmentReady{e.hash, e.attempt});
  if (!options_.cpp_worker.empty()) {
    queue_event(core::Prestart{JobId{}, model::Language::kCpp, e.hash, 0});
  }
  return true;
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
  os::Fd description;
  if (e.runtime_env != 0) {
    const auto found = cpp_environments_.find(e.runtime_env);
    if (found == cpp_environments_.end()) {
      return Failure{std::string("its runtime environment ended before the worker was started")};
    }
    const CppEnvironment& own = found->second;
    auto memory = text_in_memory(own.description);
    if (!memory) return Failure{memory.error()};
    description = *std::move(memory);
    request.fds.emplace_back(description.get(), kEnvironmentInChild);
    request.folder = own.folder;
    request.environment.push_back("SUNDOG_CPP_ENVIRONMENT=" + std::to_string(e.runtime_env));
    request.environment.insert(request.environment.end(), own.variables.begin(),
                               own.variables.end());
  }
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
