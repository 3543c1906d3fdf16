#include "remote_function.h"

#include <utility>
#include <vector>

#include "model/limits.h"
#include "outgoing.h"
#include "streams.h"

namespace sundog::python {
namespace {

// The base of sundog.RemoteFunction, of the constructors of actor classes and of actors' methods.
// What a call needs is resolved once, by the Python method _prepare, and holds for one session.
struct Callee {
  PyObject_HEAD PyObject* actor;  // ObjectRef whose method it is, owned; null for the others
  uint64_t session;               // its number; 0: not prepared
  uint32_t template_id;
  uint32_t num_returns;
  Py_ssize_t min_args;  // -1: the signature is not known, Python binds each call
  Py_ssize_t max_args;  // -1: no limit
};

Callee* callee_of(PyObject* object) { return reinterpret_cast<Callee*>(object); }

// What one call needs besides; kept by the thread from call to call.
struct CallScratch {
  std::vector<client::Argument> positional;
  std::vector<std::pair<std::string_view, client::Argument>> keyword;
  std::vector<Outgoing> values;
  std::vector<ObjectId> contained;
  std::vector<client::RefHandle> put;  // arguments put under the hood
  std::vector<client::RefHandle> results;
  uint64_t inline_bytes = 0;

  void clear() {
    positional.clear();
    keyword.clear();
    values.clear();
    contained.clear();
    put.clear();
    results.clear();
    inline_bytes = 0;
  }
};
thread_local std::unique_ptr<CallScratch> spare_scratch;

// A pickler may run user code that submits too: each level of calls has a scratch of its own.
class ScratchLease {
 public:
  ScratchLease() : scratch_(std::move(spare_scratch)) {
    if (!scratch_) scratch_ = std::make_unique<CallScratch>();
  }
  ~ScratchLease() {
    scratch_->clear();
    spare_scratch = std::move(scratch_);
  }
  CallScratch* operator->() { return scratch_.get(); }
  CallScratch* get() { return scratch_.get(); }

 private:
  std::unique_ptr<CallScratch> scratch_;
};

class ArgumentEncoder {
 public:
  ArgumentEncoder(PyObject* callee, Session* session, CallScratch* scratch)
      : callee_(callee), session_(session), scratch_(scratch) {}

  // `position` and `keyword` name the argument in an error. False with an exception set.
  bool encode(PyObject* value, Py_ssize_t position, PyObject* keyword, client::Argument* out) {
    if (is_object_ref(value)) {
      if (!belongs_to(as_object_ref(value), session_)) return false;
      out->format = model::Format::kRef;
      out->ref = as_object_ref(value)->entry;
      return true;
    }
    Outgoing& outgoing = scratch_->values.emplace_back();
    if (!outgoing.take(value)) {
      Object where = keyword != nullptr ? borrow(keyword) : steal(PyLong_FromSsize_t(position));
      return say_unpicklable(value, where.ptr());
    }
    const uint64_t size = outgoing.size();
    if (size > model::kInlineValueBytesMax ||
        scratch_->inline_bytes + size > model::kInlineArgumentsBytesMax) {
      return put_instead(value, outgoing, out);
    }
    scratch_->inline_bytes += size;
    out->format = outgoing.format();
    out->bytes = outgoing.in_one_piece();
    auto ids = outgoing.contained();
    scratch_->contained.insert(scratch_->contained.end(), ids.begin(), ids.end());
    return true;
  }

 private:
  bool say_unpicklable(PyObject* value, PyObject* where) {
    PyObject *type = nullptr, *cause = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &cause, &traceback);
    PyErr_NormalizeException(&type, &cause, &traceback);
    raise_from("unpicklable_argument", {callee_, where, value, cause});
    Py_XDECREF(type);
    Py_XDECREF(cause);
    Py_XDECREF(traceback);
    return false;
  }

