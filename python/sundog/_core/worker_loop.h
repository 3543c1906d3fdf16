// The loop of a Python worker: takes tasks from the Runtime, runs the user's function, hands the
// results back. All in C but the function itself, so that a traceback holds the user's frames
// only. Runs on Python's main thread with the GIL, given up while it waits.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_worker_loop(nb::module_& module);

}  // namespace sundog::python
