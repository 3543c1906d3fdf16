// Values on their way to Python: decoded in place, arrays as views of the pinned bytes.
//
// Buffers are exported by buffers.h and keep the pin and the session until the last array, slice or
// memoryview of them is gone. Needs the GIL.
#pragma once

#include "session.h"

namespace sundog::python {

// The value, or null with an exception set; the failure of a task is raised as its own type.
// `writable`: buffers may be written; the pages become this process's own.
PyObject* to_python(const client::Fetched& value, Session* session, bool writable);
// The same for bytes that lie in a message and die with it: what outlives the call is copied.
PyObject* to_python_copied(model::Format format, Bytes bytes, Session* session);

}  // namespace sundog::python
