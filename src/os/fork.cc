#include "os/fork.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/process.h"

namespace sundog::os {

// The process in between has to end for its child to be adopted. A second copy of a warm
// interpreter for it would cost as much as the child itself, so it is a vfork: it runs on our
// memory while we wait, and the fork that counts is its own. The child's copy of this frame is its
// own too, so that it may return from here; the process in between never does.
Result<OrphanFork> fork_orphan(const std::function<bool(pid_t child)>& report) {
  volatile pid_t child = -1;
  volatile int failed = 0;
  pid_t intermediate = ::vfork();
  if (intermediate == 0) {
    pid_t own = ::getpid();
    pid_t forked = ::fork();
    if (forked == 0) return OrphanFork{0, own};
    child = forked;
    if (forked < 0) {
      failed = errno;
    } else {
      report(forked);
    }
    ::_exit(0);
  }
  if (intermediate < 0) return Failure{system_error("fork")};
  while (::waitpid(intermediate, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (failed != 0) return Failure{system_error("fork", failed)};
  return OrphanFork{child, intermediate};
}

bool await_new_parent(pid_t intermediate, pid_t parent) {
  if (::getppid() == intermediate) {
    if (auto pidfd = open_pidfd(intermediate)) {
      pollfd entry{pidfd->get(), POLLIN, 0};
      while (::poll(&entry, 1, -1) < 0 && errno == EINTR) {
      }  // readable after the kernel gave us our new parent
    }
  }
  return ::getppid() == parent;
}

}  // namespace sundog::os
