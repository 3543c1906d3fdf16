#include "incoming.h"

#include <utility>

#include "buffers.h"
#include "object_ref.h"
#include "tensors.h"
#include "wire/error_layout.h"
#include "wire/pickle_layout.h"

namespace sundog::python {
namespace {

using model::Format;

// The collector is paused while a stream of this size is read: a collection in the middle of a
// model's 27 KB costs several times what reading them does, of a large heap 190 to 260 ms.
constexpr size_t kPauseCollectorBytes = 4 * 1024;

Object memory_view(Bytes bytes) {
  return steal(
      PyMemoryView_FromMemory(const_cast<char*>(reinterpret_cast<const char*>(bytes.data())),
                              static_cast<Py_ssize_t>(bytes.size()), PyBUF_READ));
}

// The pending exception says what to do if it is about a class that is not to be found here.
void explain_unloadable() {
  if (PyErr_ExceptionMatches(PyExc_ImportError) == 0 &&
      PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
    return;
  }
  PyObject *type = nullptr, *error = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(error, traceback);
  Object told = call_package("_unpicklable", "cannot_load", {error});
  if (told.is_valid() && told.ptr() != error) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(told.ptr())), told.ptr());
  } else {
    PyErr_Restore(Py_NewRef(type), Py_NewRef(error), Py_XNewRef(traceback));
  }
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
}

// pickle.loads(stream, buffers=buffers).
PyObject* load_pickle(Bytes stream, PyObject* buffers) {
  static PyObject* loads = nullptr;  // lives as long as the interpreter
  static PyObject* keywords = nullptr;
  if (loads == nullptr) {
    Object module = steal(PyImport_ImportModule("_pickle"));
    if (!module.is_valid()) return nullptr;
    keywords = Py_BuildValue("(s)", "buffers");
    loads = PyObject_GetAttrString(module.ptr(), "loads");
    if (loads == nullptr || keywords == nullptr) return nullptr;
  }
  Object view = memory_view(stream);
  if (!view.is_valid()) return nullptr;
  PyObject* arguments[] = {view.ptr(), buffers};
  const bool pause = stream.size() >= kPauseCollectorBytes && PyGC_Disable() == 1;
  PyObject* value = PyObject_Vectorcall(loads, arguments, 1, keywords);
  if (pause) PyGC_Enable();
  if (value == nullptr) explain_unloadable();
  return value;
}

PyObject* raise_malformed(std::string_view what) {
  std::string sentence = "a value of the store is malformed: " + std::string(what);
  PyErr_SetString(PyExc_SystemError, sentence.c_str());
  return nullptr;
}

// The fields of wire::TaskError as a dict; null with an exception set.
Object fields_of_task_error(Bytes bytes) {
  auto parsed = wire::parse_task_error(bytes);
  if (!parsed.ok()) return steal(raise_malformed(parsed.error()));
  Object fields = steal(PyDict_New());
  if (!fields.is_valid()) return {};
  auto set = [&fields](const char* name, Object value) {
    return value.is_valid() && PyDict_SetItemString(fields.ptr(), name, value.ptr()) == 0;
  };
  const wire::TaskError& error = *parsed;
  if (!set("task", text(error.task.hex())) ||
      !set("pid", steal(PyLong_FromUnsignedLong(error.pid))) ||
      !set("type", text(error.exception_type)) || !set("message", text(error.message)) ||
      !set("traceback", text(error.traceback)) || !set("name", text(error.task_name)) ||
      !set("source", text(error.source)) || !set("node", text(error.node)) ||
      !set("exception", raw(error.exception)) || !set("cause", raw(error.cause))) {
    return {};
  }
  return fields;
}

