#include "concurrent_calls.h"

#include <ctime>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "core/client_core.h"
#include "session.h"
#include "streams.h"

namespace sundog::python {
namespace {

CallRunner* runner = nullptr;  // null: calls run one after the other
PyObject* call_var = nullptr;  // contextvars.ContextVar of a RunningCall
PyTypeObject* call_type = nullptr;

TimeNs now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// A claimed call. It outlives its end: contexts that were copied while it ran refer to it.
struct RunningCall {
  PyObject_HEAD client::TaskCall* call;  // owned; null once it ended
  core::ClientContext* context;          // owned
  PyObject* name;                        // owned
  TimeNs started;
  bool in_code;  // of the program, which may wait; not yet, or no longer, handing a value over
  bool knows;    // it was told that it is cancelled
};
RunningCall* self_of(PyObject* object) { return reinterpret_cast<RunningCall*>(object); }

// Borrowed from the context; null if it has none.
RunningCall* current_call() {
  PyObject* value = nullptr;
  if (PyContextVar_Get(call_var, nullptr, &value) != 0) {
    PyErr_Clear();
    return nullptr;
  }
  Object held = steal(value);  // the context holds it, too
  return value == nullptr ? nullptr : self_of(value);
}

core::ClientContext* current_context() {
  RunningCall* call = current_call();
  return call == nullptr ? nullptr : call->context;
}

PyObject* make_call(client::TaskCall taken) {
  Object name = text(taken.name);
  if (!name.is_valid()) return nullptr;
  auto* self = PyObject_New(RunningCall, call_type);
  if (self == nullptr) return nullptr;
  self->context = new core::ClientContext{taken.task, taken.attempt, 0, {}, 0};
  self->call = new client::TaskCall(std::move(taken));
  self->name = name.release().ptr();
  self->started = now();
  self->in_code = true;
  self->knows = false;
  return reinterpret_cast<PyObject*>(self);
}

void call_dealloc(PyObject* object) {
  RunningCall* self = self_of(object);
  delete self->call;
  delete self->context;
  Py_XDECREF(self->name);
  PyTypeObject* type = Py_TYPE(object);
  PyObject_Free(object);
  Py_DECREF(type);
}

bool is_running(const RunningCall* self) {
  if (self->call != nullptr) return true;
  PyErr_Format(PyExc_RuntimeError, "the call %U has ended", self->name);
  return false;
}

PyObject* call_enter(PyObject* object, PyObject*) { return PyContextVar_Set(call_var, object); }

PyObject* call_leave(PyObject*, PyObject* token) {
  if (PyContextVar_Reset(call_var, token) != 0) return nullptr;
  Py_RETURN_NONE;
}

PyObject* call_begin(PyObject* object, PyObject*) {
  RunningCall* self = self_of(object);
  if (!is_running(self)) return nullptr;
  self->started = now();
  return runner->call(*self->call).release().ptr();
}

PyObject* end_call(RunningCall* self, Object value) {
  std::unique_ptr<client::TaskCall> call(std::exchange(self->call, nullptr));
  if (!runner->end(*call, self->started, std::move(value))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* call_finish(PyObject* object, PyObject* value) {
  if (!is_running(self_of(object))) return nullptr;
  return end_call(self_of(object), borrow(value));
}

PyObject* call_fail(PyObject* object, PyObject* error) {
  if (!PyExceptionInstance_Check(error)) {
    return PyErr_Format(PyExc_TypeError, "a call fails with an exception, got %R", error);
  }
  if (!is_running(self_of(object))) return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
  return end_call(self_of(object), {});
}

// The session of a call that streams; null with an exception set.
Session* session_of(const RunningCall* self) {
  if (!is_running(self)) return nullptr;
  if (self->call->returns == model::Returns::kStream) return need_session();
  PyErr_Format(PyExc_RuntimeError, "the call %U does not stream", self->name);
  return nullptr;
}

PyObject* call_begin_yield(PyObject* object, PyObject* value) {
  Session* session = session_of(self_of(object));
  return session == nullptr ? nullptr : begin_yield(session, *self_of(object)->call, value);
}

PyObject* call_stream_turn(PyObject* object, PyObject*) {
  Session* session = session_of(self_of(object));
  if (session == nullptr) return nullptr;
  return turn_to_python(session->runtime->stream_turn(*self_of(object)->call));
}

PyObject* call_watch_credit(PyObject* object, PyObject* number) {
  const uint64_t token = PyLong_AsUnsignedLongLong(number);
  if (token == UINT64_MAX && PyErr_Occurred() != nullptr) return nullptr;
  Session* session = session_of(self_of(object));
  if (session == nullptr) return nullptr;
  auto watched = session->runtime->watch_credit(*self_of(object)->call, token);
  if (!watched.ok()) return raise_call_error(watched.error());
  Py_RETURN_NONE;
}

PyObject* get_returns(PyObject* object, void*) {
  RunningCall* self = self_of(object);
  return is_running(self) ? PyLong_FromLong(static_cast<long>(self->call->returns)) : nullptr;
}
PyObject* get_group(PyObject* object, void*) {
  RunningCall* self = self_of(object);
  return is_running(self) ? PyLong_FromLong(self->call->group) : nullptr;
}
PyObject* get_name(PyObject* object, void*) { return Py_NewRef(self_of(object)->name); }
PyObject* get_task(PyObject* object, void*) {
  return text(self_of(object)->context->task.hex()).release().ptr();
}

PyMethodDef methods[] = {
    {"enter", call_enter, METH_NOARGS,
     "enter($self)\n--\n\nThe present context is this call's from now on; a token for leave."},
    {"leave", call_leave, METH_O, "leave($self, token)\n--\n\nUndoes enter in the same context."},
    {"begin", call_begin, METH_NOARGS,
     "begin($self)\n--\n\nCalls the method; what it returned, or raises what it raised."},
    {"finish", call_finish, METH_O,
     "finish($self, value)\n--\n\nEnds the call. Raises only what has to end the process."},
    {"fail", call_fail, METH_O,
     "fail($self, error)\n--\n\nEnds the call with an exception. Raises only what has to end the "
     "process."},
    {"begin_yield", call_begin_yield, METH_O,
     "begin_yield($self, item)\n--\n\nSends an item. True: another may follow; None: once the "
     "consumer took some; False: none, nobody wants more."},
    {"stream_turn", call_stream_turn, METH_NOARGS,
     "stream_turn($self)\n--\n\nWhat begin_yield would answer now."},
    {"watch_credit", call_watch_credit, METH_O,
     "watch_credit($self, token)\n--\n\nLets next_watched return the token once stream_turn is "
     "not None any more."},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef getters[] = {
    {"returns", get_returns, nullptr, "model::Returns, while it runs.", nullptr},
    {"group", get_group, nullptr, "The number of its concurrency group, while it runs.", nullptr},
    {"name", get_name, nullptr, "What messages call it.", nullptr},
    {"task", get_task, nullptr, "Its id, 32 hex digits.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(call_dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getters},
                       {0, nullptr}};
PyType_Spec spec = {"sundog._core.RunningCall", sizeof(RunningCall), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

// ---------------------------------------------------------------- taking calls

bool has_runner() {
  if (runner != nullptr) return true;
  PyErr_SetString(PyExc_RuntimeError, "this process runs one call after the other");
  return false;
}

PyObject* take_call(PyObject*, PyObject*) {
  if (!has_runner()) return nullptr;
  bool over = false;
  std::optional<client::TaskCall> taken = runner->runtime()->poll_task(&over);
  if (taken) return make_call(*std::move(taken));
  if (over) Py_RETURN_FALSE;
  Py_RETURN_NONE;
}

PyObject* wait_for_call(PyObject*, PyObject*) {
  if (!has_runner()) return nullptr;
  GilYielder yielder;
  std::optional<client::TaskCall> taken = runner->runtime()->next_task(&yielder);
  if (yielder.raised()) PyErr_Clear();  // a signal for the driver, not for a worker
  if (taken) return make_call(*std::move(taken));
  Py_RETURN_NONE;
}

PyObject* task_event(PyObject*, PyObject*) {
  if (!has_runner()) return nullptr;
  return PyLong_FromLong(runner->runtime()->task_event());
}

PyObject* stop_tasks(PyObject*, PyObject*) {
  if (!has_runner()) return nullptr;
  runner->runtime()->stop_tasks();
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"take_call", take_call, METH_NOARGS,
     "take_call()\n--\n\nThe next call that may run; None if there is none, False when the process "
     "is to end."},
    {"wait_for_call", wait_for_call, METH_NOARGS,
     "wait_for_call()\n--\n\nThe next call that may run; None when the process is to end."},
    {"task_event", task_event, METH_NOARGS,
     "task_event()\n--\n\nA descriptor that is readable when take_call() may have something."},
    {"stop_tasks", stop_tasks, METH_NOARGS, "stop_tasks()\n--\n\nNo call is given any more."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void run_concurrently(CallRunner* its_runner) {
  runner = its_runner;
  runner->runtime()->set_context_source(&current_context);
}

bool runs_concurrently() { return runner != nullptr; }

bool current_running_call(std::string* task, std::string* name, uint32_t* attempt) {
  RunningCall* call = current_call();
  if (call == nullptr) return false;
  const char* utf8 = PyUnicode_AsUTF8(call->name);
  if (utf8 == nullptr) PyErr_Clear();
  *task = call->context->task.hex();
  *name = utf8 == nullptr ? "" : utf8;
  *attempt = call->context->attempt;
  return true;
}

TaskId running_call_in_code() {
  RunningCall* call = current_call();
  return call == nullptr || !call->in_code ? TaskId{} : call->context->task;
}

void note_running_call_knows(const TaskId& task) {
  RunningCall* call = runner == nullptr ? nullptr : current_call();
  if (call != nullptr && call->context->task == task) call->knows = true;
}

bool end_code_of_running_call() {
  RunningCall* call = current_call();
  if (call == nullptr) return false;
  call->in_code = false;
  return call->knows;
}

PyObject* current_method() {
  RunningCall* call = current_call();
  if (call == nullptr || call->call == nullptr) Py_RETURN_NONE;
  return text(call->call->method).release().ptr();
}

void add_concurrent_calls(nb::module_& module) {
  call_var = PyContextVar_New("sundog_call", nullptr);
  call_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (call_var == nullptr || call_type == nullptr) throw nb::python_error();
  module.attr("RunningCall") = nb::handle(reinterpret_cast<PyObject*>(call_type));
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
