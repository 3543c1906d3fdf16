#include "session.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <sys/time.h>

#include <string>
#include <vector>

#include "output_queue.h"

namespace sundog::python {
namespace {

// The process's sessions; the GIL protects it.
struct State {
  PyTypeObject* type = nullptr;
  Session* current = nullptr;  // owned
  uint64_t opened = 0;
  uint64_t opened_before_fork = 0;  // sessions up to this number are the parent's
};
State state;

Session* self_of(PyObject* object) { return reinterpret_cast<Session*>(object); }

void session_dealloc(PyObject* object) {
  Session* self = self_of(object);
  PyTypeObject* type = Py_TYPE(object);
  // A forked child leaves its parent's Runtime alone: threads and locks of it do not exist here.
  if (!is_inherited(self)) delete self->runtime;
  PyObject_Free(object);
  Py_DECREF(type);
}

double now_seconds() {
  timeval now{};
  gettimeofday(&now, nullptr);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_usec) / 1e6;
}

PyObject* session_close(PyObject* object, PyObject*) {
  Session* self = self_of(object);
  if (self->ended == 0) {
    self->ended = now_seconds();
    Object kept = borrow(object);
    if (state.current == self) Py_CLEAR(state.current);
    GilYielder yielder;
    yielder.release();
    self->runtime->shutdown();
    yielder.acquire();
  }
  Py_RETURN_NONE;
}

PyObject* session_query(PyObject* object, PyObject* args) {
  int question = 0;
  const char* argument = "";
  if (!PyArg_ParseTuple(args, "i|s", &question, &argument)) return nullptr;
  GilYielder yielder;
  auto answer =
      self_of(object)->runtime->query(static_cast<model::Question>(question), argument, &yielder);
  if (yielder.raised()) return nullptr;
  if (!answer.ok()) return raise_call_error(answer.error());
  return text(*answer).release().ptr();
}

PyObject* session_put_function(PyObject* object, PyObject* args) {
  Py_buffer pickled;
  PyObject* contained = nullptr;
  if (!PyArg_ParseTuple(args, "y*O!", &pickled, &PyList_Type, &contained)) return nullptr;
  std::vector<ObjectId> ids;
  bool valid = true;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(contained); ++i) {
    PyObject* item = PyList_GET_ITEM(contained, i);
    valid = valid && PyBytes_Check(item) && PyBytes_GET_SIZE(item) == sizeof(ObjectId);
    if (!valid) break;
    std::memcpy(&ids.emplace_back(), PyBytes_AS_STRING(item), sizeof(ObjectId));
  }
  PyObject* out = nullptr;
  if (!valid) {
    PyErr_SetString(PyExc_TypeError, "contained ids are bytes objects of 20 bytes");
  } else {
    GilYielder yielder;
    Bytes view{static_cast<const std::byte*>(pickled.buf), static_cast<size_t>(pickled.len)};
    auto id = self_of(object)->runtime->put_function(view, ids, &yielder);
    if (!yielder.raised()) {
      out = id.ok()
                ? raw({reinterpret_cast<const std::byte*>(&*id), sizeof(ObjectId)}).release().ptr()
                : raise_call_error(id.error());
    }
  }
  PyBuffer_Release(&pickled);
  return out;
}

}  // namespace

bool read_resources(PyObject* dict, client::Resources* out) {
  if (dict == nullptr) return true;
  PyObject *key = nullptr, *value = nullptr;
  Py_ssize_t position = 0;
  while (PyDict_Next(dict, &position, &key, &value)) {
    const char* name = PyUnicode_AsUTF8(key);
    const int64_t amount = PyLong_AsLongLong(value);
    if (name == nullptr || (amount == -1 && PyErr_Occurred() != nullptr)) return false;
    out->emplace_back(name, amount);
  }
  return true;
}

