#include "actors.h"

#include "object_ref.h"
#include "session.h"

namespace sundog::python {
namespace {

// A namespace and a name, as Python gives them; the empty namespace is the session's own.
struct FullName {
  const char* name_space = nullptr;
  const char* name = nullptr;
  std::string_view space(Session* session) const {
    if (*name_space != '\0') return name_space;
    return session->runtime->info().name_space;
  }
};

PyObject* kill_actor(PyObject*, PyObject* args) {
  PyObject *ref = nullptr, *handle = nullptr;
  int no_restart = 1;
  if (!PyArg_ParseTuple(args, "O!Op", object_ref_type, &ref, &handle, &no_restart)) return nullptr;
  Session* session = current_session();
  if (!belongs_to(as_object_ref(ref), session, handle)) return nullptr;
  auto killed = session->runtime->kill_actor(as_object_ref(ref)->entry, no_restart != 0);
  if (!killed.ok()) return raise_call_error(killed.error());
  Py_RETURN_NONE;
}

// (actor, descriptor) of a name that was found, or None.
PyObject* refs_of(Session* session, client::NameAnswer answer) {
  if (answer.status != model::NameStatus::kFound) Py_RETURN_NONE;
  Object actor = steal(make_object_ref(session, std::move(answer.actor)));
  Object descriptor = steal(make_object_ref(session, std::move(answer.descriptor)));
  if (!actor.is_valid() || !descriptor.is_valid()) return nullptr;
  return PyTuple_Pack(2, actor.ptr(), descriptor.ptr());
}

// Asks by claim_name or find_name.
template <typename Ask>
PyObject* ask_for_name(PyObject* args, Ask&& ask) {
  FullName asked;
  if (!PyArg_ParseTuple(args, "ss", &asked.name_space, &asked.name)) return nullptr;
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  // Another thread may shut the session down while this one waits.
  Object kept = borrow(reinterpret_cast<PyObject*>(session));
  GilYielder yielder;
  auto answer = ask(session->runtime, asked.space(session), std::string_view(asked.name), &yielder);
  if (yielder.raised()) {  // the caller never learns that the name is its own
    if (answer.ok() && answer->status == model::NameStatus::kReserved) {
      (void)session->runtime->bind_name(asked.space(session), asked.name, nullptr, nullptr);
    }
    return nullptr;
  }
  if (!answer.ok()) return raise_call_error(answer.error());
  return refs_of(session, std::move(*answer));
}

PyObject* claim_name(PyObject*, PyObject* args) {
  return ask_for_name(args,
                      [](auto* runtime, auto... asked) { return runtime->claim_name(asked...); });
}

PyObject* find_name(PyObject*, PyObject* args) {
  return ask_for_name(args,
                      [](auto* runtime, auto... asked) { return runtime->find_name(asked...); });
}

PyObject* bind_name(PyObject*, PyObject* args) {
  FullName bound;
  PyObject *actor = nullptr, *descriptor = nullptr;
  if (!PyArg_ParseTuple(args, "ssOO", &bound.name_space, &bound.name, &actor, &descriptor)) {
    return nullptr;
  }
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  auto entry_of = [](PyObject* ref) {
    return is_object_ref(ref) ? as_object_ref(ref)->entry : nullptr;
  };
  auto done = session->runtime->bind_name(bound.space(session), bound.name, entry_of(actor),
                                          entry_of(descriptor));
  if (!done.ok()) return raise_call_error(done.error());
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"kill_actor", kill_actor, METH_VARARGS,
     "kill_actor(actor, handle, no_restart)\n--\n\n"
     "Ends the actor's process; an error shows the handle."},
    {"claim_name", claim_name, METH_VARARGS,
     "claim_name(namespace, name)\n--\n\n"
     "Reserves a name, to be bound; or (actor, descriptor) of the actor that has it."},
    {"find_name", find_name, METH_VARARGS,
     "find_name(namespace, name)\n--\n\n(actor, descriptor) of the actor of that name, or None."},
    {"bind_name", bind_name, METH_VARARGS,
     "bind_name(namespace, name, actor, descriptor)\n--\n\n"
     "Binds a name that was reserved; None for both gives it back."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_actors(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
