#include "loop/loop_thread.h"

#include <pthread.h>
#include <signal.h>

namespace sundog::loop {

LoopThread::~LoopThread() { SUNDOG_CHECK(!thread_.joinable()); }

Status LoopThread::start() {
  auto loop = EventLoop::create();
  if (!loop) return Failure{loop.error()};
  loop_ = *std::move(loop);
  // Signals are the deciding thread's business; the mask is inherited by the new thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { loop_->run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
  return ok_status();
}

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

}  // namespace sundog::loop