  // A large argument becomes an object that lives as long as the task may need it.
  bool put_instead(PyObject* value, Outgoing& outgoing, client::Argument* out) {
    client::RefHandle& handle = scratch_->put.emplace_back();
    if (!put_value(session_, outgoing, &handle)) return false;
    Object size = steal(PyLong_FromUnsignedLongLong(outgoing.size()));
    Object noted = call_package("_hints", "note_large_argument", {callee_, value, size.ptr()});
    if (!noted.is_valid()) return false;
    out->format = model::Format::kRef;
    out->ref = handle.get();
    return true;
  }

  PyObject* callee_;
  Session* session_;
  CallScratch* scratch_;
};

bool prepare(PyObject* self, Session* session) {
  if (callee_of(self)->session == session->number) [[likely]]
    return true;
  Object done = steal(PyObject_CallMethod(self, "_prepare", nullptr));
  if (!done.is_valid()) {
    raise_without_own_frames();
    return false;
  }
  return true;
}

// The cheap check that most calls pass; Python tells the rest apart and words the error.
bool check_signature(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  const Callee* callee = callee_of(self);
  if (kwnames == nullptr && callee->min_args >= 0 && nargs >= callee->min_args &&
      (callee->max_args < 0 || nargs <= callee->max_args)) [[likely]] {
    return true;
  }
  Object positional = steal(PyTuple_New(nargs)), keyword = steal(PyDict_New());
  if (!positional.is_valid() || !keyword.is_valid()) return false;
  for (Py_ssize_t i = 0; i < nargs; ++i) {
    PyTuple_SET_ITEM(positional.ptr(), i, Py_NewRef(args[i]));
  }
  for (Py_ssize_t i = 0; kwnames != nullptr && i < PyTuple_GET_SIZE(kwnames); ++i) {
    if (PyDict_SetItem(keyword.ptr(), PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) != 0) {
      return false;
    }
  }
  Object problem =
      call_package("_signature", "problem_of_call", {self, positional.ptr(), keyword.ptr()});
  if (problem.is_valid() && problem.is_none()) return true;
  raise_made(std::move(problem));
  return false;
}

bool encode_arguments(PyObject* self, Session* session, CallScratch* scratch, PyObject* const* args,
                      Py_ssize_t nargs, PyObject* kwnames) {
  const Py_ssize_t num_keywords = kwnames != nullptr ? PyTuple_GET_SIZE(kwnames) : 0;
  // Arguments view into `values`: it must not move.
  scratch->values.reserve(static_cast<size_t>(nargs + num_keywords));
  ArgumentEncoder encoder(self, session, scratch);
  for (Py_ssize_t i = 0; i < nargs; ++i) {
    if (!encoder.encode(args[i], i, nullptr, &scratch->positional.emplace_back())) return false;
  }
  for (Py_ssize_t i = 0; i < num_keywords; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(kwnames, i);
    Py_ssize_t size = 0;
    const char* name = PyUnicode_AsUTF8AndSize(keyword, &size);
    if (name == nullptr) return false;
    auto& [key, argument] = scratch->keyword.emplace_back();
    key = {name, static_cast<size_t>(size)};
    if (!encoder.encode(args[nargs + i], -1, keyword, &argument)) return false;
  }
  return true;
}

PyObject* refs_of_results(Session* session, uint32_t num_returns, CallScratch* scratch) {
  if (num_returns == 0) Py_RETURN_NONE;
  Object list = steal(PyList_New(static_cast<Py_ssize_t>(scratch->results.size())));
  if (!list.is_valid()) return nullptr;
  for (size_t i = 0; i < scratch->results.size(); ++i) {
    PyObject* ref = make_object_ref(session, std::move(scratch->results[i]));
    if (ref == nullptr) return nullptr;
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), ref);
  }
  return list.release().ptr();
}

// The session to call in; null with an exception set. No session is started for an actor: it
// belongs to one that is over.
Session* session_of_call(PyObject* self) {
  PyObject* actor = callee_of(self)->actor;
  if (actor == nullptr) return need_session(self);
  Session* current = current_session();
  return belongs_to(as_object_ref(actor), current, self) ? current : nullptr;
}

