#include "object_ref.h"

#include <array>

#include "awaiting.h"
#include "os/random.h"

namespace sundog::python {

PyTypeObject* object_ref_type = nullptr;

namespace {

constexpr size_t kFreeListMax = 4096;
thread_local ContainedRefs* noting = nullptr;

// Blocks of dead references for the next ones; the GIL protects it.
struct FreeList {
  std::array<ObjectRef*, kFreeListMax> items;
  size_t size = 0;
};
FreeList free_list;

ObjectRef* allocate() {
  if (free_list.size > 0) {
    ObjectRef* ref = free_list.items[--free_list.size];
    PyObject_Init(reinterpret_cast<PyObject*>(ref), object_ref_type);
    return ref;
  }
  return PyObject_New(ObjectRef, object_ref_type);
}

void ref_dealloc(PyObject* self) {
  ObjectRef* ref = as_object_ref(self);
  { client::RefHandle dropped(ref->entry); }
  Py_XDECREF(ref->session);
  PyTypeObject* type = Py_TYPE(self);
  if (free_list.size < kFreeListMax) {
    free_list.items[free_list.size++] = ref;
  } else {
    PyObject_Free(self);
  }
  Py_DECREF(type);
}

PyObject* nil_ref() {
  ObjectRef* ref = allocate();
  if (ref == nullptr) return nullptr;
  ref->session = nullptr;
  ref->entry = nullptr;
  ref->id = ObjectId{};
  return reinterpret_cast<PyObject*>(ref);
}

PyObject* ref_from_id(const ObjectId& id) {
  if (id.is_nil()) return nil_ref();
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  return make_object_ref(session, session->runtime->ref_from_id(id));
}

PyObject* from_binary(PyObject*, PyObject* bytes) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes, &data, &size) != 0) return nullptr;
  if (size != sizeof(ObjectId)) {
    return PyErr_Format(PyExc_ValueError, "an ObjectRef has %zu bytes, got %zd", sizeof(ObjectId),
                        size);
  }
  ObjectId id;
  std::memcpy(&id, data, sizeof id);
  return ref_from_id(id);
}

PyObject* from_hex(PyObject*, PyObject* digits) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(digits, &size);
  if (data == nullptr) return nullptr;
  ObjectId id;
  if (!ObjectId::from_hex({data, static_cast<size_t>(size)}, &id)) {
    return PyErr_Format(PyExc_ValueError, "an ObjectRef is written with 40 hex digits, got %R",
                        digits);
  }
  return ref_from_id(id);
}

PyObject* from_random(PyObject*, PyObject*) {
  // Of no job: no task makes it, so that it never becomes ready.
  ObjectId id;
  os::fill_random(id.task.bytes.data(), id.task.bytes.size());
  return ref_from_id(id);
}

PyObject* ref_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  PyObject* bytes = nullptr;
  static const char* names[] = {"id", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "S:ObjectRef", const_cast<char**>(names),
                                   &bytes)) {
    return nullptr;
  }
  return from_binary(nullptr, bytes);
}

PyObject* ref_hex(PyObject* self, PyObject*) {
  return text(as_object_ref(self)->id.hex()).release().ptr();
}

PyObject* ref_binary(PyObject* self, PyObject*) {
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(&as_object_ref(self)->id),
                                   sizeof(ObjectId));
}

PyObject* ref_repr(PyObject* self) {
  return PyUnicode_FromFormat("ObjectRef(%s)", as_object_ref(self)->id.hex().c_str());
}

Py_hash_t ref_hash(PyObject* self) {
  auto hash = static_cast<Py_hash_t>(IdHash{}(as_object_ref(self)->id));
  return hash == -1 ? -2 : hash;
}

PyObject* ref_compare(PyObject* a, PyObject* b, int op) {
  if (!is_object_ref(b) || !is_object_ref(a)) Py_RETURN_NOTIMPLEMENTED;
  const ObjectId &x = as_object_ref(a)->id, &y = as_object_ref(b)->id;
  Py_RETURN_RICHCOMPARE(x, y, op);
}

PyObject* ref_task_id(PyObject* self, PyObject*) {
  const TaskId& id = as_object_ref(self)->id.task;
  Object bytes = raw({reinterpret_cast<const std::byte*>(&id), sizeof id});
  return call_package("_ids", "TaskID", {bytes.ptr()}).release().ptr();
}

PyObject* ref_job_id(PyObject* self, PyObject*) {
  const JobId id = as_object_ref(self)->id.task.job();
  Object bytes = raw({reinterpret_cast<const std::byte*>(&id), sizeof id});
  return call_package("_ids", "JobID", {bytes.ptr()}).release().ptr();
}

