// What Python asks the Runtime of placement groups: making and removing them.
#pragma once

#include "interop.h"

namespace sundog::python {

void add_groups(nb::module_& module);

}  // namespace sundog::python
