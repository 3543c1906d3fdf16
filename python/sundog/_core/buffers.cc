#include "buffers.h"

#include <utility>

namespace sundog::python {
namespace {

struct PinnedBuffer {
  PyObject_HEAD std::shared_ptr<ValueMemory> memory;
  std::shared_ptr<client::Pinned> pin;  // of `data`: one of the memory's two
  Session* session;                     // owned
  std::byte* data;
  Py_ssize_t size;
  bool readonly;
};
PyTypeObject* pinned_buffer_type = nullptr;

// Memory of `owner` that is about to be pickled; the caller vouches for address and size.
struct ForeignBuffer {
  PyObject_HEAD PyObject* owner;
  void* data;
  Py_ssize_t size;
};
PyTypeObject* foreign_buffer_type = nullptr;

PinnedBuffer* as_pinned(PyObject* object) { return reinterpret_cast<PinnedBuffer*>(object); }
ForeignBuffer* as_foreign(PyObject* object) { return reinterpret_cast<ForeignBuffer*>(object); }

Object make_pinned(const std::shared_ptr<ValueMemory>& memory,
                   const std::shared_ptr<client::Pinned>& pin, Session* session, std::byte* data,
                   Py_ssize_t size, bool readonly) {
  auto* buffer = PyObject_New(PinnedBuffer, pinned_buffer_type);
  if (buffer == nullptr) return {};
  std::construct_at(&buffer->memory, memory);
  std::construct_at(&buffer->pin, pin);
  Py_INCREF(session);
  buffer->session = session;
  buffer->data = data;
  buffer->size = size;
  buffer->readonly = readonly;
  return steal(reinterpret_cast<PyObject*>(buffer));
}

void pinned_dealloc(PyObject* object) {
  PinnedBuffer* self = as_pinned(object);
  PyTypeObject* type = Py_TYPE(object);
  std::destroy_at(&self->pin);  // before the session: its Runtime sends the pin's end
  std::destroy_at(&self->memory);
  Py_DECREF(self->session);
  PyObject_Free(object);
  Py_DECREF(type);
}

int pinned_export(PyObject* object, Py_buffer* view, int flags) {
  PinnedBuffer* self = as_pinned(object);
  return PyBuffer_FillInfo(view, object, self->data, self->size, self->readonly, flags);
}

void foreign_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  Py_DECREF(as_foreign(object)->owner);
  PyObject_Free(object);
  Py_DECREF(type);
}

int foreign_export(PyObject* object, Py_buffer* view, int flags) {
  ForeignBuffer* self = as_foreign(object);
  return PyBuffer_FillInfo(view, object, self->data, self->size, 0, flags);
}

PyType_Slot pinned_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(pinned_dealloc)},
                              {Py_bf_getbuffer, reinterpret_cast<void*>(pinned_export)},
                              {0, nullptr}};
PyType_Spec pinned_spec = {"sundog._core.PinnedBuffer", sizeof(PinnedBuffer), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, pinned_slots};
PyType_Slot foreign_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(foreign_dealloc)},
                               {Py_bf_getbuffer, reinterpret_cast<void*>(foreign_export)},
                               {0, nullptr}};
PyType_Spec foreign_spec = {"sundog._core.ForeignBuffer", sizeof(ForeignBuffer), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, foreign_slots};

PyObject* foreign_memory(PyObject*, PyObject* args) {
  PyObject* owner = nullptr;
  Py_ssize_t address = 0, size = 0;
  if (!PyArg_ParseTuple(args, "Onn", &owner, &address, &size)) return nullptr;
  auto* buffer = PyObject_New(ForeignBuffer, foreign_buffer_type);
  if (buffer == nullptr) return nullptr;
  buffer->owner = Py_NewRef(owner);
  buffer->data = reinterpret_cast<void*>(address);
  buffer->size = size;
  return reinterpret_cast<PyObject*>(buffer);
}

PyObject* own_memory_of(PyObject*, PyObject* buffer) { return own_memory(buffer); }

PyMethodDef functions[] = {
    {"own_memory", own_memory_of, METH_O,
     "own_memory(buffer)\n--\n\n"
     "A writable buffer with the bytes of `buffer`, an out-of-band buffer of a value that is "
     "being\n"
     "unpickled: all that one get brings share one private mapping, which no other get sees."},
    {"foreign_memory", foreign_memory, METH_VARARGS,
     "foreign_memory(owner, address, size)\n--\n\n"
     "A buffer over memory that `owner` keeps alive. The caller vouches for the numbers."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* own_memory(PyObject* buffer) {
  PyObject* base = PyMemoryView_Check(buffer) ? PyMemoryView_GET_BASE(buffer) : nullptr;
  if (base == nullptr || Py_TYPE(base) != pinned_buffer_type) {
    return PyByteArray_FromObject(buffer);
  }
  PinnedBuffer* pinned = as_pinned(base);
  ValueMemory& memory = *pinned->memory;
  if (memory.own_memory() == nullptr) return nullptr;
  const ptrdiff_t offset = pinned->data - pinned->pin->bytes().data();
  Object own = make_pinned(pinned->memory, memory.own, pinned->session,
                           memory.own->writable_bytes() + offset, pinned->size, false);
  return own.release().ptr();
}

client::Pinned* ValueMemory::own_memory() {
  if (own == nullptr) {
    auto made = shared->own();
    if (!made.ok()) {
      PyErr_Format(PyExc_MemoryError, "cannot make a private view of a value: %s",
                   made.error().c_str());
      return nullptr;
    }
    own = *std::move(made);
  }
  return own.get();
}

Object view_of(const std::shared_ptr<ValueMemory>& memory, Session* session, Bytes part,
               bool writable) {
  const std::shared_ptr<client::Pinned>& pin = memory->own ? memory->own : memory->shared;
  const ptrdiff_t offset = part.data() - memory->shared->bytes().data();
  Object exporter = make_pinned(memory, pin, session, pin->writable_bytes() + offset,
                                static_cast<Py_ssize_t>(part.size()), !writable);
  if (!exporter.is_valid()) return {};
  return steal(PyMemoryView_FromObject(exporter.ptr()));
}

bool torch_is_imported() {
  static PyObject* const name = PyUnicode_InternFromString("torch");
  static PyObject* const sign = PyUnicode_InternFromString("Tensor");
  PyObject* module = PyDict_GetItemWithError(PyImport_GetModuleDict(), name);
  // Not a program's own folder of that name, and not one that is being imported.
  return module != nullptr && PyObject_HasAttr(module, sign) != 0;
}

void add_buffers(nb::module_& module) {
  pinned_buffer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&pinned_spec));
  foreign_buffer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&foreign_spec));
  if (pinned_buffer_type == nullptr || foreign_buffer_type == nullptr) throw nb::python_error();
  module.attr("PinnedBuffer") = nb::handle(reinterpret_cast<PyObject*>(pinned_buffer_type));
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
