#include "task_error.h"

#include <unistd.h>

#include "object_ref.h"
#include "outgoing.h"
#include "wire/error_layout.h"

namespace sundog::python {
namespace {

Object text_item(PyObject* dict, const char* key) {
  PyObject* item = PyDict_GetItemString(dict, key);
  return item != nullptr ? borrow(item) : Object();
}
std::string_view as_view(const Object& string) {
  Py_ssize_t size = 0;
  const char* data = string.is_valid() && PyUnicode_Check(string.ptr())
                         ? PyUnicode_AsUTF8AndSize(string.ptr(), &size)
                         : nullptr;
  if (data == nullptr) PyErr_Clear();
  return data != nullptr ? std::string_view(data, static_cast<size_t>(size)) : std::string_view();
}
Bytes as_byte_view(const Object& bytes) {
  if (!bytes.is_valid() || !PyBytes_Check(bytes.ptr())) return {};
  return {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(bytes.ptr())),
          static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

// What a task returned; unlike put() it takes references too.
PyObject* put_result(PyObject*, PyObject* value) {
  Session* session = need_session();
  Outgoing outgoing;
  if (session == nullptr || !outgoing.take(value)) return nullptr;
  client::RefHandle handle;
  if (!put_value(session, outgoing, &handle)) return nullptr;
  return make_object_ref(session, std::move(handle));
}

PyObject* put_error(PyObject*, PyObject* args) {
  PyObject *exception = nullptr, *name = nullptr;
  if (!PyArg_ParseTuple(args, "OO", &exception, &name)) return nullptr;
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  Object told = call_package("_errors", "describe", {exception, name});
  if (!told.is_valid()) return nullptr;
  const std::vector<std::byte> bytes = encode_task_error(TaskId{}, told.ptr());
  GilYielder yielder;
  auto handle = session->runtime->put({model::Format::kTaskError, bytes, {}}, &yielder);
  if (yielder.raised()) return nullptr;
  if (!handle.ok()) return raise_call_error(handle.error());
  return make_object_ref(session, *std::move(handle));
}

PyMethodDef functions[] = {
    {"put_result", put_result, METH_O,
     "put_result(value)\n--\n\nStores what a task of this process returned."},
    {"put_error", put_error, METH_VARARGS,
     "put_error(exception, name)\n--\n\nStores what the task `name` of this process raised."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

std::vector<std::byte> encode_task_error(const TaskId& task, PyObject* told) {
  Object type = text_item(told, "type"), message = text_item(told, "message");
  Object trace = text_item(told, "traceback"), source = text_item(told, "source");
  Object node = text_item(told, "node"), name = text_item(told, "name");
  Object exception = text_item(told, "exception"), cause = text_item(told, "cause");
  wire::TaskError error;
  error.task = task;
  error.pid = static_cast<uint32_t>(getpid());
  error.exception_type = as_view(type);
  error.message = as_view(message);
  error.traceback = as_view(trace);
  error.task_name = as_view(name);
  error.source = as_view(source);
  error.node = as_view(node);
  error.exception = as_byte_view(exception);
  error.cause = as_byte_view(cause);
  std::vector<std::byte> bytes;
  wire::encode_task_error(error, &bytes);
  return bytes;
}

bool take_result(std::string_view task_name, PyObject* value, Outgoing* out) {
  if (out->take(value)) return true;
  PyObject *type = nullptr, *cause = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &cause, &traceback);
  PyErr_NormalizeException(&type, &cause, &traceback);
  Object name = text(task_name);
  raise_from("unpicklable_result", {name.ptr(), value, cause});
  Py_XDECREF(type);
  Py_XDECREF(cause);
  Py_XDECREF(traceback);
  return false;
}

void add_task_error(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
