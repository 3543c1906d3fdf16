// Session: one connection of this process to its daemon, as a Python object.
//
// References and views of objects hold their session, so that they stay readable past its end and
// that its Runtime goes with the last of them. At most one session of a process is current.
// Everything here needs the GIL.
#pragma once

#include <memory>

#include "interop.h"

namespace sundog::python {

struct Session {
  PyObject_HEAD client::Runtime* runtime;  // owned
  uint64_t number;                         // 1, 2, ... in this process
  double ended;                            // seconds of time.time(); 0 while it lives
  bool is_worker;
};

PyTypeObject* session_type();

// Makes a session of a connected runtime and makes it current. Null with an exception set.
Session* open_session(std::unique_ptr<client::Runtime> runtime, bool is_worker);
// Borrowed; null when there is none.
Session* current_session();
// Starts a session by its defaults if there is none; `callee` is what is called, if it is that.
// Borrowed; null with an exception set.
Session* need_session(PyObject* callee = nullptr);
// A dictionary of names to amounts in 1/10000. False with an exception set.
bool read_resources(PyObject* dict, client::Resources* out);
// Whether it was opened before this process was forked: then its Runtime is the parent's.
bool is_inherited(const Session* session);
// The number of the current session, 0 without one.
uint64_t current_session_number();

void add_session(nb::module_& module);

}  // namespace sundog::python
