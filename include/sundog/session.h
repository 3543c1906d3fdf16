// A session: tasks, objects and actors from C++. Any thread may call; get, wait and put of large
// values block. Errors are thrown as in sundog/errors.h.
//
//   int64_t add(int64_t a, int64_t b) { return a + b; }
//   SUNDOG_REMOTE(add);
//
//   int main(int argc, char** argv) {
//     auto session = sundog::init(argc, argv);  // in a worker process: runs tasks, never returns
//     auto sum = session.task(add).remote(1, 2);
//     std::cout << session.get(session.task(add).remote(sum, 39));
//   }
#pragma once

#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sundog/calls.h"
#include "sundog/environment.h"
#include "sundog/remote.h"
#include "sundog/stream.h"
#include "sundog/until.h"

namespace sundog {

#ifndef SUNDOG_DAEMON_PROGRAM  // the CMake package says where it lies
#define SUNDOG_DAEMON_PROGRAM ""
#endif

struct InitOptions {
  std::string address;       // socket of a running session; empty: start one
  double num_cpus = 0;       // 0: what the machine has
  uint64_t store_bytes = 0;  // 0: a share of the memory
  std::string name_space;    // of names of actors; empty: one that is this program's alone
  std::string worker;        // program that runs C++ tasks, in as many processes as they need
  std::string python;        // interpreter with the sundog package: for tasks and actors in Python
  std::string daemon = SUNDOG_DAEMON_PROGRAM;  // empty: sundogd beside this program, or in PATH
  RuntimeEnv runtime_env = {};                 // of all tasks and actors, which may ask for more
};

// How a task is ended.
struct CancelOptions {
  bool force = false;          // kills the worker of one that runs
  bool recursive = true;       // with what the task submitted
  Seconds grace = Seconds(0);  // with force: how long one that runs has to end by itself
};

// How a task runs.
struct TaskOptions {
  double num_cpus = 1;
  double num_gpus = 0;
  std::map<std::string, double> resources = {};  // custom ones
  std::string name = {};          // in messages and the timeline; empty: the function's
  int max_retries = 3;            // after its worker died; -1: without end
  bool retry_exceptions = false;  // and after it threw
  uint32_t stream_items = 0;    // of a generator: it waits while so many are not taken; 0: no limit
  RuntimeEnv runtime_env = {};  // what its worker has besides the session's
  auto operator<=>(const TaskOptions&) const = default;
};

namespace detail {

// What wait() takes in any mixture: a reference, or a stream, which is ready when its next() would
// not wait.
struct Waitable {
  template <typename T>
  Waitable(const ObjectRef<T>& ref) : reference(ref.reference()) {}
  template <typename T>
  Waitable(const Stream<T>& stream) : reference(stream.reference()), is_stream(true) {}
  ReferencePtr reference;
  bool is_stream = false;
};

// What the daemon calls: templates are made for it once a session.
struct TaskKind {
  std::string function;
  bool python = false;
  std::shared_ptr<const TaskOptions> options = {};  // null: the defaults
  bool streams = false;                             // it is a generator
  bool parts = false;                               // its one result is a part of what it returns

