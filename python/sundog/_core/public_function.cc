#include "public_function.h"

#include <structmember.h>

#include <cstddef>

namespace sundog::python {
namespace {

struct PublicFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* function;  // owned
};
PyTypeObject* public_function_type = nullptr;

PyObject* function_of(PyObject* self) { return reinterpret_cast<PublicFunction*>(self)->function; }

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  PyObject* result = PyObject_Vectorcall(function_of(self), args, nargsf, kwnames);
  return result != nullptr ? result : raise_without_own_frames();
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(function_of(self));
  PyObject_Free(self);
  Py_DECREF(type);
}

// Name, documentation, annotations and whatever else the function has.
PyObject* get_attribute(PyObject* self, PyObject* name) {
  PyObject* own = PyObject_GenericGetAttr(self, name);
  if (own != nullptr || !PyErr_ExceptionMatches(PyExc_AttributeError)) return own;
  PyErr_Clear();
  return PyObject_GetAttr(function_of(self), name);
}

PyObject* get_wrapped(PyObject* self, void*) { return Py_NewRef(function_of(self)); }
PyObject* get_doc(PyObject* self, void*) {
  return PyObject_GetAttrString(function_of(self), "__doc__");
}
PyObject* get_module(PyObject* self, void*) {
  return PyObject_GetAttrString(function_of(self), "__module__");
}

PyObject* repr(PyObject* self) {
  Object name = steal(PyObject_GetAttrString(function_of(self), "__name__"));
  return name.is_valid() ? PyUnicode_FromFormat("<function sundog.%U>", name.ptr()) : nullptr;
}

// A function in a class is a method.
PyObject* descriptor_get(PyObject* self, PyObject* instance, PyObject*) {
  if (instance == nullptr || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}

PyObject* reduce(PyObject* self, PyObject*) {
  // A string: pickle looks the name up in __module__, and finds this object there.
  return PyObject_GetAttrString(function_of(self), "__name__");
}

PyGetSetDef getters[] = {{"__wrapped__", get_wrapped, nullptr, nullptr, nullptr},
                         {"__doc__", get_doc, nullptr, nullptr, nullptr},
                         {"__module__", get_module, nullptr, nullptr, nullptr},
                         {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PublicFunction, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                       {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                       {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
                       {Py_tp_descr_get, reinterpret_cast<void*>(descriptor_get)},
                       {Py_tp_repr, reinterpret_cast<void*>(repr)},
                       {Py_tp_getset, getters},
                       {Py_tp_methods, methods},
                       {Py_tp_members, members},
                       {0, nullptr}};
PyType_Spec spec = {
    "sundog._core.PublicFunction", sizeof(PublicFunction), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject* make_public(PyObject*, PyObject* function) {
  auto* self = PyObject_New(PublicFunction, public_function_type);
  if (self == nullptr) return nullptr;
  self->vectorcall = call;
  self->function = Py_NewRef(function);
  return reinterpret_cast<PyObject*>(self);
}

PyMethodDef functions[] = {
    {"public", make_public, METH_O,
     "public(function)\n--\n\nThe function as its users see it, without our frames in errors."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_public_function(nb::module_& module) {
  public_function_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (public_function_type == nullptr) throw nb::python_error();
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
