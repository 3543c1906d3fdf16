#include "os/poller.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace sundog::os {
namespace {

constexpr size_t kEventsMax = 128;  // of one wait

epoll_event event_of(uint64_t tag, bool readable, bool writable) {
  epoll_event event{};
  event.events = (readable ? EPOLLIN | EPOLLRDHUP : 0u) | (writable ? EPOLLOUT : 0u);
  event.data.u64 = tag;
  return event;
}

Status add_event(int epoll, int fd, epoll_event event) {
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
    return Failure{system_error("watch descriptor " + std::to_string(fd))};
  }
  return ok_status();
}

}  // namespace

Result<Poller> Poller::create() {
  int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return Failure{system_error("make an epoll descriptor")};
  return Poller(Fd(fd));
}

Status Poller::add(int fd, uint64_t tag, bool readable, bool writable) {
  return add_event(epoll_.get(), fd, event_of(tag, readable, writable));
}

Status Poller::add_bell(int eventfd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = tag;
  return add_event(epoll_.get(), eventfd, event);
}

Status Poller::change(int fd, uint64_t tag, bool readable, bool writable) {
  epoll_event event = event_of(tag, readable, writable);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) < 0) {
    return Failure{system_error("watch descriptor " + std::to_string(fd) + " for other events")};
  }
  return ok_status();
}

void Poller::remove(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

size_t Poller::wait(std::span<Readiness> out, int timeout_ms) {
  std::array<epoll_event, kEventsMax> events;
  int room = static_cast<int>(std::min(out.size(), events.size()));
  int n = ::epoll_wait(epoll_.get(), events.data(), room, timeout_ms);
  if (n < 0) return 0;  // EINTR; other errors are impossible with our arguments
  for (int i = 0; i < n; ++i) {
    uint32_t bits = events[static_cast<size_t>(i)].events;
    out[static_cast<size_t>(i)] = {events[static_cast<size_t>(i)].data.u64, (bits & EPOLLIN) != 0,
                                   (bits & EPOLLOUT) != 0,
                                   (bits & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0};
  }
  return static_cast<size_t>(n);
}

}  // namespace sundog::os