  // By what the options are, not where they lie.
  std::partial_ordering operator<=>(const TaskKind& other) const {
    const auto order = std::tie(function, python, streams, parts) <=>
                       std::tie(other.function, other.python, other.streams, other.parts);
    if (order != 0 || options == other.options) return order;
    if (options == nullptr) return std::partial_ordering::less;
    if (other.options == nullptr) return std::partial_ordering::greater;
    return *options <=> *other.options;
  }
};

// Options of a function in Python or C++ as a TaskKind has them: checked, and the same wherever
// this process goes to. Throws TypeError.
std::shared_ptr<const TaskOptions> checked_options(const std::string& function, bool python,
                                                   TaskOptions options);
uint32_t template_of(SessionCore* core, const TaskKind& kind);
// The same for a registered function with its defaults; `name` is the registration's own.
uint32_t template_of(SessionCore* core, const char* name, bool streams);
ReferencePtr put(SessionCore* core, const Value& value);
Value get_one(SessionCore* core, const ReferencePtr& reference, const Until& until);
// Gives each value to `take`, in order.
void get(SessionCore* core, std::span<Reference* const> references, const Until& until,
         const std::function<void(const Value&)>& take);
// Waits for all and writes them to `out`. False if one is no such number: then it is to be got.
bool get_numbers(SessionCore* core, std::span<Reference* const> references, const Until& until,
                 int64_t* out);
bool get_numbers(SessionCore* core, std::span<Reference* const> references, const Until& until,
                 double* out);
template <typename T>
constexpr bool kIsNumber = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
template <typename T>
using WideOf = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
template <typename T>
T narrowed(WideOf<T> wide) {
  if constexpr (std::is_integral_v<T>) {
    return Convert<T>::narrowed(wide);
  } else {
    return static_cast<T>(wide);
  }
}
template <typename T>
bool get_all_numbers(SessionCore* core, std::span<Reference* const> references, const Until& until,
                     std::vector<T>* results) {
  if constexpr (std::is_same_v<T, WideOf<T>>) {
    results->resize(references.size());
    if (get_numbers(core, references, until, results->data())) return true;
    results->clear();
    return false;
  } else {
    std::vector<WideOf<T>> wide;
    if (!get_all_numbers(core, references, until, &wide)) return false;
    results->reserve(wide.size());
    for (WideOf<T> each : wide) results->push_back(narrowed<T>(each));
    return true;
  }
}
std::vector<bool> wait(SessionCore* core, std::span<Reference* const> references, size_t num_ready,
                       const Until& until);
std::vector<size_t> wait_mixed(SessionCore* core, std::span<const Waitable> things,
                               size_t num_ready, const Until& until);
void check_cancel(SessionCore* core, const ReferencePtr& reference, const CancelOptions& options);
void send_cancel(SessionCore* core, const ReferencePtr& reference, const CancelOptions& options);

// Ends a task when a token is stopped.
struct Canceller {
  std::shared_ptr<SessionCore> core;
  ReferencePtr reference;
  CancelOptions options;
  void operator()() const noexcept {
    try {
      send_cancel(core.get(), reference, options);
    } catch (const Error&) {
      // The session is over, and the task with it.
    }
  }
};

template <typename T>
T result_of(const Value& value) {
  static_assert(!View<T>, "get() cannot return a view: ask for a TensorView, string or vector");
  if constexpr (!std::is_void_v<T>) return Convert<T>::from(value);
}

// Whether a call with this result is one that submit_plain() makes.
template <typename Result, typename Params, typename Given>
constexpr bool kIsPlainCall = false;
template <typename Result, typename... Params, typename... Args>
  requires(sizeof...(Params) == sizeof...(Args) &&
           requires { requires Outcome<Result>::kIsOneReference; })
constexpr bool kIsPlainCall<Result, Types<Params...>, Types<Args...>> =
    (is_plain<std::decay_t<Params>, std::decay_t<const Args>>() && ...);

// Submits a call whose arguments the compiler checks.
template <typename Result, typename... Params, typename... Args>
OutcomeOf<Result> submit_typed(const std::shared_ptr<SessionCore>& core, uint32_t number,
                               uint32_t count, Reference* actor, Types<Params...>,
                               const Args&... args) {
  static_assert(sizeof...(Args) == sizeof...(Params),
                "the function takes another number of arguments");
  if constexpr (sizeof...(Args) == sizeof...(Params)) {
    static_assert((fits<std::decay_t<const Args>, std::decay_t<Params>>() && ...),
                  "an argument does not fit the function's parameter");
    if constexpr (kIsPlainCall<Result, Types<Params...>, Types<Args...>>) {
      const std::array<PlainArgument, sizeof...(Args)> plain{
          plain_argument<std::decay_t<Params>>(args)...};
      return OutcomeOf<Result>(submit_plain(core.get(), number, plain, actor));
    } else {
      const std::array<Value, sizeof...(Args)> values{argument_for<std::decay_t<Params>>(args)...};
      return Outcome<Result>::submit(core, number, {values}, count, actor);
    }
  } else {
    return {};
  }
}
// The same with arguments of any type, by name too.
template <typename Result, typename... Args>
OutcomeOf<Result> submit_given(const std::shared_ptr<SessionCore>& core, uint32_t number,
                               uint32_t count, Reference* actor, const Args&... args) {
  if constexpr (kIsPlainCall<Result, Types<Args...>, Types<Args...>>) {
    const std::array<PlainArgument, sizeof...(Args)> plain{
        plain_argument<std::decay_t<const Args>>(args)...};
    return OutcomeOf<Result>(submit_plain(core.get(), number, plain, actor));
  } else {
    GivenArguments<Args...> given(args...);
    return Outcome<Result>::submit(core, number, given, count, actor);
  }
}

}  // namespace detail

// A remote function known by its name, and how to run it.
template <typename Result>
class Task {
 public:
  Task(std::shared_ptr<detail::SessionCore> core, detail::TaskKind kind, uint32_t count = 1)
      : core_(std::move(core)),
        kind_(std::move(kind)),
        number_(detail::template_of(core_.get(), kind_)),
        count_(count) {}
  Task options(TaskOptions options) const {
    detail::TaskKind kind = kind_;
    kind.options = detail::checked_options(kind.function, kind.python, std::move(options));
    return {core_, std::move(kind), count_};
  }
  // Its result's parts as results of their own, of a function that returns a tuple, pair or array
  // of so many: remote() gives a tuple, pair or array of references.
  template <size_t kCount>
  auto num_returns() const {
    static_assert(detail::has_parts<kCount, std::decay_t<Result>>(),
                  "the result is no tuple, pair or array of so many");
    return with_count(kCount);
  }
  // The same of a function that returns a vector of `count`: remote() gives a vector of references.
  // One, too, is a reference to the element.
  auto num_returns(size_t count) const {
    static_assert(detail::kIsVector<std::decay_t<Result>>, "the result is no std::vector");
    return with_count(detail::checked_count(count));
  }
  // Arguments by value, or references to values that are waited for and delivered; those of Python
  // by name too (sundog/calls.h).
  template <typename... Args>
  detail::OutcomeOf<Result> remote(const Args&... args) const {
    if (detail::GivenArguments<Args...>::kNamed > 0 && !kind_.python) {
      detail::throw_named_in_cpp(kind_.function);
    }
    return detail::submit_given<Result>(core_, number_, count_, nullptr, args...);
  }

