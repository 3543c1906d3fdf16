#include "forking.h"

#include <signal.h>
#include <unistd.h>

#include <string>

#include "base/bytes.h"
#include "os/fork.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::python {
namespace {

namespace nb = nanobind;

struct Order {
  int socket = -1;  // the zygote's, to the daemon
  unsigned long long token = 0;
  int daemon = 0, control = -1, out = -1, err = -1;
};

bool report(const Order& order, pid_t worker) {
  auto pidfd = os::open_pidfd(worker);
  std::string number = std::to_string(order.token);
  if (!pidfd) {
    std::string packet = "failed\n" + number + "\n" + pidfd.error();
    return os::send_packet(order.socket, as_bytes(packet)).ok();
  }
  std::string packet = "forked\n" + number + "\n" + std::to_string(worker);
  int fds[] = {pidfd->get()};
  return os::send_packet(order.socket, as_bytes(packet), fds).ok();
}

// Before Python knows of the fork: each page that the child need not write is one that it shares.
bool begin_worker(const Order& order, pid_t intermediate) {
  ::setsid();
  if (!os::await_new_parent(intermediate, order.daemon)) return false;
  // Not before: the end of the process in between would be the one that it tells of.
  if (!os::set_parent_death_signal(SIGKILL)) return false;
  if (::getppid() != order.daemon) return false;
  ::dup2(order.out, 1);
  ::dup2(order.err, 2);
  for (int fd : {order.out, order.err, order.socket}) ::close(fd);
  return true;
}

PyObject* fork_worker(PyObject*, PyObject* args) {
  Order order;
  if (!PyArg_ParseTuple(args, "iKiiii", &order.socket, &order.token, &order.daemon, &order.control,
                        &order.out, &order.err)) {
    return nullptr;
  }
  PyOS_BeforeFork();
  auto forked = os::fork_orphan([&](pid_t worker) { return report(order, worker); });
  if (forked && forked->child == 0) {
    if (!begin_worker(order, forked->intermediate)) ::_exit(1);
    PyOS_AfterFork_Child();
    return PyLong_FromLong(0);
  }
  PyOS_AfterFork_Parent();
  if (!forked) return PyErr_Format(PyExc_OSError, "%s", forked.error().c_str());
  return PyLong_FromLong(forked->child);
}

PyMethodDef functions[] = {
    {"fork_worker", fork_worker, METH_VARARGS,
     "fork_worker(socket, token, daemon, control, stdout, stderr)\n--\n\n"
     "Forks a worker that is the daemon's child and leads a session, and tells the daemon through "
     "the socket. The worker's pid, or 0 in the worker, which keeps control and has the others as "
     "its output. The process must have one thread."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_forking(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
