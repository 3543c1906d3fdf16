// Fd: owns one descriptor and closes it. Move only; any thread, like an int.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace sundog::os {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();                  // closes
  Result<Fd> duplicate() const;  // close-on-exec

 private:
  int fd_ = -1;
};

// "cannot <what>: <strerror> (errno <n>)" of the current errno.
std::string system_error(const std::string& what);
std::string system_error(const std::string& what, int error_number);

// An eventfd, non-blocking and close-on-exec.
Result<Fd> make_eventfd();
void signal_eventfd(int fd);  // adds one; never blocks, ignores a full counter
void drain_eventfd(int fd);   // back to zero

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe(bool nonblocking_read);

// CLOCK_MONOTONIC timer; `at` is absolute nanoseconds, 0 or less fires at once.
Result<Fd> make_timerfd();
void arm_timerfd(int fd, int64_t at_ns);
void disarm_timerfd(int fd);

Status set_nonblocking(int fd, bool on);

// Raises RLIMIT_NOFILE to its hard limit; returns {before, now}.
std::pair<uint64_t, uint64_t> raise_open_files_limit();

}  // namespace sundog::os
