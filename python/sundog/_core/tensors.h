// numpy arrays as values of Format::kTensor, which every language reads in place. numpy itself is
// never imported to send; what is no plain array of numbers is left to the pickler. Needs the GIL.
#pragma once

#include "interop.h"
#include "wire/tensor_layout.h"

namespace sundog::python {

// Whether the value is an array of numbers; then `plan` says where everything goes and `buffer`
// holds the elements in one piece (to be released by the caller). No exception is set if not.
bool plan_array(PyObject* value, wire::TensorPlan* plan, Py_buffer* buffer);
// The dtype of a buffer's elements, kInvalid if they are no plain numbers.
wire::DType dtype_of(const Py_buffer& buffer);

// A numpy array over `buffer`, whose bytes are the tensor's data; without numpy a memoryview.
PyObject* make_array(const wire::TensorView& tensor, PyObject* buffer);

}  // namespace sundog::python