PyObject* ref_is_nil(PyObject* self, PyObject*) {
  return PyBool_FromLong(as_object_ref(self)->id.is_nil());
}

PyObject* make_nil(PyObject*, PyObject*) { return nil_ref(); }
PyObject* id_size(PyObject*, PyObject*) { return PyLong_FromSize_t(sizeof(ObjectId)); }

PyObject* ref_future(PyObject* self, PyObject*) {
  return call_package("_future", "future_of", {self}).release().ptr();
}

PyObject* ref_as_future(PyObject* self, PyObject*) {
  PyObject* future = call_package("_future", "as_future", {self}).release().ptr();
  return future != nullptr ? future : raise_without_own_frames();
}

// What asyncio.wait() asks of each thing that it is given.
PyObject* from_future(const char* function, std::initializer_list<PyObject*> arguments) {
  PyObject* answer = call_package("_future", function, arguments).release().ptr();
  return answer != nullptr ? answer : raise_without_own_frames();
}
PyObject* ref_done(PyObject* self, PyObject*) { return from_future("is_done", {self}); }
PyObject* ref_exception(PyObject* self, PyObject*) { return from_future("exception_of", {self}); }
PyObject* ref_cancelled(PyObject*, PyObject*) { Py_RETURN_FALSE; }
PyObject* ref_remove_done_callback(PyObject* self, PyObject* callback) {
  return from_future("remove_done_callback", {self, callback});
}
PyObject* ref_add_done_callback(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"callback", "context", nullptr};
  PyObject *callback = nullptr, *context = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|$O", const_cast<char**>(names), &callback,
                                   &context)) {
    return nullptr;
  }
  return from_future("add_done_callback", {self, callback, context});
}

// Nobody counts a reference that leaves through somebody else's pickle: the job itself holds the
// object from now on, through a value that contains it.
bool hold_for_job(ObjectRef* ref) {
  std::string content = "a reference that was pickled by the program: " + ref->id.hex();
  GilYielder yielder;
  auto held = ref->session->runtime->put_function(as_bytes(content), {&ref->id, 1}, &yielder);
  if (held.ok()) return true;
  raise_call_error(held.error());
  return false;
}

PyObject* ref_reduce(PyObject* self, PyObject*) {
  ObjectRef* ref = as_object_ref(self);
  if (ref->session != nullptr) {
    if (noting != nullptr) {
      if (!belongs_to(ref, current_session())) return nullptr;
      noting->ids.push_back(ref->id);
    } else if (ref->session == current_session() && !hold_for_job(ref)) {
      return nullptr;
    }
  }
  Object module = steal(PyImport_ImportModule("sundog._core"));
  Object maker =
      module.is_valid() ? steal(PyObject_GetAttrString(module.ptr(), "ref_from_binary")) : Object();
  Object bytes = steal(ref_binary(self, nullptr));
  if (!maker.is_valid() || !bytes.is_valid()) return nullptr;
  return Py_BuildValue("O(O)", maker.ptr(), bytes.ptr());
}

