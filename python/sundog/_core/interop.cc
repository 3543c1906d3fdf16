#include "interop.h"

#include <array>

#include "cancelling.h"

namespace sundog::python {
namespace {

constexpr size_t kArgumentsMax = 8;

// Exceptions that the package raises on purpose; any other type whose traceback ends in our own
// files is a bug of ours and keeps its whole traceback.
bool is_deliberate(PyObject* type) {
  if (PyErr_GivenExceptionMatches(type, PyExc_TypeError) ||
      PyErr_GivenExceptionMatches(type, PyExc_ValueError) ||
      PyErr_GivenExceptionMatches(type, PyExc_RuntimeError) ||
      PyErr_GivenExceptionMatches(type, PyExc_OSError)) {
    return true;
  }
  Object module = steal(PyImport_ImportModule("sundog.exceptions"));
  Object base =
      module.is_valid() ? steal(PyObject_GetAttrString(module.ptr(), "SundogError")) : Object();
  if (!base.is_valid()) {
    PyErr_Clear();
    return false;
  }
  return PyErr_GivenExceptionMatches(type, base.ptr()) != 0;
}

bool is_own_frame(PyObject* traceback, PyObject* folders) {
  auto* frame = reinterpret_cast<PyTracebackObject*>(traceback)->tb_frame;
  Object code = steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)));
  Object file = steal(PyObject_GetAttrString(code.ptr(), "co_filename"));
  if (!file.is_valid() || !PyUnicode_Check(file.ptr())) {
    PyErr_Clear();
    return false;
  }
  for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(folders); ++at) {
    PyObject* folder = PyTuple_GET_ITEM(folders, at);
    if (PyUnicode_Tailmatch(file.ptr(), folder, 0, PY_SSIZE_T_MAX, -1) == 1) return true;
  }
  return false;
}

}  // namespace

Object call_package(const char* module, const char* function,
                    std::initializer_list<PyObject*> arguments) {
  std::string name = std::string("sundog.") + module;
  Object loaded = steal(PyImport_ImportModule(name.c_str()));
  if (!loaded.is_valid()) return {};
  Object callee = steal(PyObject_GetAttrString(loaded.ptr(), function));
  if (!callee.is_valid()) return {};
  std::array<PyObject*, kArgumentsMax> vector{};
  SUNDOG_CHECK(arguments.size() <= kArgumentsMax);
  std::copy(arguments.begin(), arguments.end(), vector.begin());
  return steal(PyObject_Vectorcall(callee.ptr(), vector.data(), arguments.size(), nullptr));
}

PyObject* raise_made(Object exception) {
  if (!exception.is_valid()) return raise_without_own_frames();
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  return nullptr;
}

PyObject* raise_from(const char* maker, std::initializer_list<PyObject*> arguments) {
  return raise_made(call_package("_errors", maker, arguments));
}

PyObject* raise_call_error(const client::CallError& error) {
  if (PyErr_Occurred() != nullptr) return nullptr;
  if (error.status == client::CallStatus::kInterrupted) {
    PyErr_SetNone(PyExc_KeyboardInterrupt);
    return nullptr;
  }
  Object status = steal(PyLong_FromLong(static_cast<long>(error.status)));
  Object sentence = text(error.text);
  return raise_from("from_call", {status.ptr(), sentence.ptr()});
}

PyObject* raise_without_own_frames() {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  Object kept = borrow(traceback);
  Object package = steal(PyImport_ImportModule("sundog"));
  Object folders =
      package.is_valid() ? steal(PyObject_GetAttrString(package.ptr(), "_folders")) : Object();
  PyErr_Clear();
  if (folders.is_valid() && PyTuple_Check(folders.ptr())) {
    while (kept.is_valid() && is_own_frame(kept.ptr(), folders.ptr())) {
      PyObject* next =
          reinterpret_cast<PyObject*>(reinterpret_cast<PyTracebackObject*>(kept.ptr())->tb_next);
      kept = borrow(next);
    }
    if (kept.is_valid() || is_deliberate(type)) {
      Py_XDECREF(traceback);
      traceback = kept.release().ptr();
      PyException_SetTraceback(value, traceback != nullptr ? traceback : Py_None);
    }
  }
  PyErr_Restore(type, value, traceback);
  return nullptr;
}

void GilYielder::release() { state_ = PyEval_SaveThread(); }

void GilYielder::acquire() {
  PyEval_RestoreThread(state_);
  state_ = nullptr;
}

namespace {

// Ctrl-C ended a wait of this program: a second one cancels what it submitted.
void note_interrupt() {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (!call_package("_cancel", "interrupted", {}).is_valid()) PyErr_Clear();
  PyErr_Restore(type, value, traceback);
}

}  // namespace

bool GilYielder::interrupted() {
  const bool released = state_ != nullptr;
  if (released) acquire();
  if (!raised_ && PyErr_CheckSignals() != 0) {
    raised_ = true;
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) note_interrupt();
  } else if (!raised_ && runs_cancelled_call()) {
    raised_ = true;
    raise_from("wait_of_cancelled_call", {});
  }
  if (released) release();
  return raised_;
}

}  // namespace sundog::python
