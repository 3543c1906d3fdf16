// tensor_memory: what an out-of-band buffer holds, as torch takes memory in one call (DLPack).
#pragma once

#include "interop.h"

namespace sundog::python {

void add_tensor_memory(nb::module_& module);

}  // namespace sundog::python
