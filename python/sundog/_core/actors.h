// What Python asks the Runtime of actors besides calling them: killing and names.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_actors(nb::module_& module);

}  // namespace sundog::python
