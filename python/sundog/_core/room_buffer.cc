#include "room_buffer.h"

#include <utility>
#include <vector>

#include "client/copy.h"
#include "tensors.h"

namespace sundog::python {
namespace {

// Views of views that are looked through to find the room.
constexpr int kBasesMax = 8;

struct RoomBuffer {
  PyObject_HEAD Session* session;       // owned
  std::unique_ptr<client::Room> room;   // null once it is an object
  std::shared_ptr<void> mapping;        // of the private view that follows
  std::shared_ptr<client::Pinned> pin;  // of the object that it shows
  client::RefHandle object;             // keeps it where it could not be pinned
  uint64_t data_offset;
  std::byte* data;
  Py_ssize_t size;
};
PyTypeObject* room_buffer_type = nullptr;

RoomBuffer* as_room(PyObject* object) { return reinterpret_cast<RoomBuffer*>(object); }

void room_dealloc(PyObject* object) {
  RoomBuffer* self = as_room(object);
  PyTypeObject* type = Py_TYPE(object);
  if (is_inherited(self->session)) (void)self->room.release();  // it is the parent's to give back
  std::destroy_at(&self->room);
  std::destroy_at(&self->mapping);  // before the pin: nobody sees bytes that are used again
  std::destroy_at(&self->pin);
  std::destroy_at(&self->object);
  Py_DECREF(self->session);
  PyObject_Free(object);
  Py_DECREF(type);
}

int room_export(PyObject* object, Py_buffer* view, int flags) {
  RoomBuffer* self = as_room(object);
  return PyBuffer_FillInfo(view, object, self->data, self->size, 0, flags);
}

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(room_dealloc)},
                       {Py_bf_getbuffer, reinterpret_cast<void*>(room_export)},
                       {0, nullptr}};
PyType_Spec spec = {"sundog._core.RoomBuffer", sizeof(RoomBuffer), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

bool read_shape(PyObject* tuple, std::vector<int64_t>* shape) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    shape->push_back(PyLong_AsLongLong(PyTuple_GET_ITEM(tuple, i)));
    if (shape->back() == -1 && PyErr_Occurred() != nullptr) return false;
  }
  return true;
}

Object make_room(Session* session, const wire::TensorPlan& plan) {
  GilYielder yielder;
  auto room = session->runtime->allocate(plan.total, &yielder);
  if (yielder.raised()) return {};
  if (!room.ok()) {
    raise_call_error(room.error());
    return {};
  }
  // Who fills an array touches one page after the other: they are made here, large ones if
  // possible.
  Py_BEGIN_ALLOW_THREADS;
  client::make_pages((*room)->data(), (*room)->size());
  Py_END_ALLOW_THREADS;
  auto* buffer = PyObject_New(RoomBuffer, room_buffer_type);
  if (buffer == nullptr) return {};
  Py_INCREF(session);
  buffer->session = session;
  buffer->data_offset = plan.data_offset;
  buffer->data = (*room)->data() + plan.data_offset;
  buffer->size = static_cast<Py_ssize_t>(plan.data_bytes);
  std::construct_at(&buffer->room, std::move(*room));
  std::construct_at(&buffer->mapping);
  std::construct_at(&buffer->pin);
  std::construct_at(&buffer->object);
  return steal(reinterpret_cast<PyObject*>(buffer));
}

// room_for_array(sample, shape): memory for an array of that shape and of the sample's dtype.
PyObject* room_for_array(PyObject*, PyObject* args) {
  PyObject *sample = nullptr, *tuple = nullptr;
  if (!PyArg_ParseTuple(args, "OO!", &sample, &PyTuple_Type, &tuple)) return nullptr;
  std::vector<int64_t> shape;
  if (!read_shape(tuple, &shape)) return nullptr;
  Py_buffer buffer;
  wire::DType dtype = wire::DType::kInvalid;
  if (PyObject_GetBuffer(sample, &buffer, PyBUF_STRIDES | PyBUF_FORMAT) == 0) {
    dtype = dtype_of(buffer);
    PyBuffer_Release(&buffer);
  } else {
    PyErr_Clear();
  }
  if (dtype == wire::DType::kInvalid) Py_RETURN_NONE;
  auto plan = wire::plan_tensor(dtype, shape, {});
  if (!plan.ok()) return PyErr_Format(PyExc_ValueError, "empty(): %s", plan.error().c_str());
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  Object kept = borrow(reinterpret_cast<PyObject*>(session));
  return make_room(session, *plan).release().ptr();
}

PyMethodDef functions[] = {
    {"room_for_array", room_for_array, METH_VARARGS,
     "room_for_array(sample, shape)\n--\n\n"
     "Writable memory in the store for an array of `shape`, a tuple, with the dtype of the array\n"
     "`sample`; None if that is no plain number."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* room_below(PyObject* array, const void* data, const wire::TensorPlan& plan,
                     Session* session) {
  Object below = borrow(array);
  for (int depth = 0; depth < kBasesMax; ++depth) {
    if (Py_TYPE(below.ptr()) == room_buffer_type) {
      RoomBuffer* found = as_room(below.ptr());
      const bool same = found->data == data && found->data_offset == plan.data_offset &&
                        static_cast<uint64_t>(found->size) == plan.data_bytes;
      // The array holds it longer than this call takes.
      return same && found->room != nullptr && found->session == session ? below.ptr() : nullptr;
    }
    below = steal(PyObject_GetAttrString(below.ptr(), "base"));
    if (!below.is_valid()) {
      PyErr_Clear();
      return nullptr;
    }
  }
  return nullptr;
}

bool put_room_buffer(PyObject* room_buffer, const wire::TensorPlan& plan, client::RefHandle* out) {
  RoomBuffer* self = as_room(room_buffer);
  client::Runtime* runtime = self->session->runtime;
  wire::write_tensor_frame(plan, self->room->data());
  auto mapping = self->room->become_private();
  if (!mapping.ok()) {
    PyErr_SetString(PyExc_MemoryError, mapping.error().c_str());
    return false;
  }
  self->mapping = *std::move(mapping);
  auto handle = runtime->put_room(std::move(self->room), model::Format::kTensor, {});
  if (!handle.ok()) {
    raise_call_error(handle.error());
    return false;
  }
  self->object = *handle;
  client::Entry* entry = handle->get();
  std::vector<client::Fetched> values;
  GilYielder yielder;
  auto got = runtime->get({&entry, 1}, kNever, &yielder, &values);
  if (yielder.raised()) return false;
  if (!got.ok()) {
    raise_call_error(got.error());
    return false;
  }
  self->pin = values[0].data;
  self->object = client::RefHandle();
  *out = std::move(*handle);
  return true;
}

void add_room_buffer(nb::module_& module) {
  room_buffer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (room_buffer_type == nullptr) throw nb::python_error();
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
