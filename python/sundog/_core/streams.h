// Streams as Python sees them: the C part of sundog.ObjectRefGenerator, and what a worker does with
// a generator. Everything here needs the GIL; waiting gives it up.
#pragma once

#include "session.h"

namespace sundog::python {

// What `_set_prepared` is told instead of a number of results: a call returns a generator of refs.
constexpr uint32_t kStreamingReturns = UINT32_MAX;

bool is_stream(PyObject* object);
// The generator of a call that was submitted; `completed` is its one result.
PyObject* make_stream(Session* session, client::RefHandle completed);
// A list like `given`, of ObjectRefs only: in place of each generator what is ready when its next
// reference is. Null without an exception if something else is in it.
Object waitables_of(PyObject* given);

// Yields what `iterator` gives as items of the call, until it ends or the consumer closes. False
// with an exception set: the iterator's, or of an item that cannot be sent.
bool yield_items(Session* session, const client::TaskCall& call, PyObject* iterator);
// Yields one item without waiting for the consumer; as turn_to_python.
PyObject* begin_yield(Session* session, const client::TaskCall& call, PyObject* value);
// True: the call may yield again; None: it has to wait for that; False: nobody wants more.
PyObject* turn_to_python(client::CallResult<client::StreamTurn> turn);

void add_streams(nb::module_& module);

}  // namespace sundog::python
