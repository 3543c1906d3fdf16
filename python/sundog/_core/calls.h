// get, put and wait as plain C functions: they add no frame to a traceback and cost what the
// Runtime costs. Needs the GIL, given up while waiting.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_calls(nb::module_& module);

}  // namespace sundog::python
