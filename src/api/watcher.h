// Watcher: calls back when references of a session are ready, from one thread that it starts with
// the first of them. What is left is called back when the session is over. Any thread; its owner
// ends the Runtime's session before join().
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "client/runtime.h"

namespace sundog::detail {

class Watcher {
 public:
  explicit Watcher(client::Runtime* runtime) : runtime_(runtime) {}
  ~Watcher() { join(); }
  void watch(client::Entry* entry, std::function<void()> done);
  void join();

 private:
  void run();
  std::function<void()> take(uint64_t token);

  client::Runtime* runtime_;
  std::mutex mutex_;
  uint64_t last_token_ = 0;
  bool is_over_ = false;
  std::map<uint64_t, std::function<void()>> waiting_;
  std::thread thread_;
};

}  // namespace sundog::detail