namespace {

PyObject* session_define(PyObject* object, PyObject* args) {
  const char *function = nullptr, *name = nullptr, *source = nullptr, *method = "";
  Py_ssize_t size = 0;
  PyObject *resources = nullptr, *lifetime = nullptr;
  client::TaskOptions options;
  PyObject* groups = nullptr;
  const char* group = "";
  int retry_exceptions = 0, detached = 0, out_of_order = 0;
  long long timeout_ns = 0;
  int kind = static_cast<int>(options.kind), returns = static_cast<int>(options.returns);
  unsigned long long stream_items = 0, runtime_env = 0;
  const char* placement_group = nullptr;
  Py_ssize_t group_size = 0;
  int capture_children = 0, outside_groups = 0, unrecorded = 0;
  if (!PyArg_ParseTuple(args, "z#ssO!ip|isO!ipIO!psiKiLIKz#iipp", &function, &size, &name, &source,
                        &PyDict_Type, &resources, &options.max_retries, &retry_exceptions, &kind,
                        &method, &PyDict_Type, &lifetime, &options.max_restarts, &detached,
                        &options.max_concurrency, &PyDict_Type, &groups, &out_of_order, &group,
                        &returns, &stream_items, &options.priority, &timeout_ns, &options.max_calls,
                        &runtime_env, &placement_group, &group_size, &options.bundle,
                        &capture_children, &outside_groups, &unrecorded)) {
    return nullptr;
  }
  if (function != nullptr && size != sizeof(ObjectId)) {
    PyErr_SetString(PyExc_ValueError, "a function's id has 20 bytes");
    return nullptr;
  }
  if (placement_group != nullptr && group_size != sizeof(TaskId)) {
    PyErr_SetString(PyExc_ValueError, "a placement group's id has 16 bytes");
    return nullptr;
  }
  if (placement_group != nullptr)
    std::memcpy(&options.placement_group, placement_group, sizeof(TaskId));
  options.capture_children = static_cast<model::CaptureChildren>(capture_children);
  options.outside_groups = outside_groups != 0;
  options.unrecorded = unrecorded != 0;
  options.name = name;
  options.source = source;
  options.retry_exceptions = retry_exceptions != 0;
  options.kind = static_cast<model::CallKind>(kind);
  options.method = method;
  options.detached = detached != 0;
  options.out_of_order = out_of_order != 0;
  options.group = group;
  options.returns = static_cast<model::Returns>(returns);
  options.stream_items = stream_items;
  options.timeout_ns = timeout_ns;
  options.runtime_env = runtime_env;
  if (!read_resources(resources, &options.resources)) return nullptr;
  if (!read_resources(lifetime, &options.lifetime)) return nullptr;
  if (!read_resources(groups, &options.groups)) return nullptr;
  ObjectId id;
  if (function != nullptr) {
    std::memcpy(&id, function, sizeof id);
  } else if (options.kind != model::CallKind::kMethod) {
    options.language = model::Language::kCpp;
  }
  auto number = self_of(object)->runtime->define_template(options, id);
  if (!number.ok()) return raise_call_error(number.error());
  return PyLong_FromUnsignedLong(*number);
}

PyObject* session_define_environment(PyObject* object, PyObject* args) {
  unsigned long long hash = 0;
  const char* description = nullptr;
  Py_ssize_t size = 0;
  long long patience_ns = 0;
  unsigned prestart = 0;
  if (!PyArg_ParseTuple(args, "Ks#LI", &hash, &description, &size, &patience_ns, &prestart)) {
    return nullptr;
  }
  auto defined = self_of(object)->runtime->define_environment(
      hash, {description, static_cast<size_t>(size)}, patience_ns, prestart);
  if (!defined.ok()) return raise_call_error(defined.error());
  Py_RETURN_NONE;
}

PyObject* session_info(PyObject* object, PyObject*) {
  const client::SessionInfo& info = self_of(object)->runtime->info();
  std::string node = info.node.hex();
  return Py_BuildValue(
      "{s:s,s:s,s:s,s:s,s:I,s:I,s:K,s:K,s:L,s:L}", "session", info.session.c_str(), "session_dir",
      info.session_dir.c_str(), "namespace", info.name_space.c_str(), "node", node.c_str(), "job",
      info.job.value, "daemon_pid", info.daemon_pid, "store_bytes",
      static_cast<unsigned long long>(info.store_bytes), "total_memory_bytes",
      static_cast<unsigned long long>(info.total_memory_bytes), "num_cpus",
      static_cast<long long>(info.num_cpus), "num_gpus", static_cast<long long>(info.num_gpus));
}

PyObject* get_name(PyObject* object, void*) {
  return text(self_of(object)->runtime->info().session).release().ptr();
}
PyObject* get_number(PyObject* object, void*) {
  return PyLong_FromUnsignedLongLong(self_of(object)->number);
}
PyObject* get_ended(PyObject* object, void*) { return PyFloat_FromDouble(self_of(object)->ended); }
PyObject* get_is_worker(PyObject* object, void*) {
  return PyBool_FromLong(self_of(object)->is_worker);
}
PyObject* get_connected(PyObject* object, void*) {
  return PyBool_FromLong(self_of(object)->ended == 0 && self_of(object)->runtime->connected());
}

PyMethodDef methods[] = {
    {"close", session_close, METH_NOARGS,
     "close($self)\n--\n\nEnds the session; what it brought here stays readable."},
    {"query", session_query, METH_VARARGS,
     "query($self, question, argument='')\n--\n\nAsks the daemon; the answer is JSON."},
    {"put_function", session_put_function, METH_VARARGS,
     "put_function($self, pickled, contained)\n--\n\nStores a pickled function; its id."},
    {"define", session_define, METH_VARARGS,
     "define($self, function, name, source, resources, max_retries, retry_exceptions, kind=1, "
     "method='', lifetime={}, max_restarts=0, detached=False, max_concurrency=1, groups={}, "
     "out_of_order=False, group='', returns=1, stream_items=0, priority=0, "
     "timeout_ns=0, max_calls=0, runtime_env=0, placement_group=None, bundle=-1, "
     "capture_children=0, outside_groups=False, unrecorded=False)\n--\n\n"
     "Announces what is to be called, with its options; the number that submissions name. kind: 1 "
     "a "
     "function (without an id, the C++ function of that name), 2 a class, 3 a method. returns: 1 "
     "so many results, 2 a "
     "stream, whose producer waits at stream_items of them (0: no limit), 3 a list of references."},
    {"define_environment", session_define_environment, METH_VARARGS,
     "define_environment($self, hash, description, patience_ns, prestart)\n--\n\nAnnounces a "
     "runtime environment, JSON, under a hash that definitions name. patience_ns: how long "
     "preparing it may take, 0: as long as it likes. prestart: workers to start at once."},
    {"info", session_info, METH_NOARGS, "info($self)\n--\n\nWhat the daemon said of itself."},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef getters[] = {
    {"name", get_name, nullptr, "The session's name.", nullptr},
    {"number", get_number, nullptr, "1, 2, ... in this process.", nullptr},
    {"ended", get_ended, nullptr, "When it was shut down, as time.time(); 0 before.", nullptr},
    {"is_worker", get_is_worker, nullptr, "Whether this process runs tasks.", nullptr},
    {"connected", get_connected, nullptr, "Whether the daemon is there.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(session_dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getters},
                       {0, nullptr}};
PyType_Spec spec = {"sundog._core.Session", sizeof(Session), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

nb::object connect(const std::string& daemon, const std::vector<std::string>& arguments,
                   uint32_t prestart, const std::string& entry_point, const std::string& address,
                   const std::string& name_space, double job_weight, bool only_asks,
                   const nb::object& meanwhile) {
  client::DriverConfig config{daemon, arguments, prestart, entry_point, address, name_space};
  config.job_weight = static_cast<uint32_t>(job_weight * model::kJobWeightUnit + 0.5);
  config.only_asks = only_asks;
  GilYielder yielder;
  bool failed = false;
  if (!meanwhile.is_none()) {
    config.meanwhile = [&] {
      yielder.acquire();
      failed = !steal(PyObject_CallNoArgs(meanwhile.ptr())).is_valid();
      yielder.release();
    };
  }
  yielder.release();
  auto runtime = client::Runtime::connect_driver(config);
  yielder.acquire();
  if (failed) {  // Ctrl-C
    if (runtime.ok()) runtime.value()->shutdown();
    throw nb::python_error();
  }
  if (!runtime.ok()) {
    raise_call_error(runtime.error());
    throw nb::python_error();
  }
  collect_output(runtime->get());
  Session* session = open_session(std::move(*runtime), false);
  if (session == nullptr) throw nb::python_error();
  return nb::borrow(reinterpret_cast<PyObject*>(session));
}

void before_fork() {
  if (state.current != nullptr) state.current->runtime->before_fork();
}
void after_fork_in_parent() {
  if (state.current != nullptr) state.current->runtime->after_fork_in_parent();
}
void after_fork_in_child() {
  state.opened_before_fork = state.opened;
  if (state.current != nullptr) state.current->runtime->after_fork_in_child();
}

nb::object current() {
  if (state.current == nullptr) return nb::none();
  return nb::borrow(reinterpret_cast<PyObject*>(state.current));
}

}  // namespace

Session* open_session(std::unique_ptr<client::Runtime> runtime, bool is_worker) {
  Session* session = PyObject_New(Session, state.type);
  if (session == nullptr) return nullptr;
  session->runtime = runtime.release();
  session->number = ++state.opened;
  session->ended = 0;
  session->is_worker = is_worker;
  Py_XSETREF(state.current, session);
  return session;
}

PyTypeObject* session_type() { return state.type; }

Session* current_session() { return state.current; }
bool is_inherited(const Session* session) { return session->number <= state.opened_before_fork; }
uint64_t current_session_number() { return state.current != nullptr ? state.current->number : 0; }

Session* need_session(PyObject* callee) {
  if (state.current != nullptr) [[likely]]
    return state.current;
  PyObject* called = callee != nullptr ? callee : Py_None;
  Object started = call_package("_session", "start_by_default", {called});
  if (!started.is_valid()) {
    raise_without_own_frames();
    return nullptr;
  }
  if (state.current == nullptr) PyErr_SetString(PyExc_RuntimeError, "no session was started");
  return state.current;
}

void add_session(nb::module_& module) {
  state.type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (state.type == nullptr) throw nb::python_error();
  module.attr("Session") = nb::handle(reinterpret_cast<PyObject*>(state.type));
  module.def("connect", &connect, nb::arg("daemon"), nb::arg("arguments"), nb::arg("prestart"),
             nb::arg("entry_point"), nb::arg("address"), nb::arg("name_space") = "",
             nb::arg("job_weight") = 1.0, nb::arg("only_asks") = false,
             nb::arg("meanwhile") = nb::none(),
             "Starts a daemon, or joins the one at `address`, and makes the session current.");
  module.def("current_session", &current, "The current session, or None.");
  module.def("before_fork", &before_fork, "Before os.fork(): what is viewed stays pinned.");
  module.def("after_fork_in_parent", &after_fork_in_parent, "Undoes before_fork.");
  module.def("after_fork_in_child", &after_fork_in_child,
             "Tells the session that this process is a forked child and no client.");
}

}  // namespace sundog::python
