#include "streams.h"

#include <memory>
#include <utility>

#include "core/client_core.h"
#include "model/limits.h"
#include "object_ref.h"
#include "outgoing.h"
#include "task_error.h"

namespace sundog::python {
namespace {

// The base of sundog.ObjectRefGenerator. In C, so that what a loop raises shows the user's lines
// only.
struct Stream {
  PyObject_HEAD Session* session;  // owned; null for one that nobody made by a call
  client::Entry* completed;        // one count of it
  TaskId task;
};

PyTypeObject* stream_type = nullptr;

Stream* self_of(PyObject* object) { return reinterpret_cast<Stream*>(object); }
client::Runtime* runtime_of(Stream* self) {
  return self->session == nullptr ? nullptr : self->session->runtime;
}

PyObject* stream_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  self_of(self)->session = nullptr;
  self_of(self)->completed = nullptr;
  new (&self_of(self)->task) TaskId{};
  return self;
}

void stream_dealloc(PyObject* object) {
  Stream* self = self_of(object);
  if (self->session != nullptr) {
    if (!is_inherited(self->session)) self->session->runtime->close_stream(self->task);
    { client::RefHandle dropped(self->completed); }
    Py_DECREF(self->session);
  }
  PyTypeObject* type = Py_TYPE(object);
  type->tp_free(object);
  Py_DECREF(type);
}

// The next reference; null without an exception at the end.
PyObject* stream_next(PyObject* object) {
  Stream* self = self_of(object);
  if (self->session == nullptr) return nullptr;
  // Another thread may drop the generator, or the session, while this one waits.
  Object kept = borrow(object);
  GilYielder yielder;
  auto item = runtime_of(self)->next_item(self->task, kNever, &yielder);
  if (yielder.raised()) return nullptr;
  if (!item.ok()) return raise_call_error(item.error());
  if (!*item) return nullptr;
  return make_object_ref(self->session, std::move(*item));
}

PyObject* stream_peek(PyObject* object, PyObject*) {
  Stream* self = self_of(object);
  client::RefHandle item;
  if (self->session != nullptr) item = runtime_of(self)->peek_item(self->task);
  if (!item) Py_RETURN_NONE;
  return make_object_ref(self->session, std::move(item));
}

PyObject* stream_take(PyObject* object, PyObject* peeked) {
  Stream* self = self_of(object);
  if (self->session == nullptr || !is_object_ref(peeked)) Py_RETURN_FALSE;
  return PyBool_FromLong(runtime_of(self)->take_item(self->task, as_object_ref(peeked)->entry));
}

PyObject* stream_is_finished(PyObject* object, PyObject*) {
  Stream* self = self_of(object);
  if (self->session == nullptr) Py_RETURN_TRUE;
  Object kept = borrow(object);
  GilYielder yielder;
  auto over = runtime_of(self)->is_stream_over(self->task, &yielder);
  if (yielder.raised()) return nullptr;
  if (!over.ok()) return raise_call_error(over.error());
  return PyBool_FromLong(*over);
}

PyObject* stream_close(PyObject* object, PyObject*) {
  Stream* self = self_of(object);
  if (self->session != nullptr && !is_inherited(self->session)) {
    runtime_of(self)->close_stream(self->task);
  }
  Py_RETURN_NONE;
}

PyObject* stream_completed(PyObject* object, PyObject*) {
  Stream* self = self_of(object);
  if (self->session == nullptr) {
    return PyErr_Format(PyExc_RuntimeError, "this generator belongs to no call: there is no end");
  }
  self->completed->use();
  return make_object_ref(self->session, client::RefHandle(self->completed));
}

PyMethodDef methods[] = {
    {"_peek", stream_peek, METH_NOARGS,
     "_peek($self)\n--\n\nWhat is ready when the next reference is; None when there is none."},
    {"_take", stream_take, METH_O,
     "_take($self, peeked)\n--\n\nWhether what was peeked at, and came, is the next reference: it "
     "is "
     "taken now."},
    {"_close", stream_close, METH_NOARGS, nullptr},
    {"_completed", stream_completed, METH_NOARGS, nullptr},
    {"_is_finished", stream_is_finished, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(stream_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(stream_dealloc)},
                       {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
                       {Py_tp_iternext, reinterpret_cast<void*>(stream_next)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};
PyType_Spec spec = {"sundog._core.Stream", sizeof(Stream), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

// ---------------------------------------------------------------- the producer

// Raises the pending exception where the generator yielded; what it yields next, or null with an
// exception set.
Object throw_into(PyObject* iterator) {
  PyObject *type = nullptr, *exception = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(exception, traceback);
  Object thrower = steal(PyObject_GetAttrString(iterator, "throw"));
  if (!thrower.is_valid()) {
    PyErr_Restore(type, exception, traceback);
    return {};
  }
  Object next = steal(PyObject_CallOneArg(thrower.ptr(), exception));
  Py_XDECREF(type);
  Py_XDECREF(exception);
  Py_XDECREF(traceback);
  return next;
}

// GeneratorExit at the yield; false with an exception set.
bool close_iterator(PyObject* iterator) {
  Object close = steal(PyObject_GetAttrString(iterator, "close"));
  if (!close.is_valid()) {
    PyErr_Clear();
    return true;
  }
  return steal(PyObject_CallNoArgs(close.ptr())).is_valid();
}

// An item as the Runtime takes it. `outgoing` has its bytes; false with an exception set.
bool lay_out(Session* session, const client::TaskCall& call, PyObject* value, Outgoing* outgoing,
             client::OutValue* out, std::unique_ptr<client::Room>* room) {
  if (!take_result(call.name, value, outgoing)) return false;
  *out = {outgoing->format(), {}, outgoing->contained()};
  if (outgoing->size() > model::kInlineValueBytesMax) {
    *room = fill_room(session, *outgoing);
    return *room != nullptr;
  }
  out->bytes = outgoing->in_one_piece();
  return true;
}

// A task is interrupted wherever it is. A call of an actor, which lives on, is not: where it yields
// it owes nothing, and ends.
bool is_cancelled_call(Session* session, const client::TaskCall& call) {
  return call.kind == model::CallKind::kMethod && session->runtime->is_cancelled(call.task);
}

enum class Yielded : uint8_t { kGoOn, kClosed, kRaised };

Yielded yield_one(Session* session, const client::TaskCall& call, PyObject* value) {
  Outgoing outgoing;
  client::OutValue out;
  std::unique_ptr<client::Room> room;
  if (!lay_out(session, call, value, &outgoing, &out, &room)) return Yielded::kRaised;
  GilYielder yielder;
  auto going = session->runtime->yield_item(call, out, std::move(room), &yielder);
  if (yielder.raised()) return Yielded::kRaised;
  if (!going.ok()) {
    raise_call_error(going.error());
    return Yielded::kRaised;
  }
  return *going ? Yielded::kGoOn : Yielded::kClosed;
}

}  // namespace

bool is_stream(PyObject* object) { return PyObject_TypeCheck(object, stream_type); }

PyObject* make_stream(Session* session, client::RefHandle completed) {
  Object package = steal(PyImport_ImportModule("sundog._generator"));
  if (!package.is_valid()) return nullptr;
  Object type = steal(PyObject_GetAttrString(package.ptr(), "ObjectRefGenerator"));
  if (!type.is_valid()) return nullptr;
  PyObject* object = stream_new(reinterpret_cast<PyTypeObject*>(type.ptr()), nullptr, nullptr);
  if (object == nullptr) return nullptr;
  Stream* self = self_of(object);
  self->task = completed.id().task;
  self->completed = completed.release();
  self->session = reinterpret_cast<Session*>(Py_NewRef(session));
  return object;
}

Object waitables_of(PyObject* given) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(given);
  Object list = steal(PyList_New(count));
  for (Py_ssize_t i = 0; list.is_valid() && i < count; ++i) {
    PyObject* item = PySequence_Fast_ITEMS(given)[i];
    PyObject* ref = nullptr;
    if (is_object_ref(item)) {
      ref = Py_NewRef(item);
    } else if (is_stream(item)) {
      ref = stream_peek(item, nullptr);
      if (ref == Py_None) {  // over: as ready as what tells its end
        Py_DECREF(ref);
        ref = stream_completed(item, nullptr);
      }
    }
    if (ref == nullptr) return {};
    PyList_SET_ITEM(list.ptr(), i, ref);
  }
  return list;
}

bool yield_items(Session* session, const client::TaskCall& call, PyObject* iterator) {
  if (!PyIter_Check(iterator)) {
    Object name = text(call.name);
    raise_from("no_generator", {name.ptr(), iterator});
    return false;
  }
  bool was_told = false;
  Object item = steal(PyIter_Next(iterator));
  while (item.is_valid()) {
    Yielded yielded = yield_one(session, call, item.ptr());
    if (yielded == Yielded::kClosed) return close_iterator(iterator);
    if (yielded == Yielded::kGoOn && !was_told && is_cancelled_call(session, call)) {
      was_told = true;
      PyErr_SetNone(PyExc_KeyboardInterrupt);
      yielded = Yielded::kRaised;
    }
    item = yielded == Yielded::kGoOn ? steal(PyIter_Next(iterator)) : throw_into(iterator);
    if (item.is_valid() || PyErr_Occurred() == nullptr) continue;
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) PyErr_Clear();  // it caught what was thrown
  }
  return PyErr_Occurred() == nullptr;
}

PyObject* turn_to_python(client::CallResult<client::StreamTurn> turn) {
  if (!turn.ok()) return raise_call_error(turn.error());
  if (*turn == client::StreamTurn::kMustWait) Py_RETURN_NONE;
  return PyBool_FromLong(*turn == client::StreamTurn::kGoOn);
}

PyObject* begin_yield(Session* session, const client::TaskCall& call, PyObject* value) {
  Outgoing outgoing;
  client::OutValue out;
  std::unique_ptr<client::Room> room;
  if (!lay_out(session, call, value, &outgoing, &out, &room)) return nullptr;
  return turn_to_python(session->runtime->begin_yield(call, out, std::move(room)));
}

void add_streams(nb::module_& module) {
  stream_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (stream_type == nullptr) throw nb::python_error();
  module.attr("Stream") = nb::borrow(reinterpret_cast<PyObject*>(stream_type));
  module.attr("STREAMING") = kStreamingReturns;
}

}  // namespace sundog::python