// The exception, made and not raised; null with another exception set.
Object made_of_error(Format format, Bytes bytes) {
  if (format == Format::kTaskError) {
    Object fields = fields_of_task_error(bytes);
    return fields.is_valid() ? call_package("_errors", "from_task", {fields.ptr()}) : Object();
  }
  auto parsed = wire::parse_system_error(bytes);
  if (!parsed.ok()) return steal(raise_malformed(parsed.error()));
  Object kind = steal(PyLong_FromUnsignedLong(static_cast<unsigned long>(parsed->kind)));
  Object name = text(parsed->task_name), sentence = text(parsed->sentence);
  Object task = text(parsed->task.hex());
  // A cause has no cause: whoever made it did not nest them, and nobody else can make us recurse.
  Object cause = parsed->cause_format == Format::kTaskError
                     ? made_of_error(Format::kTaskError, parsed->cause)
                     : nb::none();
  if (!cause.is_valid()) return {};
  return call_package("_errors", "from_system",
                      {kind.ptr(), task.ptr(), name.ptr(), sentence.ptr(), cause.ptr()});
}

template <typename T>
T read_scalar(Bytes bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

PyObject* make_ref(Bytes bytes, Session* session) {
  const auto id = read_scalar<ObjectId>(bytes);
  return make_object_ref(session, session->runtime->ref_from_id(id));
}

// Every format but kPickle: what is made owns its bytes.
PyObject* to_python_flat(Format format, Bytes bytes, Session* session) {
  const char* chars = reinterpret_cast<const char*>(bytes.data());
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  switch (format) {
    case Format::kNone:
      Py_RETURN_NONE;
    case Format::kBool:
      return PyBool_FromLong(read_scalar<uint8_t>(bytes));
    case Format::kInt64:
      return PyLong_FromLongLong(read_scalar<int64_t>(bytes));
    case Format::kFloat64:
      return PyFloat_FromDouble(read_scalar<double>(bytes));
    case Format::kText:
      return PyUnicode_DecodeUTF8(chars, size, "strict");
    case Format::kRaw:
      return PyBytes_FromStringAndSize(chars, size);
    case Format::kRef:
      return make_ref(bytes, session);
    case Format::kTaskError:
    case Format::kSystemError:
      return raise_made(made_of_error(format, bytes));
    default:
      return PyErr_Format(PyExc_TypeError, "a value of format %d cannot be read by Python yet",
                          static_cast<int>(format));
  }
}

}  // namespace

namespace {

// How the bytes of a value become a buffer object: a view of the pin, or a copy.
template <typename MakeBuffer>
PyObject* to_python_through(Format format, Bytes bytes, Session* session, MakeBuffer&& buffer_of) {
  if (format == Format::kTensor) {
    auto tensor = wire::parse_tensor(bytes);
    if (!tensor.ok()) return raise_malformed(tensor.error());
    Object buffer = buffer_of(tensor->data);
    return buffer.is_valid() ? make_array(*tensor, buffer.ptr()) : nullptr;
  }
  if (format != Format::kPickle) return to_python_flat(format, bytes, session);
  auto parsed = wire::parse_pickle(bytes);
  if (!parsed.ok()) return raise_malformed(parsed.error());
  Object buffers = steal(PyList_New(0));
  if (!buffers.is_valid()) return nullptr;
  for (const wire::PickleView::Buffer& part : parsed->buffers) {
    Object buffer = buffer_of(part.bytes);
    if (!buffer.is_valid() || PyList_Append(buffers.ptr(), buffer.ptr()) != 0) return nullptr;
  }
  return load_pickle(parsed->stream, buffers.ptr());
}

}  // namespace

PyObject* to_python(const client::Fetched& value, Session* session, bool writable) {
  std::shared_ptr<ValueMemory> memory;  // made for the first buffer; most values have none
  return to_python_through(value.format, value.bytes(), session, [&](Bytes part) -> Object {
    if (value.data == nullptr) return raw(part);
    if (memory == nullptr) {
      memory =
          std::make_shared<ValueMemory>(ValueMemory{value.data, writable ? value.data : nullptr});
      // torch wraps read-only arrays and ignores the flag: whoever has it could write.
      if (torch_is_imported() && memory->own_memory() == nullptr) return {};
    }
    return view_of(memory, session, part, writable);
  });
}

PyObject* to_python_copied(Format format, Bytes bytes, Session* session) {
  return to_python_through(format, bytes, session, [](Bytes part) { return raw(part); });
}

}  // namespace sundog::python
