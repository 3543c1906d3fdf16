#include "calls.h"

#include <algorithm>
#include <ctime>
#include <vector>

#include "incoming.h"
#include "object_ref.h"
#include "outgoing.h"
#include "streams.h"

namespace sundog::python {
namespace {

TimeNs now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// The keywords of a call, by hand: parsing by format string costs more than a get.
struct Keywords {
  PyObject* const* values;
  PyObject* names;  // tuple or null
  const char* function;

  // Calls visit(name, value) for each; false with an exception set.
  template <typename Visit>
  bool each(Visit&& visit) const {
    const Py_ssize_t count = names != nullptr ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
      if (name == nullptr) return false;
      const int known = visit(std::string_view(name), values[i]);
      if (known < 0) return false;
      if (known == 0) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%s'", function,
                     name);
        return false;
      }
    }
    return true;
  }
};

// None, or seconds from now; false with an exception set.
bool read_timeout(PyObject* value, const char* function, double* seconds, TimeNs* deadline) {
  *deadline = kNever;
  *seconds = -1;
  if (value == nullptr || value == Py_None) return true;
  *seconds = PyFloat_AsDouble(value);
  if (*seconds == -1.0 && PyErr_Occurred() != nullptr) {
    PyErr_Format(PyExc_TypeError, "%s(): timeout is a number of seconds or None, got %R", function,
                 value);
    return false;
  }
  if (!(*seconds >= 0)) {
    PyErr_Format(PyExc_ValueError, "%s(): timeout is a number of seconds from 0 on, got %R",
                 function, value);
    return false;
  }
  constexpr double kSecondsMax = 1e9;  // farther is never
  if (*seconds < kSecondsMax) *deadline = now() + static_cast<DurationNs>(*seconds * 1e9);
  return true;
}

// Entries of the references in a list or tuple; false with an exception set.
bool entries_of(Session* session, PyObject* sequence, std::vector<client::Entry*>* entries) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
  PyObject** items = PySequence_Fast_ITEMS(sequence);
  entries->reserve(static_cast<size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!belongs_to(as_object_ref(items[i]), session)) return false;
    entries->push_back(as_object_ref(items[i])->entry);
  }
  return true;
}

bool all_references(PyObject* sequence) {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
  PyObject** items = PySequence_Fast_ITEMS(sequence);
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!is_object_ref(items[i])) return false;
  }
  return true;
}

// ---------------------------------------------------------------- long waits

// A person waits for this process: a wait that takes longer than this says what it waits for.
bool progress_wanted = false;
constexpr DurationNs kPatience = 2 * kSecond;

class PatientYielder final : public GilYielder {
 public:
  explicit PatientYielder(PyObject* refs)
      : refs_(refs), due_(progress_wanted ? now() + kPatience : kNever) {}
  PatientYielder(const PatientYielder&) = delete;
  PatientYielder& operator=(const PatientYielder&) = delete;
  ~PatientYielder() override {
    if (shown_) call_quietly("end", {});
  }

  bool interrupted() override {
    if (GilYielder::interrupted()) return true;
    if (due_ != kNever && now() >= due_) {
      due_ = kNever;
      acquire();
      {
        Object seconds = steal(PyFloat_FromDouble(static_cast<double>(kPatience) / 1e9));
        shown_ = call_quietly("begin", {refs_, seconds.ptr()});
      }
      release();
    }
    return false;
  }

 private:
  // Whether _progress.<function>(...) returned something true. An error of it does not end the
  // wait.
  static bool call_quietly(const char* function, std::initializer_list<PyObject*> arguments) {
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    Object result = call_package("_progress", function, arguments);
    if (!result.is_valid()) PyErr_WriteUnraisable(nullptr);
    const bool answer = result.is_valid() && PyObject_IsTrue(result.ptr()) == 1;
    PyErr_Restore(type, value, traceback);
    return answer;
  }

  PyObject* refs_;
  TimeNs due_;
  bool shown_ = false;
};

PyObject* show_progress(PyObject*, PyObject* shown) {
  progress_wanted = PyObject_IsTrue(shown) == 1;
  Py_RETURN_NONE;
}

// ---------------------------------------------------------------- get

struct GetOptions {
  PyObject* timeout = nullptr;
  bool writable = false;
};

