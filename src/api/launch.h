// Starting a session from a C++ program: names, folders, the daemon's flags, worker processes.
// Used by init, before there is a session.
#pragma once

#include "client/runtime.h"
#include "os/fd.h"
#include "sundog/session.h"

namespace sundog::detail {

struct LaunchPlan {
  client::DriverConfig config;
  std::string socket;
  std::vector<std::string> joining_workers;  // to be started by us: the session is another's
  RuntimeEnv runtime_env;                    // checked
};
// The program that this process runs.
std::string own_program();
// Makes the session's folders. Throws NotConnectedError with what is missing, and TypeError for a
// runtime_env that is wrong.
LaunchPlan plan_session(const InitOptions& options);

// A worker program that this process started; ends when the session does.
class WorkerProcess {
 public:
  // Throws NotConnectedError.
  WorkerProcess(const std::string& program, const std::string& address);
  // Waits for its end, at most some seconds, then ends it.
  void reap();

 private:
  os::Fd pidfd_;
};

}  // namespace sundog::detail
