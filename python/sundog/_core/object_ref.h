// ObjectRef: a counted reference to an object, as Python sees it. A raw C type with a free list:
// a program makes one for each call (44 ns against 210 for a bound C++ value).
#pragma once

#include <vector>

#include "session.h"

namespace sundog::python {

struct ObjectRef {
  PyObject_HEAD Session* session;  // owned; null for the nil reference
  client::Entry* entry;            // one count of it; null for the nil reference
  ObjectId id;
};

extern PyTypeObject* object_ref_type;  // set once by add_object_ref
inline bool is_object_ref(PyObject* object) { return Py_TYPE(object) == object_ref_type; }
inline ObjectRef* as_object_ref(PyObject* object) { return reinterpret_cast<ObjectRef*>(object); }

// A new reference object of `session` around the handle.
PyObject* make_object_ref(Session* session, client::RefHandle handle);
// False with ObjectLostError set unless the reference belongs to `session`. `shown`: what the error
// names instead of the reference, a handle for example.
bool belongs_to(ObjectRef* ref, Session* session, PyObject* shown = nullptr);

// While one of these lives on a thread, references pickled by that thread are noted in it instead
// of being held to the job's end: the value that contains them holds them.
class ContainedRefs {
 public:
  ContainedRefs();
  ~ContainedRefs();
  ContainedRefs(const ContainedRefs&) = delete;
  ContainedRefs& operator=(const ContainedRefs&) = delete;
  std::vector<ObjectId> ids;

 private:
  ContainedRefs* outer_;
};

void add_object_ref(nb::module_& module);

}  // namespace sundog::python
