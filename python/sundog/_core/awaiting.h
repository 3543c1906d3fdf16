// Waiting without a thread that sleeps: watched references, `await ref`, and what was printed.
// Everything here needs the GIL.
#pragma once

#include "interop.h"

namespace sundog::python {

// What `ref.__await__()` returns. Null with an exception set.
PyObject* make_awaiting(PyObject* ref);

void add_awaiting(nb::module_& module);

}  // namespace sundog::python
