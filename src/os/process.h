// Processes: spawn, pidfd, wait, groups, subreaper. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace sundog::os {

struct SpawnRequest {
  std::string path;
  std::vector<std::string> arguments;    // argv[1..]; argv[0] is the path
  std::vector<std::pair<int, int>> fds;  // {ours, number in the child}; all others close
  std::vector<std::string> environment;  // NAME=VALUE on top of ours
  std::string folder;                    // where it begins; empty: where we are
  bool new_session = false;              // setsid in the child
};
// posix_spawn: no copy of our address space, safe in a process with threads.
Result<pid_t> spawn(const SpawnRequest& request);

pid_t own_pid();
Result<Fd> open_pidfd(pid_t pid);

struct ExitInfo {
  bool exited = false;  // false: ended by signal `code`
  int code = 0;         // exit code or signal number
  int64_t cpu_ns = 0;
  int64_t peak_rss_bytes = 0;
};
enum class WaitResult : uint8_t { kEnded, kRunning, kNotOurs };
// Reaps the process behind the pidfd if it has ended and is our child (or was reparented to us).
WaitResult wait_pidfd(int pidfd, ExitInfo* info);
// Blocks until the child ended or `deadline` (CLOCK_MONOTONIC) passed.
WaitResult wait_pidfd_until(int pidfd, TimeNs deadline, ExitInfo* info);

Status become_subreaper();
// The kernel sends us `signal_number` when our parent thread ends; 0 switches it off.
Status set_parent_death_signal(int signal_number);
// SIGKILL to every process of the group; nothing happens if none is left.
void kill_process_group(pid_t group);
bool send_signal_pidfd(int pidfd, int signal_number);
// One ended child that nobody has reaped yet, 0 if there is none; it stays a zombie.
pid_t peek_ended_child();
void reap_child(pid_t pid);

// Blocks the signals for this thread and all it starts, and makes them readable instead.
Result<Fd> make_signalfd(std::span<const int> signal_numbers);
// The next signal that came, 0 if none did.
int read_signalfd(int fd);

// "SIGSEGV" of 11; "signal 77" of an unknown one.
std::string signal_name(int number);

}  // namespace sundog::os
