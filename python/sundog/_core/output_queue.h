// The queue between the Runtime's threads, which bring workers' output and notices, and the one
// Python thread that prints them. A Runtime's thread never waits for the GIL or for the terminal:
// beyond a limit lines are dropped and counted.
#pragma once

#include "interop.h"

namespace sundog::python {

// Any thread, before the session is used: what the runtime brings goes into the queue.
void collect_output(client::Runtime* runtime);

void add_output_queue(nb::module_& module);

}  // namespace sundog::python
