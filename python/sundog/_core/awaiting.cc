#include "awaiting.h"

#include <ctime>
#include <utility>
#include <vector>

#include "object_ref.h"

namespace sundog::python {
namespace {

PyTypeObject* awaiting_type = nullptr;

// The iterator behind `await ref`: that of a future which the event loop waits for, then the value.
// In C, so that an exception of the task shows the user's lines only.
struct Awaiting {
  PyObject_HEAD PyObject* ref;  // owned
  PyObject* inner;              // owned; null before the first step
};
Awaiting* self_of(PyObject* object) { return reinterpret_cast<Awaiting*>(object); }

void awaiting_dealloc(PyObject* object) {
  Py_XDECREF(self_of(object)->ref);
  Py_XDECREF(self_of(object)->inner);
  PyTypeObject* type = Py_TYPE(object);
  PyObject_Free(object);
  Py_DECREF(type);
}

// The value becomes that of the await expression.
PyObject* stop_with_value(PyObject* ref) {
  Object module = steal(PyImport_ImportModule("sundog._core"));
  Object get = module.is_valid() ? steal(PyObject_GetAttrString(module.ptr(), "get")) : Object();
  if (!get.is_valid()) return nullptr;
  Object value = steal(PyObject_CallOneArg(get.ptr(), ref));
  if (!value.is_valid()) return nullptr;
  Object stop = steal(PyObject_CallOneArg(PyExc_StopIteration, value.ptr()));
  if (stop.is_valid()) PyErr_SetObject(PyExc_StopIteration, stop.ptr());
  return nullptr;
}

PyObject* awaiting_next(PyObject* object) {
  Awaiting* self = self_of(object);
  if (self->inner == nullptr) {
    self->inner = call_package("_future", "begin_await", {self->ref}).release().ptr();
    if (self->inner == nullptr) return raise_without_own_frames();
  }
  PyObject* step = Py_TYPE(self->inner)->tp_iternext(self->inner);
  if (step != nullptr) return step;
  if (PyErr_Occurred() != nullptr) {
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return nullptr;
    PyErr_Clear();
  }
  return stop_with_value(self->ref);
}

PyType_Slot awaiting_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(awaiting_dealloc)},
                                {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
                                {Py_tp_iternext, reinterpret_cast<void*>(awaiting_next)},
                                {0, nullptr}};
PyType_Spec awaiting_spec = {"sundog._core.Awaiting", sizeof(Awaiting), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                             awaiting_slots};

PyObject* watch(PyObject*, PyObject* args) {
  PyObject* ref = nullptr;
  unsigned long long token = 0;
  if (!PyArg_ParseTuple(args, "O!K", object_ref_type, &ref, &token)) return nullptr;
  Session* session = current_session();
  if (!belongs_to(as_object_ref(ref), session)) return nullptr;
  auto watched = session->runtime->watch(as_object_ref(ref)->entry, token);
  if (!watched.ok()) return raise_call_error(watched.error());
  Py_RETURN_NONE;
}

PyObject* unwatch(PyObject*, PyObject* args) {
  PyObject* session = nullptr;
  unsigned long long token = 0;
  if (!PyArg_ParseTuple(args, "O!K", session_type(), &session, &token)) return nullptr;
  reinterpret_cast<Session*>(session)->runtime->unwatch(token);
  Py_RETURN_NONE;
}

PyObject* next_watched(PyObject*, PyObject* object) {
  if (Py_TYPE(object) != session_type()) {
    return PyErr_Format(PyExc_TypeError, "next_watched() takes a Session");
  }
  std::vector<uint64_t> tokens;
  GilYielder yielder;
  auto got = reinterpret_cast<Session*>(object)->runtime->next_watched(&yielder, &tokens);
  if (!got.ok()) Py_RETURN_NONE;
  Object list = steal(PyList_New(static_cast<Py_ssize_t>(tokens.size())));
  if (!list.is_valid()) return nullptr;
  for (size_t i = 0; i < tokens.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromUnsignedLongLong(tokens[i]));
  }
  return list.release().ptr();
}

PyObject* wait_delivered(PyObject*, PyObject* seconds) {
  const double limit = PyFloat_AsDouble(seconds);
  if (limit == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
  Session* session = current_session();
  if (session == nullptr) Py_RETURN_NONE;
  Object kept = borrow(reinterpret_cast<PyObject*>(session));
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  const TimeNs now = t.tv_sec * kSecond + t.tv_nsec;
  GilYielder yielder;
  yielder.release();
  session->runtime->wait_delivered(now + static_cast<DurationNs>(limit * 1e9));
  yielder.acquire();
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"watch", watch, METH_VARARGS,
     "watch(ref, token)\n--\n\nLets next_watched return the token once the object is here."},
    {"unwatch", unwatch, METH_VARARGS, "unwatch(session, token)\n--\n\nUndoes watch."},
    {"next_watched", next_watched, METH_O,
     "next_watched(session)\n--\n\nWaits for watched objects; their tokens, None when the session "
     "is over. For one thread."},
    {"wait_delivered", wait_delivered, METH_O,
     "wait_delivered(seconds)\n--\n\nWaits until what tasks printed and the daemon forwarded is in "
     "the queue of next_line."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* make_awaiting(PyObject* ref) {
  auto* awaiting = PyObject_New(Awaiting, awaiting_type);
  if (awaiting == nullptr) return nullptr;
  awaiting->ref = Py_NewRef(ref);
  awaiting->inner = nullptr;
  return reinterpret_cast<PyObject*>(awaiting);
}

void add_awaiting(nb::module_& module) {
  awaiting_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&awaiting_spec));
  if (awaiting_type == nullptr) throw nb::python_error();
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