// False with an exception set.
bool fetch(Session* session, std::span<client::Entry* const> entries, PyObject* refs,
           const GetOptions& options, std::vector<client::Fetched>* values) {
  double seconds = 0;
  TimeNs deadline = kNever;
  if (!read_timeout(options.timeout, "get", &seconds, &deadline)) return false;
  PatientYielder yielder(refs);
  const auto reading = options.writable ? client::Reading::kWritten : client::Reading::kInPlace;
  auto got = session->runtime->get(entries, deadline, &yielder, values, reading);
  if (yielder.raised()) return false;
  if (got.ok()) return true;
  if (got.error().status == client::CallStatus::kTimeout) {
    Object limit = steal(PyFloat_FromDouble(seconds));
    raise_from("timed_out", {refs, limit.ptr()});
  } else {
    raise_call_error(got.error());
  }
  return false;
}

PyObject* get_one(Session* session, PyObject* ref, const GetOptions& options) {
  if (!belongs_to(as_object_ref(ref), session)) return nullptr;
  client::Entry* entry = as_object_ref(ref)->entry;
  std::vector<client::Fetched> values;
  if (!fetch(session, {&entry, 1}, ref, options, &values)) return nullptr;
  return to_python(values[0], session, options.writable);
}

PyObject* get_list(Session* session, PyObject* given, const GetOptions& options) {
  // The caller's list may change while we wait; ours keeps the references alive.
  Object copy = steal(PySequence_List(given));
  if (!copy.is_valid()) return nullptr;
  PyObject* refs = copy.ptr();
  std::vector<client::Entry*> entries;
  if (!entries_of(session, refs, &entries)) return nullptr;
  std::vector<client::Fetched> values;
  if (!entries.empty() && !fetch(session, entries, refs, options, &values)) return nullptr;
  Object list = steal(PyList_New(static_cast<Py_ssize_t>(values.size())));
  if (!list.is_valid()) return nullptr;
  for (size_t i = 0; i < values.size(); ++i) {
    PyObject* value = to_python(values[i], session, options.writable);
    if (value == nullptr) return nullptr;
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), value);
  }
  return list.release().ptr();
}

PyObject* get(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  GetOptions options;
  PyObject* refs = nargs == 1 ? args[0] : nullptr;
  const bool understood =
      Keywords{args + nargs, kwnames, "get"}.each([&](std::string_view name, PyObject* value) {
        if (name == "timeout") {
          options.timeout = value;
        } else if (name == "writable") {
          const int flag = PyObject_IsTrue(value);
          options.writable = flag == 1;
          return flag < 0 ? -1 : 1;
        } else if (name == "object_refs" && refs == nullptr) {
          refs = value;
        } else {
          return 0;
        }
        return 1;
      });
  if (!understood) return nullptr;
  if (refs == nullptr || nargs > 1) {
    return PyErr_Format(PyExc_TypeError,
                        "get() takes an ObjectRef or a list of them, got %zd arguments", nargs);
  }
  const bool is_one = is_object_ref(refs);
  if (is_stream(refs)) return Py_NewRef(refs);  // its references are what has values
  if (!is_one && !((PyList_Check(refs) || PyTuple_Check(refs)) && all_references(refs))) {
    return raise_from("get_of_something_else", {refs});
  }
  // No session: whatever this reference is, starting one cannot help.
  Session* session = current_session();
  if (session == nullptr) {
    if (!is_one && PySequence_Fast_GET_SIZE(refs) == 0) return PyList_New(0);
    PyObject* first = is_one ? refs : PySequence_Fast_ITEMS(refs)[0];
    belongs_to(as_object_ref(first), nullptr);
    return nullptr;
  }
  return is_one ? get_one(session, refs, options) : get_list(session, refs, options);
}

// ---------------------------------------------------------------- put

PyObject* put(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  PyObject* value = nargs == 1 ? args[0] : nullptr;
  const bool understood =
      Keywords{args + nargs, kwnames, "put"}.each([&](std::string_view name, PyObject* given) {
        if (name == "value" && value == nullptr) {
          value = given;
          return 1;
        }
        if (name == "_owner" || name == "_tensor_transport") {
          if (given == Py_None) return 1;
          PyErr_Format(PyExc_ValueError, "put(): '%s' is not in this version", name.data());
          return -1;
        }
        return 0;
      });
  if (!understood) return nullptr;
  if (value == nullptr || nargs > 1) {
    return PyErr_Format(PyExc_TypeError, "put() takes one value, got %zd", nargs);
  }
  if (is_object_ref(value)) {
    return PyErr_Format(PyExc_TypeError,
                        "put() got an ObjectRef, which names an object already: %R. Pass it on as "
                        "it is, or put a list that contains it.",
                        value);
  }
  Session* session = need_session();
  if (session == nullptr) return nullptr;
  // Another thread may shut the session down while this one waits for room.
  Object kept = borrow(reinterpret_cast<PyObject*>(session));
  Outgoing outgoing;
  if (!outgoing.take(value)) {
    PyObject *type = nullptr, *cause = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &cause, &traceback);
    PyErr_NormalizeException(&type, &cause, &traceback);
    raise_from("unpicklable_value", {value, cause});
    Py_XDECREF(type);
    Py_XDECREF(cause);
    Py_XDECREF(traceback);
    return nullptr;
  }
  client::RefHandle handle;
  if (!put_value(session, outgoing, &handle)) return nullptr;
  return make_object_ref(session, std::move(handle));
}

