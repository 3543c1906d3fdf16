// An out-of-band buffer of a value that is being unpickled, with dtype, size and strides, in the
// capsule of the DLPack protocol: torch makes a tensor with a storage of its own from it in one
// call, which takes half the time of wrapping bytes and then shaping them.
//
// Called with the GIL by whoever unpickles; the capsule's content may be released on any thread,
// also while the interpreter ends. It never looks at the elements.

#include "tensor_memory.h"

#include <array>
#include <memory>

#include "buffers.h"

namespace sundog::python {
namespace {

constexpr Py_ssize_t kDimsMax = 8;  // tensors of more take the long way
constexpr const char* kCapsuleName = "dltensor";

// The protocol's structures, version 0, which every torch reads.
struct DlTensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t dtype_code, dtype_bits;
  uint16_t dtype_lanes;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* manager_context;
  void (*deleter)(DlManagedTensor*);
};
static_assert(sizeof(DlTensor) == 48 && sizeof(DlManagedTensor) == 64);
constexpr int32_t kDeviceCpu = 1;

struct Managed {
  DlManagedTensor face;
  Py_buffer memory;  // keeps the buffer's owner
  std::array<int64_t, kDimsMax> shape, strides;
};

// What torch calls when the storage's last tensor is gone; on whatever thread that is.
void release(DlManagedTensor* face) {
  if (Py_IsInitialized() == 0) return;  // the process ends, and its memory with it
  std::unique_ptr<Managed> managed(static_cast<Managed*>(face->manager_context));
  const PyGILState_STATE state = PyGILState_Ensure();
  PyBuffer_Release(&managed->memory);
  PyGILState_Release(state);
}

// A capsule that was taken has another name, and its content another owner.
void release_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kCapsuleName) == 0) return;
  auto* face = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule, kCapsuleName));
  face->deleter(face);
}

// Items of a tuple of integers into `numbers`; false if there are others or too many.
bool read_numbers(PyObject* tuple, std::array<int64_t, kDimsMax>& numbers) {
  if (PyTuple_Check(tuple) == 0 || PyTuple_GET_SIZE(tuple) > kDimsMax) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    const int64_t number = PyLong_AsLongLong(PyTuple_GET_ITEM(tuple, i));
    if (number < 0) {
      PyErr_Clear();
      return false;
    }
    numbers[static_cast<size_t>(i)] = number;
  }
  return true;
}

// Whether the elements from the first to the last that size and strides reach are `num_bytes`.
bool covers(const Managed& managed, int64_t item_bytes, int64_t num_bytes) {
  int64_t last = 0;
  for (int32_t i = 0; i < managed.face.tensor.ndim; ++i) {
    const auto at = static_cast<size_t>(i);
    int64_t step = 0;
    if (managed.shape[at] == 0 ||
        __builtin_mul_overflow(managed.shape[at] - 1, managed.strides[at], &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return false;
    }
  }
  return last < num_bytes / item_bytes && (last + 1) * item_bytes == num_bytes;
}

// tensor_memory(buffer, kind, size, stride): see its docstring.
PyObject* tensor_memory(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  if (count != 4) return PyErr_Format(PyExc_TypeError, "tensor_memory takes 4 arguments");
  const long kind = PyLong_AsLong(arguments[1]);
  if (kind == -1 && PyErr_Occurred() != nullptr) return nullptr;
  auto managed = std::make_unique<Managed>();
  DlTensor& tensor = managed->face.tensor;
  tensor.dtype_code = static_cast<uint8_t>(kind >> 8);
  tensor.dtype_bits = static_cast<uint8_t>(kind);
  tensor.dtype_lanes = 1;
  tensor.device_type = kDeviceCpu;
  if (tensor.dtype_bits < 8 || !read_numbers(arguments[2], managed->shape) ||
      !read_numbers(arguments[3], managed->strides) ||
      PyTuple_GET_SIZE(arguments[2]) != PyTuple_GET_SIZE(arguments[3])) {
    Py_RETURN_NONE;
  }
  tensor.ndim = static_cast<int32_t>(PyTuple_GET_SIZE(arguments[2]));
  tensor.shape = managed->shape.data();
  tensor.strides = managed->strides.data();
  Object own = steal(own_memory(arguments[0]));
  if (!own.is_valid() || PyObject_GetBuffer(own.ptr(), &managed->memory, PyBUF_WRITABLE) != 0) {
    return nullptr;
  }
  tensor.data = managed->memory.buf;
  managed->face.manager_context = managed.get();
  managed->face.deleter = release;
  if (!covers(*managed, tensor.dtype_bits / 8, managed->memory.len)) {
    release(&managed.release()->face);
    Py_RETURN_NONE;
  }
  DlManagedTensor* face = &managed->face;
  PyObject* capsule = PyCapsule_New(face, kCapsuleName, release_capsule);
  managed.release();
  if (capsule == nullptr) release(face);
  return capsule;
}

PyMethodDef functions[] = {
    {"tensor_memory", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tensor_memory)),
     METH_FASTCALL,
     "tensor_memory(buffer, kind, size, stride)\n--\n\n"
     "A DLPack capsule over own_memory(buffer). kind: the protocol's dtype code * 256 + bits of\n"
     "an element; size, stride: tuples, in elements. None unless they cover the buffer exactly."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_tensor_memory(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
