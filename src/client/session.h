// Becoming a client: start a daemon or reach a running one, shake hands (src/wire/hello.h), map
// what it hands over. Blocking, at most kHandshakeTimeout; used once by connect_driver and
// connect_worker.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "client/runtime.h"
#include "os/fd.h"
#include "os/process.h"
#include "shm/shared.h"
#include "wire/hello.h"

namespace sundog::client {

constexpr DurationNs kHandshakeTimeout = 30 * kSecond;

// A daemon that this process started and has to reap.
struct Daemon {
  pid_t pid = 0;  // 0: somebody else's
  os::Fd pidfd;
};

struct Session {
  os::Fd control;
  shm::Channel channel;
  shm::Doorbell doorbell;
  os::Fd bell;   // the daemon's eventfd
  os::Fd event;  // ours
  std::vector<os::Fd> arenas;
  std::vector<uint64_t> arena_bytes;
  ClientId client;
  model::Role role = model::Role::kDriver;
  SessionInfo info;
  Daemon daemon;
};

Result<Session> start_daemon(const DriverConfig& config);
Result<Session> join_daemon(const DriverConfig& config);
// `meanwhile` is called while the daemon makes its answer.
Result<Session> greet(os::Fd control, wire::Hello hello,
                      const std::function<void()>& meanwhile = {});

// "was killed by signal 9 (SIGKILL)", "ended with exit code 1".
std::string describe_exit(const os::ExitInfo& info);

}  // namespace sundog::client