 private:
  auto with_count(uint32_t count) const {
    detail::TaskKind kind = kind_;
    kind.parts = count == 1;
    return Task<detail::Parts<std::decay_t<Result>>>(core_, std::move(kind), count);
  }

  std::shared_ptr<detail::SessionCore> core_;
  detail::TaskKind kind_;
  uint32_t number_;
  uint32_t count_;  // of results
};

// A registered function: arguments are checked by the compiler.
template <typename Result, typename... Params>
class TypedTask {
 public:
  TypedTask(std::shared_ptr<detail::SessionCore> core, const char* name)
      : core_(std::move(core)),
        name_(name),
        number_(detail::template_of(core_.get(), name, kStreams)) {}
  TypedTask(std::shared_ptr<detail::SessionCore> core, const char* name, uint32_t number,
            uint32_t count)
      : core_(std::move(core)), name_(name), number_(number), count_(count) {}
  TypedTask options(TaskOptions options) const {
    TypedTask other = *this;
    const bool parts = detail::kIsParts<Result> && count_ == 1;
    auto checked = detail::checked_options(name_, false, std::move(options));
    other.number_ =
        detail::template_of(core_.get(), {name_, false, std::move(checked), kStreams, parts});
    return other;
  }
  // Its result's parts as results of their own, of a function that returns a tuple, pair or array
  // of so many: remote() gives a tuple, pair or array of references.
  template <size_t kCount>
  auto num_returns() const {
    static_assert(detail::has_parts<kCount, std::decay_t<Result>>(),
                  "the result is no tuple, pair or array of so many");
    return with_count<detail::Parts<std::decay_t<Result>>>(kCount);
  }
  // The same of a function that returns a vector of `count`: remote() gives a vector of references.
  // One, too, is a reference to the element.
  auto num_returns(size_t count) const {
    static_assert(detail::kIsVector<std::decay_t<Result>>, "the result is no std::vector");
    return with_count<detail::Parts<std::decay_t<Result>>>(detail::checked_count(count));
  }
  template <typename... Args>
  detail::OutcomeOf<Result> remote(const Args&... args) const {
    return detail::submit_typed<Result>(core_, number_, count_, nullptr, detail::Types<Params...>(),
                                        args...);
  }

