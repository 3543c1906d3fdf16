// PublicFunction: a function of the package as its users see it. A call goes straight to the
// Python function; an error that the package raises on purpose shows the caller's frames only.
// Needs the GIL.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_public_function(nb::module_& module);

}  // namespace sundog::python
