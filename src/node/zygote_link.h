// ZygoteLink: the daemon's end of the zygote (docs/design/0001-walls.md): starts it, asks for
// forks, hears of them, starts it again when it dies. Belongs to the deciding thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "loop/loop.h"
#include "obs/log.h"
#include "os/fd.h"

namespace sundog::node {

// A zygote that ends so often without having finished a stage cannot be started at all.
constexpr int kZygoteFailuresMax = 3;

struct ForkOrder {
  uint64_t token = 0;
  JobId job;
  uint64_t runtime_env = 0;
  std::vector<std::string> environment;  // NAME=VALUE
  os::Fd control, out, err;              // the worker's ends
};

class ZygoteLink final : private loop::Watcher {
 public:
  struct Listener {
    std::function<void(uint64_t token, uint32_t pid, os::Fd pidfd)> forked;
    std::function<void(uint64_t token, std::string reason)> failed;
    std::function<void(int stage)> stage_done;
    // It cannot be started any more; what was asked of it has failed. May be empty.
    std::function<void(const std::string& reason)> gave_up = {};
  };
  struct Program {
    std::string python, script, config, log_path;
  };
  ZygoteLink(loop::EventLoop* loop, Program program, Listener listener, obs::Log* log);
  ~ZygoteLink();

  Status start();
  // Answered by forked or failed, also when the zygote must be started again for it.
  void fork(ForkOrder order);
  // The group of this worker is gone and no longer guarded.
  void ended(uint32_t pid);
  // Handles what the zygote said and we have not heard yet.
  void catch_up();
  // SIGKILL, and no new one. Its pidfd, empty if there is none: it may be waited for, else who
  // reaps our children finds it.
  os::Fd kill();
  // The same of one that others go on without: what was asked of it and is not forked has failed.
  os::Fd dismiss(const std::string& reason);
  // kill(), and waits for its end.
  void stop();
  int pid() const { return pid_; }
  bool guards(uint32_t pid) const { return groups_.contains(pid); }

 private:
  void on_ready(const os::Readiness& readiness) override;
  void on_process_end();
  void on_packet(const std::vector<std::string_view>& fields, std::vector<os::Fd> fds);
  bool send_order(const ForkOrder& order);
  void flush();
  void restart();
  void give_up(const std::string& reason);
  void fail_orders(const std::string& reason);
  std::string last_words() const;

  loop::EventLoop* loop_;
  Program program_;
  Listener listener_;
  obs::Log* log_;
  os::Fd socket_;
  os::Fd pidfd_;
  int pid_ = 0;
  loop::FunctionWatcher end_watcher_;
  bool stopped_ = false;
  int failures_ = 0;                      // ends since a stage was last done
  std::deque<uint64_t> unsent_;           // tokens, in order
  std::map<uint64_t, ForkOrder> orders_;  // not yet answered
  std::set<uint32_t> groups_;             // guarded
  std::deque<std::string> notes_;         // other packets not yet sent
};

}  // namespace sundog::node
