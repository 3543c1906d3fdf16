#include "cancelling.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <mutex>

#include "concurrent_calls.h"
#include "object_ref.h"

namespace sundog::python {
namespace {

struct Interrupts {
  std::mutex mutex;
  // ---- guarded by mutex
  TaskId running;        // whose code runs on the main thread; nil between tasks
  bool is_call = false;  // of an actor
  bool wanted = false;   // and is to be interrupted
  // ---- the main thread's
  bool knows = false;  // it asked, and was told that it is cancelled
  bool ends_after = false;
};
Interrupts interrupts;
pthread_t main_thread;
// Not SIGINT: modules that workers import give that one a handler of their own.
const int interrupt_signal = SIGRTMIN + 3;
// Called with the id of a cancelled call, on the runtime thread; owned.
std::atomic<PyObject*> listener{nullptr};

void tell_listener(const TaskId& task) {
  if (listener.load() == nullptr) return;
  PyGILState_STATE state = PyGILState_Ensure();
  if (PyObject* callback = Py_XNewRef(listener.load())) {
    Object id = raw({reinterpret_cast<const std::byte*>(&task), sizeof task});
    Object told = steal(PyObject_CallOneArg(callback, id.ptr()));
    if (!told.is_valid()) PyErr_WriteUnraisable(callback);
    Py_DECREF(callback);
  }
  PyGILState_Release(state);
}

void interrupt(const TaskId& task) {
  std::lock_guard lock(interrupts.mutex);
  if (interrupts.running != task) return;
  interrupts.wanted = true;
  pthread_kill(main_thread, interrupt_signal);
}

PyObject* take_interrupt(PyObject*, PyObject*) {
  std::lock_guard lock(interrupts.mutex);
  // Whoever asked is ending by itself.
  const bool meant = std::exchange(interrupts.wanted, false) && !interrupts.knows;
  return PyBool_FromLong(meant);
}

PyObject* end_after_task(PyObject*, PyObject*) {
  interrupts.ends_after = true;
  Py_RETURN_NONE;
}

PyObject* is_canceled(PyObject*, PyObject* task) {
  Session* session = current_session();
  if (!PyBytes_Check(task) || PyBytes_GET_SIZE(task) != sizeof(TaskId) || session == nullptr) {
    PyErr_SetString(PyExc_TypeError, "is_canceled() takes the id of a running task, 16 bytes");
    return nullptr;
  }
  TaskId id;
  std::memcpy(&id, PyBytes_AS_STRING(task), sizeof id);
  const bool cancelled = session->runtime->is_cancelled(id);
  if (cancelled) {
    std::lock_guard lock(interrupts.mutex);
    if (interrupts.running == id) interrupts.knows = true;
    note_running_call_knows(id);
  }
  return PyBool_FromLong(cancelled);
}

PyObject* on_cancelled_call(PyObject*, PyObject* callback) {
  PyObject* added = callback == Py_None ? nullptr : Py_NewRef(callback);
  Py_XDECREF(listener.exchange(added));
  Py_RETURN_NONE;
}

PyObject* cancel(PyObject*, PyObject* args) {
  PyObject* ref = nullptr;
  int level = 0, recursive = 0;
  unsigned int grace_ms = 0;
  if (!PyArg_ParseTuple(args, "O!iIp", object_ref_type, &ref, &level, &grace_ms, &recursive)) {
    return nullptr;
  }
  Session* session = current_session();
  if (!belongs_to(as_object_ref(ref), session)) return nullptr;
  auto sent = session->runtime->cancel(
      as_object_ref(ref)->entry, static_cast<model::CancelLevel>(level), grace_ms, recursive != 0);
  if (!sent.ok()) return raise_call_error(sent.error());
  Py_RETURN_NONE;
}

PyObject* cancel_all(PyObject*, PyObject*) {
  Session* session = current_session();
  if (session == nullptr) Py_RETURN_NONE;
  auto sent = session->runtime->cancel_all(model::CancelLevel::kInterrupt);
  if (!sent.ok()) return raise_call_error(sent.error());
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"cancel", cancel, METH_VARARGS,
     "cancel(ref, level, grace_ms, recursive)\n--\n\n"
     "Ends the task that makes this object, if it has not ended. Levels: model::CancelLevel."},
    {"cancel_all", cancel_all, METH_NOARGS,
     "cancel_all()\n--\n\nInterrupts all that this driver submitted."},
    {"is_canceled", is_canceled, METH_O,
     "is_canceled(task)\n--\n\nWhether this task, which runs here, is cancelled."},
    {"take_interrupt", take_interrupt, METH_NOARGS,
     "take_interrupt()\n--\n\nWhether what runs is to be interrupted; then it is not any more."},
    {"end_after_task", end_after_task, METH_NOARGS,
     "end_after_task()\n--\n\nThis worker takes no further task."},
    {"on_cancelled_call", on_cancelled_call, METH_O,
     "on_cancelled_call(callback)\n--\n\n"
     "From now on callback(task id, 16 bytes) is called on the runtime thread for each running "
     "call of an actor that is cancelled; None: no longer."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void listen_for_cancels(client::Runtime* runtime) {
  main_thread = pthread_self();
  runtime->on_cancel([](const TaskId& task, model::CancelLevel level) {
    if (level >= model::CancelLevel::kInterrupt) {
      interrupt(task);
    } else {
      tell_listener(task);
    }
  });
}

void begin_interruptible(const TaskId& task, bool is_call) {
  std::lock_guard lock(interrupts.mutex);
  interrupts.running = task;
  interrupts.is_call = is_call;
  interrupts.wanted = interrupts.knows = false;
}

bool end_interruptible() {
  std::lock_guard lock(interrupts.mutex);
  interrupts.running = TaskId{};
  interrupts.wanted = false;  // what is left of it hands its value over
  return interrupts.knows;
}

bool runs_cancelled_call() {
  Session* session = current_session();
  if (session == nullptr || !session->is_worker) return false;
  TaskId task;
  if (runs_concurrently()) {
    task = running_call_in_code();
  } else if (pthread_equal(pthread_self(), main_thread) != 0) {
    std::lock_guard lock(interrupts.mutex);
    if (interrupts.is_call) task = interrupts.running;
  }
  if (task == TaskId{} || !session->runtime->is_cancelled(task)) return false;
  std::lock_guard lock(interrupts.mutex);
  if (interrupts.running == task) interrupts.knows = true;
  note_running_call_knows(task);
  return true;
}

bool ends_after_task() { return interrupts.ends_after; }

void add_cancelling(nb::module_& module) {
  module.attr("INTERRUPT_SIGNAL") = interrupt_signal;
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
