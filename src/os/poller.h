// Poller: epoll as values. Owned by one thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/time.h"
#include "os/fd.h"

namespace sundog::os {

struct Readiness {
  uint64_t tag = 0;
  bool readable = false;
  bool writable = false;
  bool hang_up = false;  // the other side is gone, or an error is pending
};

class Poller {
 public:
  static Result<Poller> create();

  // Level-triggered; hang-ups are always reported.
  Status add(int fd, uint64_t tag, bool readable = true, bool writable = false);
  // Reports each signal of an eventfd, or a timer's, once, read or not: nobody need drain it.
  Status add_bell(int eventfd, uint64_t tag);
  Status change(int fd, uint64_t tag, bool readable, bool writable);
  void remove(int fd);
  // Fills `out`, returns how many. timeout_ms -1: until something happens. EINTR: 0.
  size_t wait(std::span<Readiness> out, int timeout_ms);
  int fd() const { return epoll_.get(); }

 private:
  explicit Poller(Fd epoll) : epoll_(std::move(epoll)) {}

  Fd epoll_;
};

}  // namespace sundog::os
