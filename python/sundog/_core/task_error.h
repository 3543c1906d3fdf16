// An exception of a task as the bytes that every process understands, and results that this process
// puts itself (local mode). Everything here needs the GIL.
#pragma once

#include <vector>

#include "outgoing.h"

namespace sundog::python {

// `told` is what sundog._errors.describe returned.
std::vector<std::byte> encode_task_error(const TaskId& task, PyObject* told);

// A result on its way; false with an exception set that says what cannot be sent, and of whom.
bool take_result(std::string_view task_name, PyObject* value, Outgoing* out);

void add_task_error(nb::module_& module);

}  // namespace sundog::python
