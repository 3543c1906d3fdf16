// An exception of a task as the bytes that every process understands, and results that this process
// puts itself (local mode). Everything here needs the GIL.
#pragma once

#include <vector>

#include "interop.h"

namespace sundog::python {

// `told` is what sundog._errors.describe returned.
std::vector<std::byte> encode_task_error(const TaskId& task, PyObject* told);

void add_task_error(nb::module_& module);

}  // namespace sundog::python