 private:
  static constexpr bool kStreams = detail::kIsGenerator<std::decay_t<Result>>;
  template <typename Parts>
  TypedTask<Parts, Params...> with_count(uint32_t count) const {
    return {core_, name_, detail::template_of_parts(core_.get(), number_, count), count};
  }

  std::shared_ptr<detail::SessionCore> core_;
  const char* name_;
  uint32_t number_;
  uint32_t count_ = 1;  // of results
};

template <typename Class>
class ActorClass;
template <typename Class = void>
class ActorHandle;

class Session {
 public:
  explicit Session(std::shared_ptr<detail::SessionCore> core) : core_(std::move(core)) {}

  // A function that SUNDOG_REMOTE registered in this program. Throws Error if it was not.
  template <typename Result, typename... Params>
  auto task(Result (*function)(Params...)) {
    return typed<Result>(detail::name_of_remote(function), detail::GivenOf<Params...>());
  }
  // A function that a C++ worker registered under this name.
  template <typename Result>
  Task<Result> task(std::string name) {
    return {core_, {std::move(name), false, {}, detail::kIsGenerator<Result>}};
  }
  // A Python function: "package.module:function".
  template <typename Result>
  Task<Result> python_task(std::string name) {
    return {core_, {std::move(name), true, {}, detail::kIsGenerator<Result>}};
  }
  // Actors: sundog/actor.h.
  template <typename Class>
  ActorClass<Class> actor();
  ActorClass<void> actor(std::string class_name);
  ActorClass<void> python_actor(std::string name);
  template <typename Class = void>
  ActorHandle<Class> get_actor(const std::string& name, const std::string& name_space = {});

