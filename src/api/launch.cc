#include "api/launch.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "api/environments.h"
#include "base/ids.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/random.h"

namespace sundog::detail {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSocketPathBytesMax = 100;
constexpr DurationNs kWorkerEndTimeout = 5 * kSecond;

// The Python package describes its interpreter to the zygote.
constexpr const char* kDescribePython = R"(
import sys
from sundog import _paths, _session
_session.write_zygote_config(sys.argv[1], sys.argv[2], [])
print(sys.executable)
print(_paths.package_folder() + "/_zygote_start.py")
print(_paths.daemon())
)";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void make_private(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != getuid()) {
    throw NotConnectedError("cannot start a session: " + folder.string() +
                            " is not a folder of this user; remove it");
  }
  chmod(folder.c_str(), 0700);
}

fs::path socket_folder() {
  std::string name = "sundog-" + std::to_string(getuid());
  for (const char* variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    fs::path root = environment(variable);
    fs::path folder = root / name;
    bool fits = folder.native().size() + sizeof "/12345678.sock" < kSocketPathBytesMax;
    if (!root.empty() && fits && access(root.c_str(), W_OK) == 0) return folder;
  }
  return fs::path("/tmp") / name;
}

std::string find_daemon() {
  std::error_code error;
  fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / "sundogd";
  if (access(beside.c_str(), X_OK) == 0) return beside;
  std::string path = environment("PATH");
  for (size_t at = 0; at <= path.size();) {
    size_t end = std::min(path.find(':', at), path.size());
    fs::path candidate = fs::path(path.substr(at, end - at)) / "sundogd";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  throw NotConnectedError(
      "cannot start a session: sundogd is neither beside this program nor in "
      "PATH; set InitOptions::daemon");
}

struct PythonFiles {
  std::string executable, zygote, daemon;
};

PythonFiles describe_python(const std::string& python, const std::string& folder,
                            const std::string& socket) {
  auto pipe = os::make_pipe(false);
  if (!pipe) throw NotConnectedError(pipe.error());
  os::SpawnRequest request;
  request.path = python;
  request.arguments = {"-c", kDescribePython, folder, socket};
  request.fds = {{pipe->write.get(), STDOUT_FILENO}};
  auto pid = os::spawn(request);
  if (!pid) throw NotConnectedError("cannot start " + python + ": " + pid.error());
  pipe->write.reset();
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe->read.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, n);
  os::reap_child(*pid);
  PythonFiles files;
  std::istringstream lines(text);
  std::getline(lines, files.executable);
  std::getline(lines, files.zygote);
  std::getline(lines, files.daemon);
  if (files.daemon.empty()) {
    throw NotConnectedError(python + " cannot import sundog: install the package there");
  }
  return files;
}

// The absolute path; empty if there is none.
std::string checked_worker(const std::string& program) {
  if (program.empty()) return program;
  std::error_code error;
  const fs::path path = fs::absolute(program, error);
  if (access(path.c_str(), X_OK) != 0) {
    throw NotConnectedError("InitOptions::worker is " + program + ", which is no program to run");
  }
  return path;
}

std::string amount_text(double amount) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", amount);
  return text;
}

}  // namespace

std::string own_program() { return fs::read_symlink("/proc/self/exe"); }

LaunchPlan plan_session(const InitOptions& options) {
  LaunchPlan plan;
  plan.runtime_env = checked("InitOptions", true, options.runtime_env);
  const std::string part = part_of_python(options.runtime_env);
  if (!part.empty() && options.python.empty() && options.address.empty()) {
    throw TypeError("InitOptions: runtime_env has '" + part +
                    "', which is for tasks and actors in Python, and this session has none: set "
                    "InitOptions::python");
  }
  plan.config.name_space = options.name_space;
  plan.config.entry_point = fs::path(own_program()).filename();
  const std::string worker = checked_worker(options.worker);
  if (!options.address.empty()) {
    plan.socket = plan.config.address = options.address;
    if (!worker.empty()) plan.joining_workers.push_back(worker);
    return plan;
  }
  std::string home = environment("SUNDOG_HOME");
  if (home.empty()) home = environment("HOME") + "/.sundog";
  make_private(home);
  make_private(fs::path(home) / "sessions");
  make_private(socket_folder());
  uint32_t number = 0;
  os::fill_random(&number, sizeof number);
  std::string name = to_hex(&number, sizeof number);
  fs::path folder = fs::path(home) / "sessions" / name;
  make_private(folder);
  plan.socket = socket_folder() / (name + ".sock");
  auto& flags = plan.config.daemon_arguments;
  flags = {"--session", name, "--session-dir", folder, "--socket", plan.socket};
  auto add = [&flags](const char* flag, const std::string& value) {
    flags.insert(flags.end(), {flag, value});
  };
  if (options.num_cpus > 0) add("--num-cpus", amount_text(options.num_cpus));
  if (options.store_bytes > 0) add("--store-bytes", std::to_string(options.store_bytes));
  if (!worker.empty()) add("--cpp-worker", worker);
  std::string daemon = options.daemon;
  if (!options.python.empty()) {
    PythonFiles files = describe_python(options.python, folder, plan.socket);
    add("--python", files.executable);
    add("--zygote", files.zygote);
    add("--zygote-config", folder / "zygote.config");
    if (daemon.empty()) daemon = files.daemon;
  }
  plan.config.daemon_path = daemon.empty() ? find_daemon() : daemon;
  return plan;
}

WorkerProcess::WorkerProcess(const std::string& program, const std::string& address) {
  os::SpawnRequest request;
  request.path = program;
  request.arguments = {"--sundog-worker", address};
  request.new_session = true;  // Ctrl-C reaches the driver alone
  auto pid = os::spawn(request);
  if (!pid) throw NotConnectedError("cannot start the worker " + program + ": " + pid.error());
  auto pidfd = os::open_pidfd(*pid);
  if (!pidfd) throw NotConnectedError(pidfd.error());
  pidfd_ = *std::move(pidfd);
}

void WorkerProcess::reap() {
  os::ExitInfo exit;
  TimeNs deadline = os::now() + kWorkerEndTimeout;
  if (os::wait_pidfd_until(pidfd_.get(), deadline, &exit) == os::WaitResult::kRunning) {
    os::send_signal_pidfd(pidfd_.get(), SIGKILL);
    os::wait_pidfd_until(pidfd_.get(), kNever, &exit);
  }
}

}  // namespace sundog::detail
