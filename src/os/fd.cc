#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace sundog::os {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Fd> Fd::duplicate() const {
  int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Failure{system_error("duplicate a descriptor")};
  return Fd(copy);
}

std::string system_error(const std::string& what, int error_number) {
  char text[128];
  const char* message = ::strerror_r(error_number, text, sizeof text);
  return "cannot " + what + ": " + message + " (errno " + std::to_string(error_number) + ")";
}

std::string system_error(const std::string& what) { return system_error(what, errno); }

Result<Fd> make_eventfd() {
  int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Failure{system_error("make an eventfd")};
  return Fd(fd);
}

void signal_eventfd(int fd) {
  uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void drain_eventfd(int fd) {
  uint64_t count;
  while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

Result<Pipe> make_pipe(bool nonblocking_read) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) < 0) return Failure{system_error("make a pipe")};
  Pipe pipe{Fd(fds[0]), Fd(fds[1])};
  if (nonblocking_read) {
    if (Status s = set_nonblocking(fds[0], true); !s) return Failure{s.error()};
  }
  return pipe;
}

Result<Fd> make_timerfd() {
  int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) return Failure{system_error("make a timerfd")};
  return Fd(fd);
}

void arm_timerfd(int fd, int64_t at_ns) {
  if (at_ns < 1) at_ns = 1;  // zero would disarm
  itimerspec spec{};
  spec.it_value.tv_sec = at_ns / 1'000'000'000;
  spec.it_value.tv_nsec = at_ns % 1'000'000'000;
  ::timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, nullptr);
}

void disarm_timerfd(int fd) {
  itimerspec spec{};
  ::timerfd_settime(fd, 0, &spec, nullptr);
}

Status set_nonblocking(int fd, bool on) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return Failure{system_error("read the flags of a descriptor")};
  int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) < 0) {
    return Failure{system_error("set the flags of a descriptor")};
  }
  return ok_status();
}

std::pair<uint64_t, uint64_t> raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return {0, 0};
  uint64_t before = limit.rlim_cur;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) return {before, before};
  }
  return {before, limit.rlim_cur};
}

}  // namespace sundog::os
