#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "os/clock.h"

namespace sundog::os {
namespace {

// dup2 targets must not overwrite a source that is still needed: every source is first copied
// above all targets.
Status add_descriptors(posix_spawn_file_actions_t* actions, std::vector<Fd>* copies,
                       const std::vector<std::pair<int, int>>& fds) {
  int above = 3;
  for (auto [source, target] : fds) above = std::max(above, target + 1);
  for (auto [source, target] : fds) {
    int copy = ::fcntl(source, F_DUPFD_CLOEXEC, above);
    if (copy < 0) return Failure{system_error("copy a descriptor for a new process")};
    copies->emplace_back(copy);
    if (int rc = ::posix_spawn_file_actions_adddup2(actions, copy, target); rc != 0) {
      return Failure{system_error("pass a descriptor to a new process", rc)};
    }
  }
  for (int fd = 3; fd < above; ++fd) {
    bool kept = std::any_of(fds.begin(), fds.end(), [&](auto& pair) { return pair.second == fd; });
    if (!kept) ::posix_spawn_file_actions_addclose(actions, fd);
  }
  ::posix_spawn_file_actions_addclosefrom_np(actions, above);
  return ok_status();
}

void set_attributes(posix_spawnattr_t* attributes, bool new_session) {
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(attributes, &none);
  ::posix_spawnattr_setsigdefault(attributes, &all);
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  if (new_session) flags |= POSIX_SPAWN_SETSID;
  ::posix_spawnattr_setflags(attributes, flags);
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> merged = extra;
  for (char** e = environ; *e != nullptr; ++e) {
    std::string_view entry = *e;
    std::string_view name = entry.substr(0, entry.find('=') + 1);
    bool replaced = std::any_of(extra.begin(), extra.end(),
                                [&](const std::string& x) { return x.starts_with(name); });
    if (!replaced) merged.emplace_back(entry);
  }
  return merged;
}

std::vector<char*> as_pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& s : *strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<pid_t> spawn(const SpawnRequest& request) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  set_attributes(&attributes, request.new_session);
  std::vector<Fd> copies;
  Status prepared = add_descriptors(&actions, &copies, request.fds);
  if (!request.folder.empty()) {
    ::posix_spawn_file_actions_addchdir_np(&actions, request.folder.c_str());
  }
  std::vector<std::string> arguments = request.arguments;
  arguments.insert(arguments.begin(), request.path);
  std::vector<std::string> environment = merged_environment(request.environment);
  pid_t pid = -1;
  int rc = 0;
  if (prepared) {
    rc = ::posix_spawn(&pid, request.path.c_str(), &actions, &attributes,
                       as_pointers(&arguments).data(), as_pointers(&environment).data());
  }
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (!prepared) return Failure{prepared.error()};
  if (rc != 0) return Failure{system_error("start " + request.path, rc)};
  return pid;
}

pid_t own_pid() { return ::getpid(); }

Result<Fd> open_pidfd(pid_t pid) {
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return Failure{system_error("open a pidfd of process " + std::to_string(pid))};
  return Fd(fd);  // close-on-exec by default
}

WaitResult wait_pidfd(int pidfd, ExitInfo* info) {
  siginfo_t status{};
  rusage usage{};
  long rc;
  do {
    rc = ::syscall(SYS_waitid, P_PIDFD, pidfd, &status, WEXITED | WNOHANG, &usage);
  } while (rc < 0 && errno == EINTR);
  if (rc < 0) return WaitResult::kNotOurs;
  if (status.si_pid == 0) return WaitResult::kRunning;
  info->exited = status.si_code == CLD_EXITED;
  info->code = status.si_status;
  auto ns = [](timeval t) { return t.tv_sec * kSecond + t.tv_usec * kMicrosecond; };
  info->cpu_ns = ns(usage.ru_utime) + ns(usage.ru_stime);
  info->peak_rss_bytes = usage.ru_maxrss * 1024;
  return WaitResult::kEnded;
}

WaitResult wait_pidfd_until(int pidfd, TimeNs deadline, ExitInfo* info) {
  for (;;) {
    WaitResult result = wait_pidfd(pidfd, info);
    if (result != WaitResult::kRunning) return result;
    TimeNs left = deadline - now();
    if (left <= 0) return result;
    pollfd entry{pidfd, POLLIN, 0};
    int64_t left_ms = std::min<int64_t>(left / kMillisecond + 1, 1 << 30);
    ::poll(&entry, 1, static_cast<int>(left_ms));
  }
}

Status become_subreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
    return Failure{system_error("become the parent of orphaned workers")};
  }
  return ok_status();
}

Status set_parent_death_signal(int signal_number) {
  if (::prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) < 0) {
    return Failure{system_error("ask for a signal at the parent's death")};
  }
  return ok_status();
}

void kill_process_group(pid_t group) {
  if (group > 1) ::kill(-group, SIGKILL);
}

bool send_signal_pidfd(int pidfd, int signal_number) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal_number, nullptr, 0) == 0;
}

pid_t peek_ended_child() {
  siginfo_t status{};
  if (::waitid(P_ALL, 0, &status, WEXITED | WNOHANG | WNOWAIT) < 0) return 0;
  return status.si_pid;
}

void reap_child(pid_t pid) { ::waitpid(pid, nullptr, WNOHANG); }

Result<Fd> make_signalfd(std::span<const int> signal_numbers) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int number : signal_numbers) ::sigaddset(&set, number);
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
    return Failure{system_error("block signals")};
  }
  int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return Failure{system_error("make a signalfd")};
  return Fd(fd);
}

int read_signalfd(int fd) {
  signalfd_siginfo info{};
  if (::read(fd, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
  return static_cast<int>(info.ssi_signo);
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

}  // namespace sundog::os