// ---------------------------------------------------------------- wait

struct WaitArguments {
  PyObject* refs = nullptr;
  PyObject* num_returns = nullptr;
  PyObject* timeout = nullptr;
};

bool read_wait(PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, WaitArguments* out) {
  out->refs = nargs == 1 ? args[0] : nullptr;
  const bool understood =
      Keywords{args + nargs, kwnames, "wait"}.each([&](std::string_view name, PyObject* value) {
        if (name == "num_returns") {
          out->num_returns = value;
        } else if (name == "timeout") {
          out->timeout = value;
        } else if (name == "ray_waitables" && out->refs == nullptr) {
          out->refs = value;
        } else if (name != "fetch_local") {  // on one node every object is local
          return 0;
        }
        return 1;
      });
  if (!understood) return false;
  if (out->refs == nullptr || nargs > 1) {
    PyErr_Format(PyExc_TypeError, "wait() takes one list of ObjectRefs, got %zd arguments", nargs);
    return false;
  }
  if (!PyList_Check(out->refs)) {
    raise_from("wait_for_something_else", {out->refs});
    return false;
  }
  return true;
}

// Whether two references name the same object: an open table of positions, hashed by entry.
bool has_duplicate(const std::vector<client::Entry*>& entries) {
  size_t slots = 8;
  while (slots < 2 * entries.size()) slots *= 2;
  std::vector<uint32_t> table(slots, 0);
  for (size_t i = 0; i < entries.size(); ++i) {
    size_t at = (reinterpret_cast<uintptr_t>(entries[i]) >> 4) * 0x9E3779B97F4A7C15ull;
    for (at >>= 32; table[at &= slots - 1] != 0; ++at) {
      if (entries[table[at] - 1] == entries[i]) return true;
    }
    table[at] = static_cast<uint32_t>(i + 1);
  }
  return false;
}

// How many references to wait for; -1 with an exception set.
Py_ssize_t read_num_returns(PyObject* value, size_t count) {
  Py_ssize_t wanted = value == nullptr ? 1 : PyNumber_AsSsize_t(value, PyExc_OverflowError);
  if (wanted == -1 && PyErr_Occurred() != nullptr) return -1;
  if (wanted < 1) {
    PyErr_Format(PyExc_ValueError, "wait(): num_returns is from 1 on, got %zd", wanted);
    return -1;
  }
  if (static_cast<size_t>(wanted) > count) {
    PyErr_Format(PyExc_ValueError,
                 "wait(): num_returns is %zd, and the list has %zu: ask for at most that many",
                 wanted, count);
    return -1;
  }
  return wanted;
}

PyObject* split_by_readiness(PyObject* refs, const std::vector<bool>& ready, Py_ssize_t wanted) {
  const auto count = static_cast<Py_ssize_t>(ready.size());
  const Py_ssize_t num_ready = std::min<Py_ssize_t>(
      wanted, static_cast<Py_ssize_t>(std::count(ready.begin(), ready.end(), true)));
  Object chosen = steal(PyList_New(num_ready)), rest = steal(PyList_New(count - num_ready));
  if (!chosen.is_valid() || !rest.is_valid()) return nullptr;
  Py_ssize_t taken = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = Py_NewRef(PyList_GET_ITEM(refs, i));
    if (ready[static_cast<size_t>(i)] && taken < num_ready) {
      PyList_SET_ITEM(chosen.ptr(), taken++, item);
    } else {
      PyList_SET_ITEM(rest.ptr(), i - taken, item);
    }
  }
  return PyTuple_Pack(2, chosen.ptr(), rest.ptr());
}

