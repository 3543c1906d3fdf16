// RoomBuffer: memory of an array that is made in the store before it is an object, so that its put
// copies nothing (sundog.empty).
//
// Until the put the array's memory is room of this process, given back if the array goes. At the
// put the room becomes the object, and what the array sees becomes a private copy-on-write view of
// it in the same place: whoever still has the array, a slice or the bare address may write there,
// and only he sees it. The view pins the object. Needs the GIL.
#pragma once

#include "session.h"
#include "wire/tensor_layout.h"

namespace sundog::python {

// The RoomBuffer whose elements are exactly those of `array`, which lie at `data` as `plan` says,
// and that was not put yet in this session; else null. Borrowed; sets no exception.
PyObject* room_below(PyObject* array, const void* data, const wire::TensorPlan& plan,
                     Session* session);

// Puts the room as a tensor that `plan` describes. False with an exception set.
bool put_room_buffer(PyObject* room_buffer, const wire::TensorPlan& plan, client::RefHandle* out);

void add_room_buffer(nb::module_& module);

}  // namespace sundog::python
