// Memory as Python's buffer protocol sees it: parts of a value that is pinned, and memory of
// another object that is about to be sent.
//
// What a get brings is one ValueMemory. Its parts are exported by PinnedBuffers, which keep the pin
// and the session until the last array, tensor, slice or memoryview is gone, past shutdown too.
// Whoever may write (torch does, whatever a flag says) gets the value's *own* memory: a private
// mapping or a copy that no other get shares. Needs the GIL.
#pragma once

#include <memory>

#include "session.h"

namespace sundog::python {

struct ValueMemory {
  std::shared_ptr<client::Pinned> shared;  // as the Runtime handed it out; other gets may see it
  std::shared_ptr<client::Pinned> own;     // null until asked for

  // Makes `own` if needed; null with an exception set.
  client::Pinned* own_memory();
};

// A memoryview of `part`, which lies inside `memory->shared`; of the same part of the own memory if
// there is one. Null with an exception set.
Object view_of(const std::shared_ptr<ValueMemory>& memory, Session* session, Bytes part,
               bool writable);

// The bytes of `buffer` where nobody else reads or writes them: a buffer object in the own memory
// of what was got, or a copy where `buffer` is no part of that. Null with an exception set.
PyObject* own_memory(PyObject* buffer);

// Whether this process has imported torch.
bool torch_is_imported();

void add_buffers(nb::module_& module);

}  // namespace sundog::python
