#include "groups.h"

#include "object_ref.h"
#include "outgoing.h"
#include "session.h"

namespace sundog::python {
namespace {

bool read_id(const char* bytes, Py_ssize_t size, TaskId* id) {
  if (size != sizeof(TaskId)) {
    PyErr_SetString(PyExc_ValueError, "a placement group's id has 16 bytes");
    return false;
  }
  std::memcpy(id, bytes, sizeof(TaskId));
  return true;
}

PyObject* new_group_id(PyObject*, PyObject*) {
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  auto id = session->runtime->next_group_id();
  if (!id.ok()) return raise_call_error(id.error());
  return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(id->bytes.data()), sizeof(TaskId));
}

PyObject* create_group(PyObject*, PyObject* args) {
  PyObject *bundles = nullptr, *value = nullptr;
  int strategy = 1, detached = 0;
  const char *id = nullptr, *name_space = nullptr, *name = nullptr;
  Py_ssize_t id_size = 0;
  client::GroupSpec group;
  if (!PyArg_ParseTuple(args, "y#O!isspO", &id, &id_size, &PyList_Type, &bundles, &strategy,
                        &name_space, &name, &detached, &value) ||
      !read_id(id, id_size, &group.id)) {
    return nullptr;
  }
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(bundles); ++i) {
    PyObject* bundle = PyList_GET_ITEM(bundles, i);
    if (!PyDict_Check(bundle)) {
      PyErr_SetString(PyExc_TypeError, "a bundle is a dictionary");
      return nullptr;
    }
    if (!read_resources(bundle, &group.bundles.emplace_back())) return nullptr;
  }
  group.strategy = static_cast<model::GroupStrategy>(strategy);
  group.name_space = name_space;
  if (group.name_space.empty()) group.name_space = session->runtime->info().name_space;
  group.name = name;
  group.detached = detached != 0;
  Outgoing outgoing;
  if (!outgoing.take(value)) return nullptr;
  group.ready = outgoing.inline_value();
  auto ready = session->runtime->create_group(group);
  if (!ready.ok()) return raise_call_error(ready.error());
  return make_object_ref(session, std::move(*ready));
}

// Reads the one argument, a group's id; nullptr, with the exception set, if it is none or no
// session is.
Session* session_for_group(PyObject* args, TaskId* group) {
  const char* id = nullptr;
  Py_ssize_t size = 0;
  if (!PyArg_ParseTuple(args, "y#", &id, &size)) return nullptr;
  if (!read_id(id, size, group)) return nullptr;
  return need_session();
}

PyObject* remove_group(PyObject*, PyObject* args) {
  TaskId group;
  Session* session = session_for_group(args, &group);
  if (session == nullptr) return nullptr;
  auto removed = session->runtime->remove_group(group);
  if (!removed.ok()) return raise_call_error(removed.error());
  Py_RETURN_NONE;
}

PyObject* group_is_ready(PyObject*, PyObject* args) {
  TaskId group;
  Session* session = session_for_group(args, &group);
  if (session == nullptr) return nullptr;
  auto known = session->runtime->group_is_ready(group);
  if (!known.ok()) return raise_call_error(known.error());
  if (!known->has_value()) Py_RETURN_NONE;
  return PyBool_FromLong(**known);
}

PyMethodDef functions[] = {
    {"new_group_id", new_group_id, METH_NOARGS,
     "new_group_id()\n--\n\nThe 16 bytes that name a placement group."},
    {"create_group", create_group, METH_VARARGS,
     "create_group(id, bundles, strategy, namespace, name, detached, value)\n--\n\n"
     "Makes a placement group; a reference to `value`, which is there when the group is ready."},
    {"remove_group", remove_group, METH_VARARGS,
     "remove_group(id)\n--\n\nEnds a placement group and what runs in it."},
    {"group_is_ready", group_is_ready, METH_VARARGS,
     "group_is_ready(id)\n--\n\nWhether it is; None if this process would have to ask."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_groups(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
