#include "tensors.h"

#include <array>
#include <cstring>

namespace sundog::python {
namespace {

using wire::DType;

struct DTypeName {
  DType dtype;
  const char* format;  // of the buffer protocol; sizes as on every 64-bit Linux
  const char* numpy;
};
constexpr DTypeName kDTypes[] = {
    {DType::kBool, "?", "bool"},
    {DType::kInt8, "b", "int8"},
    {DType::kInt16, "h", "int16"},
    {DType::kInt32, "i", "int32"},
    {DType::kInt64, "l", "int64"},
    {DType::kInt64, "q", "int64"},
    {DType::kUint8, "B", "uint8"},
    {DType::kUint16, "H", "uint16"},
    {DType::kUint32, "I", "uint32"},
    {DType::kUint64, "L", "uint64"},
    {DType::kUint64, "Q", "uint64"},
    {DType::kFloat16, "e", "float16"},
    {DType::kFloat32, "f", "float32"},
    {DType::kFloat64, "d", "float64"},
    {DType::kComplex64, "Zf", "complex64"},
    {DType::kComplex128, "Zd", "complex128"},
};

bool is_numpy_array(PyObject* value) {
  static PyTypeObject* known = nullptr;  // numpy's type lives as long as the interpreter
  PyTypeObject* type = Py_TYPE(value);
  if (type == known) return known != nullptr;
  if (std::strcmp(type->tp_name, "numpy.ndarray") != 0) return false;
  known = type;
  return true;
}

// The value's memory in one piece, C or Fortran order; a copy if it has gaps.
bool open_buffer(PyObject* value, Py_buffer* buffer) {
  constexpr int kFlags = PyBUF_STRIDES | PyBUF_FORMAT;
  if (PyObject_GetBuffer(value, buffer, kFlags) != 0) return false;
  if (PyBuffer_IsContiguous(buffer, 'A') != 0) return true;
  const bool sendable = dtype_of(*buffer) != DType::kInvalid;
  PyBuffer_Release(buffer);
  if (!sendable) return false;
  Object copy = steal(PyObject_CallMethod(value, "copy", nullptr));
  return copy.is_valid() && PyObject_GetBuffer(copy.ptr(), buffer, kFlags) == 0;
}

// What numpy needs to make arrays; null without numpy.
struct Numpy {
  Object array, keywords;
  std::array<Object, std::size(kDTypes)> dtypes;
};
const Numpy* numpy() {
  static const Numpy* loaded = nullptr;  // lives as long as the interpreter
  if (loaded != nullptr) return loaded;
  Object module = steal(PyImport_ImportModule("numpy"));
  if (!module.is_valid()) {
    PyErr_Clear();
    return nullptr;
  }
  auto made = std::make_unique<Numpy>();
  made->array = steal(PyObject_GetAttrString(module.ptr(), "ndarray"));
  made->keywords = steal(Py_BuildValue("(sss)", "dtype", "buffer", "strides"));
  for (size_t i = 0; i < std::size(kDTypes); ++i) {
    made->dtypes[i] = steal(PyObject_CallMethod(module.ptr(), "dtype", "s", kDTypes[i].numpy));
  }
  return loaded = made.release();
}

Object tuple_of(std::span<const int64_t> numbers) {
  Object tuple = steal(PyTuple_New(static_cast<Py_ssize_t>(numbers.size())));
  for (size_t i = 0; i < numbers.size(); ++i) {
    PyTuple_SET_ITEM(tuple.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(numbers[i]));
  }
  return tuple;
}

}  // namespace

DType dtype_of(const Py_buffer& buffer) {
  if (buffer.format == nullptr) return DType::kInvalid;
  for (const DTypeName& name : kDTypes) {
    if (std::strcmp(name.format, buffer.format) == 0) return name.dtype;
  }
  return DType::kInvalid;
}

bool plan_array(PyObject* value, wire::TensorPlan* plan, Py_buffer* buffer) {
  if (!is_numpy_array(value)) return false;
  if (!open_buffer(value, buffer)) {
    PyErr_Clear();  // dates, strings, objects: the pickler's
    return false;
  }
  const DType dtype = dtype_of(*buffer);
  const auto ndim = static_cast<size_t>(buffer->ndim);
  const bool in_c_order = PyBuffer_IsContiguous(buffer, 'C') != 0;
  std::array<int64_t, wire::kTensorDimsMax> shape{}, strides{};
  if (dtype != DType::kInvalid && ndim <= wire::kTensorDimsMax) {
    for (size_t i = 0; i < ndim; ++i) {
      shape[i] = buffer->shape[i];
      strides[i] = buffer->strides[i];
    }
    auto planned =
        wire::plan_tensor(dtype, {shape.data(), ndim}, {strides.data(), in_c_order ? 0 : ndim});
    if (planned.ok() && planned->data_bytes == static_cast<uint64_t>(buffer->len)) {
      *plan = std::move(*planned);
      return true;
    }
  }
  PyBuffer_Release(buffer);
  return false;
}

PyObject* make_array(const wire::TensorView& tensor, PyObject* buffer) {
  const Numpy* n = numpy();
  if (n == nullptr) return Py_NewRef(buffer);
  size_t at = 0;
  while (at < std::size(kDTypes) && kDTypes[at].dtype != tensor.dtype) ++at;
  if (at == std::size(kDTypes)) {
    return PyErr_Format(PyExc_TypeError, "numpy has no dtype for a tensor of kind %d",
                        static_cast<int>(tensor.dtype));
  }
  Object shape = tuple_of(tensor.shape);
  Object strides = tensor.strides.empty() ? borrow(Py_None) : tuple_of(tensor.strides);
  PyObject* arguments[] = {shape.ptr(), n->dtypes[at].ptr(), buffer, strides.ptr()};
  return PyObject_Vectorcall(n->array.ptr(), arguments, 1, n->keywords.ptr());
}

}  // namespace sundog::python
