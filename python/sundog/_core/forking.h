// fork_worker: what the zygote forks workers with. For its one thread.
#pragma once

#include <nanobind/nanobind.h>

namespace sundog::python {

void add_forking(nanobind::module_& module);

}  // namespace sundog::python
