// EnvironmentHost: what the daemon runs for runtime environments
// (docs/design/0013-environments.md): for each a setup process, which makes it ready and ends, and
// after that a zygote of its own.
//
// Belongs to the deciding thread and never waits but in stop(): a setup process is watched by its
// pidfd, and what is killed is left to who reaps the daemon's children. It decides nothing;
// core::Environments says when to prepare, to give up and to end. A setup process leads a process
// group and holds the read end of a pipe whose other end is ours: when the daemon is gone, it ends
// its group.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/events.h"
#include "loop/loop.h"
#include "node/zygote_link.h"
#include "obs/log.h"
#include "os/fd.h"

namespace sundog::node {

class EnvironmentHost {
 public:
  struct Setup {
    std::string python;  // empty: nothing can be prepared
    std::string zygote, base_config;
    std::string folder;      // of the session's environments
    std::string log_folder;  // of the session
  };
  struct Listener {
    std::function<void(uint64_t hash, uint32_t attempt)> ready;
    std::function<void(uint64_t hash, uint32_t attempt, std::string reason)> failed;
    std::function<void(uint64_t token, uint32_t pid, os::Fd pidfd)> forked;
    std::function<void(uint64_t token, std::string reason)> fork_failed;
  };
  EnvironmentHost(loop::EventLoop* loop, Setup setup, Listener listener, obs::Log* log);
  ~EnvironmentHost();

  void prepare(const core::PrepareEnvironment& e);
  void abort(const core::AbortEnvironment& e);
  void end(const core::EndEnvironment& e);

  // Null unless it is ready.
  ZygoteLink* zygote(uint64_t hash);
  // The group of a worker is gone.
  void group_ended(uint32_t pid);
  // Whether we watch this child, and reap it.
  bool knows(int pid) const;
  void catch_up();
  // Ends everything, and waits until it has ended.
  void stop();

 private:
  struct Environment {
    uint64_t hash = 0;
    uint32_t attempt = 0;
    int pid = 0;  // of the setup process; 0: none
    os::Fd pidfd, lifeline;
    std::unique_ptr<loop::FunctionWatcher> watcher;
    std::unique_ptr<ZygoteLink> zygote;
  };

  Status start_setup(Environment* e, std::string_view description);
  void on_setup_end(uint64_t hash, uint32_t attempt);
  Status start_zygote(Environment* e);
  // Both kill what there is of it, and do not wait.
  void end_setup(Environment* e, std::vector<os::Fd>* killed = nullptr);
  void retire_zygote(Environment* e);
  // The files of its attempt.
  void remove_files(const Environment& e) const;
  std::string path(const Environment& e, std::string_view ending) const;
  std::string log_path(uint64_t hash) const;
  std::string why_failed(const Environment& e, const std::string& how_it_ended) const;

  loop::EventLoop* loop_;
  Setup setup_;
  Listener listener_;
  obs::Log* log_;
  bool stopped_ = false;
  std::map<uint64_t, Environment> environments_;
  std::vector<std::unique_ptr<ZygoteLink>> retired_;  // one of them may be calling us
};

}  // namespace sundog::node