PyObject* callee_remote(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                        PyObject* kwnames) {
  // Wrong calls are told before anything is started.
  if (!check_signature(self, args, nargs, kwnames)) return nullptr;
  Session* session = session_of_call(self);
  if (session == nullptr) return nullptr;
  // Another thread may shut the session down while this one waits for room.
  Object kept = borrow(reinterpret_cast<PyObject*>(session));
  if (!prepare(self, session)) return nullptr;
  const Callee* callee = callee_of(self);
  ScratchLease scratch;
  if (!encode_arguments(self, session, scratch.get(), args, nargs, kwnames)) return nullptr;
  client::CallSpec call;
  call.template_id = callee->template_id;
  const bool streams = callee->num_returns == kStreamingReturns;
  call.num_results = streams ? 1 : callee->num_returns;
  if (callee->actor != nullptr) call.actor = as_object_ref(callee->actor)->entry;
  call.positional = scratch->positional;
  call.keyword = scratch->keyword;
  call.contained = scratch->contained;
  if (call.num_results == 1) [[likely]] {
    client::CallError error;
    client::RefHandle result = session->runtime->submit_one(call, &error);
    if (!result) return raise_call_error(error);
    return streams ? make_stream(session, std::move(result))
                   : make_object_ref(session, std::move(result));
  }
  auto submitted = session->runtime->submit(call, &scratch->results);
  if (!submitted.ok()) return raise_call_error(submitted.error());
  return refs_of_results(session, callee->num_returns, scratch.get());
}

PyObject* callee_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  return raise_from("called_directly", {self, args, kwargs != nullptr ? kwargs : Py_None});
}

PyObject* set_arity(PyObject* self, PyObject* args) {
  Callee* callee = callee_of(self);
  if (!PyArg_ParseTuple(args, "nn", &callee->min_args, &callee->max_args)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* set_prepared(PyObject* self, PyObject* args) {
  Callee* callee = callee_of(self);
  unsigned int template_id = 0, num_returns = 0;
  if (!PyArg_ParseTuple(args, "II", &template_id, &num_returns)) return nullptr;
  callee->template_id = template_id;
  callee->num_returns = num_returns;
  callee->session = current_session_number();
  Py_RETURN_NONE;
}

PyObject* set_actor(PyObject* self, PyObject* ref) {
  if (!is_object_ref(ref) || as_object_ref(ref)->entry == nullptr) {
    return PyErr_Format(PyExc_TypeError, "an actor is known by an ObjectRef, got %R", ref);
  }
  Py_XSETREF(callee_of(self)->actor, Py_NewRef(ref));
  Py_RETURN_NONE;
}

// An ObjectRef refers to no object of the program: the collector need not look in here.
void callee_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(callee_of(self)->actor);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* callee_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  callee_of(self)->actor = nullptr;
  callee_of(self)->session = 0;
  callee_of(self)->min_args = -1;
  callee_of(self)->max_args = -1;
  return self;
}

PyMethodDef methods[] = {
    {"remote", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(callee_remote)),
     METH_FASTCALL | METH_KEYWORDS,
     "remote($self, /, *args, **kwargs)\n--\n\n"
     "Submits a call and returns at once.\n\n"
     "Arguments that are ObjectRefs are replaced by their values before the call runs.\n"
     "Returns one ObjectRef, a list of num_returns of them, None for num_returns=0, or an\n"
     "ObjectRefGenerator if what is called yields.\n"
     "Raises TypeError if the arguments do not fit the signature or cannot be sent."},
    {"_set_arity", set_arity, METH_VARARGS, nullptr},
    {"_set_actor", set_actor, METH_O, nullptr},
    {"_set_prepared", set_prepared, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(callee_new)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(callee_dealloc)},
                       {Py_tp_call, reinterpret_cast<void*>(callee_call)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};
PyType_Spec spec = {"sundog._core.Callee", sizeof(Callee), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

void add_remote_function(nb::module_& module) {
  Object type = steal(PyType_FromSpec(&spec));
  if (!type.is_valid()) throw nb::python_error();
  module.attr("Callee") = type;
}

}  // namespace sundog::python