  template <typename T>
  ObjectRef<T> put(const T& value) {
    return ObjectRef<T>(detail::put(core_.get(), Convert<T>::to(value)));
  }
  // Waits for the value. Throws what its task threw, GetTimeoutError, or StoppedError; in a task
  // that is cancelled meanwhile TaskCancelledError.
  template <typename T>
  T get(const ObjectRef<T>& ref, const Until& until = {}) {
    if constexpr (detail::kIsNumber<T>) {
      detail::Reference* const reference = ref.reference().get();
      detail::WideOf<T> wide{};
      if (detail::get_numbers(core_.get(), {&reference, 1}, until, &wide)) {
        return detail::narrowed<T>(wide);
      }
    }
    return detail::result_of<T>(detail::get_one(core_.get(), ref.reference(), until));
  }
  template <typename T>
    requires(!std::is_void_v<T>)
  std::vector<T> get(const std::vector<ObjectRef<T>>& refs, const Until& until = {}) {
    std::vector<T> results;
    const std::vector<detail::Reference*> references = references_of(refs);
    if constexpr (detail::kIsNumber<T>) {
      if (detail::get_all_numbers(core_.get(), references, until, &results)) return results;
    }
    results.reserve(refs.size());
    auto take = [&results](const detail::Value& value) {
      results.push_back(detail::result_of<T>(value));
    };
    detail::get(core_.get(), references, until, take);
    return results;
  }
  // Waits for all; their values are not looked at, what they threw is thrown.
  void get(const std::vector<ObjectRef<void>>& refs, const Until& until = {}) {
    detail::get(core_.get(), references_of(refs), until, [](const detail::Value&) {});
  }
  // {ready, not ready}, each in the input's order; of more than `num_ready` the earliest completed.
  template <typename T>
  std::pair<std::vector<ObjectRef<T>>, std::vector<ObjectRef<T>>> wait(
      const std::vector<ObjectRef<T>>& refs, size_t num_ready = 1, const Until& until = {}) {
    std::vector<bool> ready = detail::wait(core_.get(), references_of(refs), num_ready, until);
    std::pair<std::vector<ObjectRef<T>>, std::vector<ObjectRef<T>>> lists;
    for (size_t i = 0; i < refs.size(); ++i) {
      (ready[i] ? lists.first : lists.second).push_back(refs[i]);
    }
    return lists;
  }
  // References and streams in any mixture: the positions of those that are ready, in order, at most
  // `num_ready`. A stream is ready when its next() would not wait: also when it is over.
  std::vector<size_t> wait(const std::vector<detail::Waitable>& things, size_t num_ready = 1,
                           const Until& until = {}) {
    return detail::wait_mixed(core_.get(), things, num_ready, until);
  }
  template <typename T>
  std::vector<size_t> wait(const std::vector<Stream<T>>& streams, size_t num_ready = 1,
                           const Until& until = {}) {
    return wait(std::vector<detail::Waitable>(streams.begin(), streams.end()), num_ready, until);
  }

  // Ends the task that makes this object: get then throws TaskCancelledError. One that waits never
  // runs; one that runs is told by its std::stop_token, or in Python by a KeyboardInterrupt; one
  // that has finished stays as it is. Throws Error for what no task makes, for a grace without
  // force, and for force with a call of an actor.
  template <typename T>
  void cancel(const ObjectRef<T>& ref, const CancelOptions& options = {}) {
    detail::check_cancel(core_.get(), ref.reference(), options);
    detail::send_cancel(core_.get(), ref.reference(), options);
  }
  // The same as soon as `stop` is stopped, by the thread that stops it, while the result lives.
  template <typename T>
  [[nodiscard]] std::stop_callback<detail::Canceller> cancel_on(std::stop_token stop,
                                                                const ObjectRef<T>& ref,
                                                                const CancelOptions& options = {}) {
    detail::check_cancel(core_.get(), ref.reference(), options);
    return std::stop_callback<detail::Canceller>(
        std::move(stop), detail::Canceller{core_, ref.reference(), options});
  }
  // Of the task or actor's call that this process runs: stopped when it is cancelled. Never
  // stopped elsewhere.
  std::stop_token stop_token() const;

  // Where others join: InitOptions::address, or a worker's --address.
  const std::string& address() const;
  // Ends the session if init started it. Values that were got stay readable.
  void shutdown();

  const std::shared_ptr<detail::SessionCore>& core() const { return core_; }

 private:
  template <typename Result, typename... Params>
  TypedTask<Result, Params...> typed(const char* name, detail::Types<Params...>) const {
    return {core_, name};
  }
  template <typename T>
  static std::vector<detail::Reference*> references_of(const std::vector<ObjectRef<T>>& refs) {
    std::vector<detail::Reference*> references;
    references.reserve(refs.size());
    for (const ObjectRef<T>& ref : refs) references.push_back(ref.reference().get());
    return references;
  }

  std::shared_ptr<detail::SessionCore> core_;
};

// Starts a session, or joins the one at options.address. Throws NotConnectedError.
Session init(const InitOptions& options = {});
// The same for a program that is its own worker: tasks run in further processes of it, which do not
// come back from this call. Put it first in main.
Session init(int argc, char** argv, InitOptions options = {});

}  // namespace sundog
