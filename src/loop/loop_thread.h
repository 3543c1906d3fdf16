// LoopThread: an EventLoop on a thread of its own. start() once, stop() waits for its end; a
// thread that was started must be stopped before it is destroyed.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "loop/loop.h"

namespace sundog::loop {

class LoopThread {
 public:
  // `name` is what top and perf show, at most 15 characters.
  explicit LoopThread(std::string name) : name_(std::move(name)) {}
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Status start();
  // What was posted before runs first.
  void stop();
  EventLoop& loop() { return *loop_; }

 private:
  std::string name_;
  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
};

}  // namespace sundog::loop