PyMethodDef ref_methods[] = {
    {"hex", ref_hex, METH_NOARGS, "hex($self)\n--\n\nThe id as 40 hex digits."},
    {"binary", ref_binary, METH_NOARGS, "binary($self)\n--\n\nThe id as 20 bytes."},
    {"task_id", ref_task_id, METH_NOARGS, "task_id($self)\n--\n\nThe task that makes the object."},
    {"job_id", ref_job_id, METH_NOARGS, "job_id($self)\n--\n\nThe job that the object belongs to."},
    {"is_nil", ref_is_nil, METH_NOARGS, "is_nil($self)\n--\n\nWhether this names no object."},
    {"future", ref_future, METH_NOARGS,
     "future($self)\n--\n\nA concurrent.futures.Future of the value."},
    {"as_future", ref_as_future, METH_NOARGS,
     "as_future($self)\n--\n\nAn asyncio.Future of the value, of the event loop that runs here. "
     "Raises RuntimeError if none does."},
    {"done", ref_done, METH_NOARGS, "done($self)\n--\n\nWhether the object is there, or failed."},
    {"exception", ref_exception, METH_NOARGS,
     "exception($self)\n--\n\nWhat get() would raise, or None. Raises asyncio.InvalidStateError "
     "if the object is not there yet."},
    {"cancelled", ref_cancelled, METH_NOARGS,
     "cancelled($self)\n--\n\nFalse: a cancelled task has an exception."},
    {"add_done_callback",
     reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(ref_add_done_callback)),
     METH_VARARGS | METH_KEYWORDS,
     "add_done_callback($self, callback, *, context=None)\n--\n\nHas the event loop that runs here "
     "call callback(self) when the object is there; asyncio.wait(refs) needs it. Raises "
     "RuntimeError if no loop runs."},
    {"remove_done_callback", ref_remove_done_callback, METH_O,
     "remove_done_callback($self, callback)\n--\n\nIt is not called any more; how many there "
     "were."},
    {"__reduce__", ref_reduce, METH_NOARGS, nullptr},
    {"nil", make_nil, METH_NOARGS | METH_STATIC,
     "nil()\n--\n\nThe reference that names no object."},
    {"size", id_size, METH_NOARGS | METH_STATIC, "size()\n--\n\nBytes of an id."},
    {"from_random", from_random, METH_NOARGS | METH_STATIC,
     "from_random()\n--\n\nA reference with a random id, which never becomes ready."},
    {"from_hex", from_hex, METH_O | METH_STATIC,
     "from_hex(digits)\n--\n\nThe reference written with 40 hex digits.\n\n"
     "Raises ValueError if `digits` is anything else."},
    {"from_binary", from_binary, METH_O | METH_STATIC,
     "from_binary(id)\n--\n\nThe reference of these 20 bytes.\n\n"
     "Raises ValueError if there are more or fewer."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot ref_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(ref_dealloc)},
    {Py_tp_new, reinterpret_cast<void*>(ref_new)},
    {Py_tp_repr, reinterpret_cast<void*>(ref_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(ref_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(ref_compare)},
    {Py_tp_methods, ref_methods},
    {Py_am_await, reinterpret_cast<void*>(make_awaiting)},
    {Py_tp_doc, const_cast<char*>("ObjectRef(id)\n--\n\nA reference to an object of the session: "
                                  "the result of a task, or a value that was put.")},
    {0, nullptr}};
PyType_Spec ref_spec = {"sundog.ObjectRef", sizeof(ObjectRef), 0, Py_TPFLAGS_DEFAULT, ref_slots};

// (what function(argument) returned, ids of the references that it pickled meanwhile).
PyObject* pickle_noting_refs(PyObject*, PyObject* args) {
  PyObject *function = nullptr, *argument = nullptr;
  if (!PyArg_ParseTuple(args, "OO", &function, &argument)) return nullptr;
  ContainedRefs noted;
  Object result = steal(PyObject_CallOneArg(function, argument));
  Object ids = result.is_valid() ? steal(PyList_New(0)) : Object();
  if (!ids.is_valid()) return nullptr;
  for (const ObjectId& id : noted.ids) {
    Object bytes = raw({reinterpret_cast<const std::byte*>(&id), sizeof id});
    if (!bytes.is_valid() || PyList_Append(ids.ptr(), bytes.ptr()) != 0) return nullptr;
  }
  return PyTuple_Pack(2, result.ptr(), ids.ptr());
}

PyMethodDef ref_functions[] = {
    {"pickle_noting_refs", pickle_noting_refs, METH_VARARGS,
     "pickle_noting_refs(function, argument)\n--\n\n"
     "Calls function(argument), a pickler; its result, and the ids of references it met."},
    {"ref_from_binary", from_binary, METH_O,
     "ref_from_binary(id)\n--\n\nThe reference of these 20 bytes (for pickle)."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

ContainedRefs::ContainedRefs() : outer_(noting) { noting = this; }
ContainedRefs::~ContainedRefs() { noting = outer_; }

PyObject* make_object_ref(Session* session, client::RefHandle handle) {
  ObjectRef* ref = allocate();
  if (ref == nullptr) return nullptr;
  Py_INCREF(session);
  ref->session = session;
  ref->id = handle.id();
  ref->entry = handle.release();
  return reinterpret_cast<PyObject*>(ref);
}

bool belongs_to(ObjectRef* ref, Session* session, PyObject* shown) {
  if (ref->session == session) [[likely]]
    return true;
  auto or_none = [](Session* s) { return s != nullptr ? reinterpret_cast<PyObject*>(s) : Py_None; };
  if (shown == nullptr) shown = reinterpret_cast<PyObject*>(ref);
  raise_from("lost_with_session", {shown, or_none(ref->session), or_none(session)});
  return false;
}

void add_object_ref(nb::module_& module) {
  object_ref_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&ref_spec));
  if (object_ref_type == nullptr) throw nb::python_error();
  module.attr("ObjectRef") = nb::handle(reinterpret_cast<PyObject*>(object_ref_type));
  if (PyModule_AddFunctions(module.ptr(), ref_functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
