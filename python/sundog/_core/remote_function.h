// Callee: the base of sundog.RemoteFunction, whose .remote() is the hottest call there is. Options
// are resolved once, not per call; the signature is checked by counting. Needs the GIL.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_remote_function(nb::module_& module);

}  // namespace sundog::python
