#include "worker_loop.h"

#include <ctime>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/tables.h"
#include "cancelling.h"
#include "concurrent_calls.h"
#include "incoming.h"
#include "model/limits.h"
#include "object_ref.h"
#include "os/numeric_threads.h"
#include "outgoing.h"
#include "streams.h"
#include "task_error.h"
#include "wire/arguments.h"

namespace sundog::python {
namespace {

TimeNs now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

// The task that this process runs; read by get_runtime_context. Null between tasks.
const client::TaskCall* running = nullptr;
// Its function or class, borrowed from the loop; null for a method, and between tasks.
PyObject* running_function = nullptr;
// The actor that this process is, from its constructor on: the handle's id, the class (owned) and
// the attempt, which counts restarts. The process ends with it, be it in the constructor.
struct Actor {
  ObjectId id;
  PyObject* cls = nullptr;
  uint32_t attempt = 0;
};
Actor actor;
// What exit_actor() raises.
PyObject* actor_exit = nullptr;

// A vector whose memory serves again. Calls may run at once, when one gives up the GIL: while it is
// lent, the next one gets an empty one.
template <typename T>
class Lease {
 public:
  explicit Lease(std::vector<T>* lent) : lent_(lent), mine_(std::exchange(*lent, {})) {}
  ~Lease() { *lent_ = std::move(mine_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  std::vector<T>* operator->() { return &mine_; }
  std::vector<T>& operator*() { return mine_; }

 private:
  std::vector<T>* lent_;
  std::vector<T> mine_;
};

class WorkerLoop final : private CallRunner {
 public:
  explicit WorkerLoop(Session* session) : session_(session), runtime_(session->runtime) {}
  ~WorkerLoop() override {
    Py_XDECREF(instance_);
    for (auto& [name, object] : method_names_) Py_DECREF(object);
    for (PyObject* function : functions_) Py_DECREF(function);
  }

  // Until the daemon says stop or is gone. False with an exception set that ends the process:
  // SystemExit of a task, or a failure to hand a result over.
  bool run() {
    while (true) {
      GilYielder yielder;
      std::optional<client::TaskCall> call = runtime_->next_task(&yielder);
      if (yielder.raised()) PyErr_Clear();  // a signal for the driver, not for a worker
      if (!call) return true;
      if (!run_one(*call)) return false;
      if (ends_after_task()) return true;
      if (driver_.is_valid()) return run_calls_at_once();
    }
  }

 private:
  // An actor that runs several calls at once: its driver, made before its constructor ran, goes on.
  bool run_calls_at_once() {
    run_concurrently(this);
    return steal(PyObject_CallMethod(driver_.ptr(), "run", nullptr)).is_valid();
  }

  client::Runtime* runtime() override { return runtime_; }
  Object call(const client::TaskCall& call) override { return call_with_arguments(call); }
  bool end(const client::TaskCall& call, TimeNs started, Object value) override {
    return end_one(call, started, std::move(value));
  }

  bool run_one(const client::TaskCall& call) {
    running = &call;
    if (call.kind != model::CallKind::kMethod && call.cpus != cpus_) use_cpus(call.cpus);
    const TimeNs started = now();
    begin_interruptible(call.task, call.kind == model::CallKind::kMethod);
    const bool done = end_one(call, started, call_with_arguments(call));
    running = nullptr;
    running_function = nullptr;
    return done;
  }

  // The task's own code is over. What ended as it was asked to has no value.
  static Object code_ended(Object value) {
    const bool knew = runs_concurrently() ? end_code_of_running_call() : end_interruptible();
    if (knew && value.is_valid()) {
      value = {};
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
    return value;
  }

  // Whether what was returned is the task's code yet: a generator, which runs as it is asked.
  static bool is_iterated(const client::TaskCall& call, PyObject* value) {
    if (call.returns == model::Returns::kStream || call.returns == model::Returns::kDynamic) {
      return true;
    }
    return wants_parts(call) && PyIter_Check(value);
  }
  // Whether the results are parts of what was returned, and not that itself.
  static bool wants_parts(const client::TaskCall& call) {
    return call.num_results > 1 ||
           (call.num_results == 1 && call.returns == model::Returns::kParts);
  }

  bool end_one(const client::TaskCall& call, TimeNs started, Object value) {
    uint32_t reached = 0;
    const bool is_over = !value.is_valid() || !is_iterated(call, value.ptr());
    if (is_over) value = code_ended(std::move(value));
    if (value.is_valid()) value = hand_over(call, std::move(value), &reached);
    flush_output();
    bool done = false;
    if (value.is_valid()) {
      done = finish(call, started, false);
    } else if (PyErr_ExceptionMatches(actor_exit) && actor.cls != nullptr) {
      PyErr_Clear();
      done = hand_over_nothing(call) && finish(call, started, false, true);
    } else if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
      const bool retry = may_be_retried(call);
      done = hand_over_error(call, reached) && finish(call, started, true, false, retry);
    }
    return done;
  }

  bool finish(const client::TaskCall& call, TimeNs started, bool failed, bool exiting = false,
              bool retry = false) {
    auto finished = runtime_->finish(call, failed, retry, started, now(), exiting);
    if (finished.ok()) return true;
    raise_call_error(finished.error());
    return false;
  }

  // Numeric libraries may use as many threads; user code has not run yet.
  void use_cpus(uint16_t cpus) {
    cpus_ = cpus;
    Object number = steal(PyLong_FromLong(cpus));
    if (!call_package("_threads", "limit", {number.ptr()}).is_valid()) {
      PyErr_WriteUnraisable(nullptr);
    }
  }

  // Whether the call's options allow another attempt after the pending exception. What a method's
  // call names as its function are the types of exceptions for which they do.
  bool may_be_retried(const client::TaskCall& call) {
    if (!call.retry_exceptions || call.function.is_nil()) return call.retry_exceptions;
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject* function = function_of(call);
    Object allowed =
        function == nullptr ? Object() : call_package("_retries", "allows", {function, type});
    if (!allowed.is_valid()) PyErr_Clear();
    const bool may = allowed.ptr() == Py_True;
    PyErr_Restore(type, value, traceback);
    return may;
  }

  // ---- what is called, and its arguments

  Object call_with_arguments(const client::TaskCall& call) {
    PyObject* callee = nullptr;  // borrowed; a method is looked up at the call
    if (call.kind != model::CallKind::kMethod) {
      callee = function_of(call);
      if (callee == nullptr) return {};
      running_function = callee;
    }
    Lease<wire::ParsedArgument> scratch(&scratch_);
    auto parsed = wire::parse_arguments(call.arguments, call.refs.size(), &*scratch);
    if (!parsed.ok()) {
      PyErr_SetString(PyExc_SystemError, parsed.error().c_str());
      return {};
    }
    const size_t num_positional = parsed->positional.size();
    std::vector<Object> arguments;
    arguments.reserve(num_positional + parsed->keyword.size());
    Object names;
    for (const wire::ParsedArgument& argument : parsed->positional) {
      if (!add_argument(call, argument, &arguments)) return {};
    }
    if (!parsed->keyword.empty()) {
      names = steal(PyTuple_New(static_cast<Py_ssize_t>(parsed->keyword.size())));
      Py_ssize_t at = 0;
      for (const wire::ParsedArgument& argument : parsed->keyword) {
        if (!add_argument(call, argument, &arguments)) return {};
        PyTuple_SET_ITEM(names.ptr(), at++, text(argument.name).release().ptr());
      }
    }
    Lease<PyObject*> vector(&vector_);
    vector->assign(1, instance_);  // for a method; others begin behind it
    for (const Object& argument : arguments) vector->push_back(argument.ptr());
    if (call.kind == model::CallKind::kMethod) {
      return call_method(call.method, *vector, num_positional, names.ptr());
    }
    const bool creates = call.kind == model::CallKind::kCreateActor;
    if (creates && !choose_driver(call, callee)) return {};
    if (creates) become_actor(call, callee);
    Object result =
        steal(PyObject_Vectorcall(callee, vector->data() + 1, num_positional, names.ptr()));
    if (!creates) return result;
    if (!result.is_valid()) {
      driver_ = {};
      return result;
    }
    // What the creation itself results in is None.
    Py_XSETREF(instance_, result.release().ptr());
    return nb::none();
  }

  // What runs the actor's calls, if not this loop one after the other.
  bool choose_driver(const client::TaskCall& call, PyObject* cls) {
    Object threads = steal(PyLong_FromUnsignedLong(call.concurrency));
    Object groups = steal(PyLong_FromUnsignedLong(call.group));
    driver_ = call_package("_concurrent", "driver_for", {cls, threads.ptr(), groups.ptr()});
    if (!driver_.is_valid()) return false;
    if (driver_.is_none()) driver_ = {};
    return true;
  }

  // The constructor may ask who it is.
  static void become_actor(const client::TaskCall& call, PyObject* cls) {
    Py_XSETREF(actor.cls, Py_NewRef(cls));
    actor.id = call.actor;
    actor.attempt = call.attempt;
  }

  // Calls instance.<method> with what lies in `vector` behind the instance.
  Object call_method(std::string_view method, const std::vector<PyObject*>& vector,
                     size_t num_positional, PyObject* names) {
    if (instance_ == nullptr) {
      PyErr_SetString(PyExc_SystemError, "a method is called, but this process is no actor");
      return {};
    }
    auto known = method_names_.find(method);
    if (known == method_names_.end()) {
      std::string name(method);
      PyObject* interned = PyUnicode_InternFromString(name.c_str());
      if (interned == nullptr) return {};
      known = method_names_.emplace(std::move(name), interned).first;
    }
    PyObject* name = known->second;
    if (method.starts_with("__ray_") || method.starts_with("__sundog_")) {
      Object module = steal(PyImport_ImportModule("sundog._actor_calls"));
      Object special = module.is_valid() ? steal(PyObject_GetAttr(module.ptr(), name)) : Object();
      if (!special.is_valid()) return {};
      return steal(PyObject_Vectorcall(special.ptr(), vector.data(), num_positional + 1, names));
    }
    return steal(PyObject_VectorcallMethod(name, vector.data(), num_positional + 1, names));
  }

  bool add_argument(const client::TaskCall& call, const wire::ParsedArgument& argument,
                    std::vector<Object>* out) {
    Object value = steal(argument.is_reference()
                             ? to_python(call.refs[argument.ref_index], session_, false)
                             : to_python_copied(argument.format, argument.bytes, session_));
    if (!value.is_valid()) return false;
    out->push_back(std::move(value));
    return true;
  }

  // Borrowed; null with an exception set.
  PyObject* function_of(const client::TaskCall& call) {
    auto known = by_id_.find(call.function);
    if (known != by_id_.end()) [[likely]] {
      return known->second;
    }
    Object function = load(call.function);
    if (!function.is_valid()) return nullptr;
    functions_.push_back(function.release().ptr());
    by_id_[call.function] = functions_.back();
    return functions_.back();
  }

  Object load(const ObjectId& id) {
    client::RefHandle handle = runtime_->ref_from_id(id);
    client::Entry* entry = handle.get();
    std::vector<client::Fetched> fetched;
    GilYielder yielder;
    auto got = runtime_->get({&entry, 1}, kNever, &yielder, &fetched);
    if (yielder.raised()) return {};
    if (!got.ok()) {
      raise_call_error(got.error());
      return {};
    }
    if (model::is_error(fetched[0].format)) {
      to_python(fetched[0], session_, false);
      return {};
    }
    Object pickled = raw(fetched[0].data->bytes());
    Object binary = raw({reinterpret_cast<const std::byte*>(&id), sizeof id});
    return call_package("_pickling", "load_function", {pickled.ptr(), binary.ptr()});
  }

  // ---- results

  // Gives all results to the Runtime; the value back, or null with an exception set, which is that
  // of the results from `reached` on.
  Object hand_over(const client::TaskCall& call, Object value, uint32_t* reached) {
    if (call.returns == model::Returns::kStream) {
      const bool yielded = yield_items(session_, call, value.ptr());
      const Object over = code_ended(yielded ? Object(nb::none()) : Object());
      return over.is_valid() && hand_over_one(call, 0, Py_None) ? nb::none() : Object();
    }
    if (call.returns == model::Returns::kDynamic) {
      Object name = text(call.name);
      value = code_ended(call_package("_generator", "collect", {value.ptr(), name.ptr()}));
      if (!value.is_valid()) return {};
    }
    if (call.num_results == 0) return value;
    if (!wants_parts(call)) {
      if (!hand_over_one(call, 0, value.ptr())) return {};
      return value;
    }
    if (PyIter_Check(value.ptr())) return hand_over_items_of(call, value.ptr(), reached);
    Object items = steal(PySequence_Fast(value.ptr(), ""));
    if (!items.is_valid()) PyErr_Clear();
    if (!items.is_valid() || PySequence_Fast_GET_SIZE(items.ptr()) != call.num_results) {
      Object name = text(call.name), wanted = steal(PyLong_FromUnsignedLong(call.num_results));
      raise_from("wrong_number_of_results", {name.ptr(), wanted.ptr(), value.ptr()});
      return {};
    }
    for (uint32_t i = 0; i < call.num_results; ++i) {
      if (!hand_over_one(call, i, PySequence_Fast_ITEMS(items.ptr())[i])) return {};
    }
    return value;
  }

  // The results of a generator: what it yielded before it raised is there.
  Object hand_over_items_of(const client::TaskCall& call, PyObject* iterator, uint32_t* reached) {
    Object name = text(call.name), wanted = steal(PyLong_FromUnsignedLong(call.num_results));
    Object found =
        code_ended(call_package("_generator", "first_items", {iterator, wanted.ptr(), name.ptr()}));
    if (!found.is_valid()) return {};
    PyObject* items = PyTuple_GET_ITEM(found.ptr(), 0);
    PyObject* error = PyTuple_GET_ITEM(found.ptr(), 1);
    const auto count = static_cast<uint32_t>(PyList_GET_SIZE(items));
    for (uint32_t i = 0; i < count; ++i) {
      if (!hand_over_one(call, i, PyList_GET_ITEM(items, i))) return {};
    }
    if (error == Py_None) return found;
    *reached = count;
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
    return {};
  }

  bool hand_over_nothing(const client::TaskCall& call) {
    for (uint32_t i = 0; i < call.num_results; ++i) {
      if (!hand_over_one(call, i, Py_None)) return false;
    }
    return true;
  }

  bool hand_over_one(const client::TaskCall& call, uint32_t index, PyObject* value) {
    Outgoing outgoing;
    if (!take_result(call.name, value, &outgoing)) return false;
    std::unique_ptr<client::Room> room;
    client::OutValue out{outgoing.format(), {}, outgoing.contained()};
    if (outgoing.size() > model::kInlineValueBytesMax) {
      room = fill_room(session_, outgoing);
      if (room == nullptr) return false;
    } else {
      out.bytes = outgoing.in_one_piece();
    }
    auto added = runtime_->add_result(call, index, out, std::move(room));
    if (added.ok()) return true;
    raise_call_error(added.error());
    return false;
  }

  // The pending exception becomes every result of the task from `first` on.
  bool hand_over_error(const client::TaskCall& call, uint32_t first) {
    PyObject *type = nullptr, *exception = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback != nullptr) PyException_SetTraceback(exception, traceback);
    const bool is_constructor = call.kind == model::CallKind::kCreateActor;
    Object name = text(std::string(call.name) + (is_constructor ? ".__init__" : ""));
    Object told = call_package("_errors", "describe", {exception, name.ptr()});
    Py_XDECREF(type);
    Py_XDECREF(exception);
    Py_XDECREF(traceback);
    if (!told.is_valid()) return false;
    std::vector<std::byte> bytes = encode_task_error(call.task, told.ptr());
    for (uint32_t i = first; i < call.num_results; ++i) {
      if (!hand_over_bytes(call, i, model::Format::kTaskError, bytes)) return false;
    }
    if (call.returns != model::Returns::kStream) return true;
    const uint32_t last = runtime_->items_yielded(call) + 1;
    return hand_over_bytes(call, last, model::Format::kTaskError, bytes);
  }

  bool hand_over_bytes(const client::TaskCall& call, uint32_t index, model::Format format,
                       Bytes bytes) {
    std::unique_ptr<client::Room> room;
    client::OutValue out{format, bytes, {}};
    if (bytes.size() > model::kInlineValueBytesMax) {
      GilYielder yielder;
      auto granted = runtime_->allocate(bytes.size(), &yielder);
      if (!granted.ok()) {
        raise_call_error(granted.error());
        return false;
      }
      room = std::move(*granted);
      std::memcpy(room->data(), bytes.data(), bytes.size());
      out.bytes = {};
    }
    auto added = runtime_->add_result(call, index, out, std::move(room));
    if (added.ok()) return true;
    raise_call_error(added.error());
    return false;
  }

  // What a task printed without a newline belongs to it, not to the next one.
  static void flush_output() {
    PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    for (const char* name : {"stdout", "stderr"}) {
      PyObject* stream = PySys_GetObject(name);
      if (stream == nullptr || stream == Py_None) continue;
      Object flushed = steal(PyObject_CallMethod(stream, "flush", nullptr));
      if (!flushed.is_valid()) PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
  }

  Session* session_;
  client::Runtime* runtime_;
  uint16_t cpus_ = 1;  // for which numeric libraries are set up
  IdMap<ObjectId, PyObject*> by_id_;
  std::vector<PyObject*> functions_;                            // owned
  PyObject* instance_ = nullptr;                                // owned: what this actor is
  std::map<std::string, PyObject*, std::less<>> method_names_;  // interned, owned
  std::vector<wire::ParsedArgument> scratch_;
  std::vector<PyObject*> vector_;
  Object driver_;  // of an actor that runs several calls at once
};

PyObject* run_worker(PyObject*, PyObject* args) {
  int control = -1;
  unsigned int job = 0;
  unsigned long long runtime_env = 0, token = 0;
  if (!PyArg_ParseTuple(args, "iIKK", &control, &job, &runtime_env, &token)) return nullptr;
  auto runtime = client::Runtime::connect_worker(control, JobId{job}, model::Language::kPython,
                                                 runtime_env, token);
  if (!runtime.ok()) return raise_call_error(runtime.error());
  Session* session = open_session(std::move(*runtime), true);
  if (session == nullptr) return nullptr;
  listen_for_cancels(session->runtime);
  if (!WorkerLoop(session).run()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* set_numeric_threads(PyObject*, PyObject* args) {
  os::NumericThreads n;
  if (!PyArg_ParseTuple(args, "iiii", &n.openmp, &n.openblas, &n.mkl, &n.blis)) return nullptr;
  os::set_numeric_threads(n);
  Py_RETURN_NONE;
}

PyObject* current_task(PyObject*, PyObject*) {
  if (runs_concurrently()) {
    std::string id, its_name;
    uint32_t attempt = 0;
    if (!current_running_call(&id, &its_name, &attempt)) Py_RETURN_NONE;
    return Py_BuildValue("(ssI)", id.c_str(), its_name.c_str(), attempt);
  }
  if (running == nullptr) Py_RETURN_NONE;
  Object task = text(running->task.hex()), name = text(running->name);
  return Py_BuildValue("(OOI)", task.ptr(), name.ptr(), running->attempt);
}

PyObject* current_function(PyObject*, PyObject*) {
  if (runs_concurrently()) return current_method();
  if (running == nullptr) Py_RETURN_NONE;
  if (running->kind == model::CallKind::kMethod) return text(running->method).release().ptr();
  return Py_NewRef(running_function != nullptr ? running_function : Py_None);
}

PyObject* current_actor(PyObject*, PyObject*) {
  if (actor.cls == nullptr) Py_RETURN_NONE;
  Object id = raw({reinterpret_cast<const std::byte*>(&actor.id), sizeof actor.id});
  return Py_BuildValue("(OOI)", id.ptr(), actor.cls, actor.attempt);
}

PyMethodDef functions[] = {
    {"run_worker", run_worker, METH_VARARGS,
     "run_worker(control_fd, job, runtime_env, token)\n--\n\nRuns tasks until told to stop."},
    {"set_numeric_threads", set_numeric_threads, METH_VARARGS,
     "set_numeric_threads(openmp, openblas, mkl, blis)\n--\n\n"
     "Threads of the loaded libraries of each family; 0 leaves it as it is."},
    {"current_task", current_task, METH_NOARGS,
     "current_task()\n--\n\n(task id in hex, name, attempt) of the running task, or None."},
    {"current_function", current_function, METH_NOARGS,
     "current_function()\n--\n\nWhat the running task calls: a function, a class, or the name of a "
     "method; or None."},
    {"current_actor", current_actor, METH_NOARGS,
     "current_actor()\n--\n\n(id of its handle, class, attempt) of the actor that this is, or "
     "None."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void add_worker_loop(nb::module_& module) {
  actor_exit = PyErr_NewException("sundog._core.ActorExit", PyExc_SystemExit, nullptr);
  if (actor_exit == nullptr) throw nb::python_error();
  module.attr("ActorExit") = nb::borrow(actor_exit);
  if (PyModule_AddFunctions(module.ptr(), functions) != 0) throw nb::python_error();
}

}  // namespace sundog::python