PyObject* wait(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  WaitArguments given;
  if (!read_wait(args, nargs, kwnames, &given)) return nullptr;
  double seconds = 0;
  TimeNs deadline = kNever;
  if (!read_timeout(given.timeout, "wait", &seconds, &deadline)) return nullptr;
  // The caller's list may change while we wait; ours keeps the references alive.
  Object refs = steal(PyList_GetSlice(given.refs, 0, PY_SSIZE_T_MAX));
  if (!refs.is_valid()) return nullptr;
  if (PyList_GET_SIZE(refs.ptr()) == 0) return Py_BuildValue("([][])");
  Object waitables = all_references(refs.ptr()) ? refs : waitables_of(refs.ptr());
  if (!waitables.is_valid()) {
    return PyErr_Occurred() != nullptr ? nullptr
                                       : raise_from("wait_for_something_else", {refs.ptr()});
  }
  Session* session = current_session();
  if (session == nullptr) {
    belongs_to(as_object_ref(PyList_GET_ITEM(waitables.ptr(), 0)), nullptr);
    return nullptr;
  }
  std::vector<client::Entry*> entries;
  if (!entries_of(session, waitables.ptr(), &entries)) return nullptr;
  if (has_duplicate(entries)) {
    PyErr_SetString(PyExc_ValueError,
                    "wait() takes a list of different references, but one is there twice: "
                    "wait(list(dict.fromkeys(refs))) waits once for each");
    return nullptr;
  }
  const Py_ssize_t wanted = read_num_returns(given.num_returns, entries.size());
  if (wanted < 0) return nullptr;
  std::vector<bool> ready;
  PatientYielder yielder(waitables.ptr());
  auto waited =
      session->runtime->wait(entries, static_cast<size_t>(wanted), deadline, &yielder, &ready);
  if (yielder.raised()) return nullptr;
  if (!waited.ok() && waited.error().status != client::CallStatus::kTimeout) {
    return raise_call_error(waited.error());
  }
  ready.resize(entries.size());
  return split_by_readiness(refs.ptr(), ready, wanted);
}

template <typename Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

PyMethodDef functions[] = {
    {"get", as_method(get), METH_FASTCALL | METH_KEYWORDS,
     "get(object_refs, *, timeout=None, writable=False)\n--\n\n"
     "The value of an object, or the list of values of a list of objects; waits until all are "
     "here.\n\n"
     "Args:\n"
     "    object_refs: an ObjectRef, or a list or tuple of them.\n"
     "    timeout: seconds to wait at most; None waits as long as it takes.\n"
     "    writable: arrays may be written; pages that are become private to this call's result.\n"
     "        By default arrays are read-only views of shared memory.\n\n"
     "Returns:\n"
     "    The value, or a list of as many values, in the order of the references.\n\n"
     "Raises:\n"
     "    Exception: what the task raised, as its own type and as TaskError.\n"
     "    GetTimeoutError: not all are here after timeout seconds; it says why.\n"
     "    WorkerCrashedError: the task's process ended, as often as it was tried.\n"
     "    ActorDiedError: the actor that was called is dead.\n"
     "    ObjectLostError: a reference belongs to another session.\n"
     "    NodeDiedError: the session's daemon is gone.\n"
     "    TypeError: anything but references.\n"
     "    ValueError: a negative timeout."},
    {"put", as_method(put), METH_FASTCALL | METH_KEYWORDS,
     "put(value)\n--\n\n"
     "Stores a value in shared memory.\n\n"
     "Args:\n"
     "    value: anything that can be pickled; memory of arrays is copied once, that of\n"
     "        ``sundog.empty`` not at all.\n\n"
     "Returns:\n"
     "    Its ObjectRef. The object lives while somebody holds a reference to it.\n\n"
     "Raises:\n"
     "    TypeError: the value cannot be pickled, or is an ObjectRef.\n"
     "    ObjectStoreFullError: the store has no room and nothing that runs can make any."},
    {"show_progress", show_progress, METH_O,
     "show_progress(shown)\n--\n\nWhether a long get or wait says what it waits for."},
    {"wait", as_method(wait), METH_FASTCALL | METH_KEYWORDS,
     "wait(ray_waitables, *, num_returns=1, timeout=None, fetch_local=True)\n--\n\n"
     "Waits until num_returns of the objects are ready, or timeout seconds passed.\n\n"
     "Args:\n"
     "    ray_waitables: a list of ObjectRefs and ObjectRefGenerators, each once; a generator is\n"
     "        ready when its next reference is there, or its end.\n"
     "    num_returns: for how many to wait, from 1 to their number.\n"
     "    timeout: seconds to wait at most; None waits as long as it takes, 0 only looks.\n"
     "    fetch_local: has no meaning on one machine.\n\n"
     "Returns:\n"
     "    (ready, not_ready): ready has at most num_returns references; if more are ready, the\n"
     "    earliest completed are chosen. Both lists keep the order of the input.\n\n"
     "Raises:\n"
     "    TypeError: anything but a list of ObjectRefs.\n"
     "    ValueError: one is there twice, or num_returns or timeout is out of range."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_calls(nb::module_& module) {
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
