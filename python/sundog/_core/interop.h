// What every file of the extension shares: owned references, calls into the package's Python
// files, and errors that show the user's lines only.
//
// Everything here needs the GIL. Hot functions are plain C API (they add no frame to a
// traceback); what is rare lives in the package's Python files and is imported when needed.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <nanobind/nanobind.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "client/runtime.h"

namespace sundog::python {

namespace nb = nanobind;

// An owned reference; null means that a Python exception is set.
using Object = nb::object;
inline Object steal(PyObject* object) { return nb::steal<Object>(object); }
inline Object borrow(PyObject* object) { return nb::borrow<Object>(object); }

inline Object text(std::string_view s) {
  return steal(PyUnicode_DecodeUTF8(s.data(), static_cast<Py_ssize_t>(s.size()), "replace"));
}
inline Object raw(Bytes b) {
  return steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(b.data()),
                                         static_cast<Py_ssize_t>(b.size())));
}

// Calls sundog.<module>.<function>(arguments...), importing the module the first time.
Object call_package(const char* module, const char* function,
                    std::initializer_list<PyObject*> arguments);

// Sets the exception that a function of the package made and returned; always nullptr.
PyObject* raise_made(Object exception);
// Sets what sundog._errors.<maker>(arguments...) makes; always nullptr.
PyObject* raise_from(const char* maker, std::initializer_list<PyObject*> arguments);
// Sets the Python exception for a call of the Runtime that failed; always nullptr. After
// kInterrupted the exception is there already.
PyObject* raise_call_error(const client::CallError& error);
// Takes the package's own frames off the pending exception's traceback; always nullptr.
PyObject* raise_without_own_frames();

// Gives up the GIL while the Runtime waits, and asks Python whether a signal arrived.
class GilYielder : public client::Yielder {
 public:
  void release() override;
  void acquire() override;
  bool interrupted() override;
  // Whether a signal's handler raised: that exception is pending and comes before any result.
  bool raised() const { return raised_; }

 private:
  PyThreadState* state_ = nullptr;
  bool raised_ = false;
};

}  // namespace sundog::python
