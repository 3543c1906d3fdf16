// Actors: objects that live in processes of their own. The actor ends when no handle is left, after
// the calls that were made.
//
//   auto counter = session.actor<Counter>().options({.name = "hits"}).remote(10);
//   auto sum = counter.call(&Counter::add).remote(5);                  // ObjectRef<int64_t>
//   auto other = session.python_actor("stats:Tracker").remote();       // a class of Python
//   auto mean = other.call<double>("mean").remote(sum);
//   session.get_actor<Counter>("hits").kill();
#pragma once

#include <optional>

#include "sundog/session.h"

namespace sundog {

// How an actor is made and lives.
struct ActorOptions {
  std::optional<double> num_cpus = {};           // not given: 1 to be placed, 0 while it lives
  double num_gpus = 0;                           // while it lives
  std::map<std::string, double> resources = {};  // custom ones, while it lives
  std::string name = {};                         // found by get_actor
  std::string name_space = {};                   // of the name; empty: the session's own
  bool get_if_exists = false;                    // the actor that has the name, if there is one
  bool detached = false;                         // lives until it is killed
  int max_restarts = 0;                          // of its process; -1: without end
  int max_task_retries = 0;                      // of a call whose process died
  RuntimeEnv runtime_env = {};                   // what its process has besides the session's
};

// How one method is called.
struct MethodOptions {
  std::string name = {};                     // in messages and the timeline; empty: Class.method
  std::optional<int> max_task_retries = {};  // not given: the actor's
  uint32_t stream_items = 0;  // of a generator: it waits while so many are not taken; 0: no limit
};

namespace detail {

struct ActorKind {
  std::string class_name;  // registered by C++, or "module:Class" of Python
  bool python = false;
  ActorOptions options = {};
};
// Options of a class in Python or C++: checked, the same wherever this process goes to, and its
// folder copied. Throws TypeError.
ActorOptions checked_options(SessionCore* core, const std::string& class_name, bool python,
                             ActorOptions options);
std::shared_ptr<const Handle> make_actor(SessionCore* core, const ActorKind& kind,
                                         const Arguments& arguments);
std::shared_ptr<const Handle> find_actor(SessionCore* core, const std::string& name,
                                         const std::string& name_space);
uint32_t method_template(SessionCore* core, const Handle& handle, std::string_view method,
                         bool streams, const MethodOptions& options = {});
void kill_actor(SessionCore* core, const Handle& handle, bool no_restart);
const char* checked_actor_name(const char* name);

}  // namespace detail

// A method by its name, to be called.
template <typename Result>
class ActorMethod {
 public:
  ActorMethod(std::shared_ptr<detail::SessionCore> core,
              std::shared_ptr<const detail::Handle> handle, std::string name, uint32_t number,
              uint32_t count = 1)
      : core_(std::move(core)),
        handle_(std::move(handle)),
        name_(std::move(name)),
        number_(number),
        count_(count) {}
  ActorMethod options(const MethodOptions& options) const {
    constexpr bool kStreams = detail::kIsGenerator<std::decay_t<Result>>;
    uint32_t number = detail::method_template(core_.get(), *handle_, name_, kStreams, options);
    if (detail::kIsParts<Result>) number = detail::template_of_parts(core_.get(), number, count_);
    return {core_, handle_, name_, number, count_};
  }
  // As of a task (sundog/session.h).
  template <size_t kCount>
  auto num_returns() const {
    static_assert(detail::has_parts<kCount, std::decay_t<Result>>(),
                  "the result is no tuple, pair or array of so many");
    return with_count(kCount);
  }
  auto num_returns(size_t count) const {
    static_assert(detail::kIsVector<std::decay_t<Result>>, "the result is no std::vector");
    return with_count(detail::checked_count(count));
  }
  template <typename... Args>
  detail::OutcomeOf<Result> remote(const Args&... args) const {
    return detail::submit_given<Result>(core_, number_, count_, handle_->actor.get(), args...);
  }

 private:
  auto with_count(uint32_t count) const {
    return ActorMethod<detail::Parts<std::decay_t<Result>>>(
        core_, handle_, name_, detail::template_of_parts(core_.get(), number_, count), count);
  }

  std::shared_ptr<detail::SessionCore> core_;
  std::shared_ptr<const detail::Handle> handle_;
  std::string name_;
  uint32_t number_;
  uint32_t count_;  // of results
};

// A method of a class that this program knows: arguments are checked by the compiler.
template <typename Result, typename... Params>
class TypedMethod {
 public:
  TypedMethod(std::shared_ptr<detail::SessionCore> core,
              std::shared_ptr<const detail::Handle> handle, const char* name, uint32_t number,
              uint32_t count = 1)
      : core_(std::move(core)),
        handle_(std::move(handle)),
        name_(name),
        number_(number),
        count_(count) {}
  TypedMethod options(const MethodOptions& options) const {
    constexpr bool kStreams = detail::kIsGenerator<std::decay_t<Result>>;
    uint32_t number = detail::method_template(core_.get(), *handle_, name_, kStreams, options);
    if (detail::kIsParts<Result>) number = detail::template_of_parts(core_.get(), number, count_);
    return {core_, handle_, name_, number, count_};
  }
  template <size_t kCount>
  auto num_returns() const {
    static_assert(detail::has_parts<kCount, std::decay_t<Result>>(),
                  "the result is no tuple, pair or array of so many");
    return with_count<detail::Parts<std::decay_t<Result>>>(kCount);
  }
  auto num_returns(size_t count) const {
    static_assert(detail::kIsVector<std::decay_t<Result>>, "the result is no std::vector");
    return with_count<detail::Parts<std::decay_t<Result>>>(detail::checked_count(count));
  }
  template <typename... Args>
  detail::OutcomeOf<Result> remote(const Args&... args) const {
    return detail::submit_typed<Result>(core_, number_, count_, handle_->actor.get(),
                                        detail::Types<Params...>(), args...);
  }

 private:
  template <typename Parts>
  TypedMethod<Parts, Params...> with_count(uint32_t count) const {
    return {core_, handle_, name_, detail::template_of_parts(core_.get(), number_, count), count};
  }

  std::shared_ptr<detail::SessionCore> core_;
  std::shared_ptr<const detail::Handle> handle_;
  const char* name_;
  uint32_t number_;
  uint32_t count_;  // of results
};

// Refers to an actor; void: one of Python, or of a class that this program does not know. Handles
// are arguments and results like any value; one that came inside a value needs `in(session)`.
template <typename Class>
class ActorHandle {
 public:
  ActorHandle() = default;
  ActorHandle(std::shared_ptr<detail::SessionCore> core,
              std::shared_ptr<const detail::Handle> handle)
      : core_(std::move(core)), handle_(std::move(handle)) {}
  // The same handle, to be used in this session.
  ActorHandle in(const Session& session) const { return {session.core(), handle_}; }
  explicit operator bool() const { return handle_ != nullptr; }

  template <typename Method>
    requires std::is_member_function_pointer_v<Method>
  auto call(Method method) const {
    using Type = detail::MethodOf<Method>;
    static_assert(std::is_base_of_v<typename Type::ClassType, Class>,
                  "the method belongs to another class");
    const char* name = detail::registered_name(method, "the method", "SUNDOG_ACTOR(Class, ...)");
    using Result = typename Type::ResultType;
    constexpr bool kStreams = detail::kIsGenerator<Result>;
    const uint32_t number = detail::method_template(&core(), *handle_, name, kStreams);
    return typed<Result>(name, number, typename Type::Parameters::Given());
  }
  template <typename Result>
  ActorMethod<Result> call(std::string_view method) const {
    return {core_, handle_, std::string(method),
            detail::method_template(&core(), *handle_, method, detail::kIsGenerator<Result>)};
  }
  // Ends its process at once; with `no_restart` false it comes back if it has restarts left.
  void kill(bool no_restart = true) const { detail::kill_actor(&core(), *handle_, no_restart); }

  const std::shared_ptr<const detail::Handle>& handle() const { return handle_; }

 private:
  detail::SessionCore& core() const {
    if (core_ == nullptr || handle_ == nullptr) {
      throw NotConnectedError("this handle belongs to no session yet: use handle.in(session)");
    }
    return *core_;
  }
  template <typename Result, typename... Params>
  TypedMethod<Result, Params...> typed(const char* name, uint32_t number,
                                       detail::Types<Params...>) const {
    return {core_, handle_, name, number};
  }

  std::shared_ptr<detail::SessionCore> core_;
  std::shared_ptr<const detail::Handle> handle_;
};

template <typename Class>
struct Convert<ActorHandle<Class>> {
  static detail::Value to(const ActorHandle<Class>& v) { return {v.handle(), nullptr}; }
  static ActorHandle<Class> from(const detail::Value& v) {
    return {nullptr, detail::content_of<std::shared_ptr<const detail::Handle>>(v, "an actor")};
  }
};

// A class whose objects are actors.
template <typename Class>
class ActorClass {
 public:
  ActorClass(std::shared_ptr<detail::SessionCore> core, detail::ActorKind kind)
      : core_(std::move(core)), kind_(std::move(kind)) {}
  ActorClass options(ActorOptions options) const {
    detail::ActorKind kind{kind_.class_name, kind_.python, {}};
    kind.options =
        detail::checked_options(core_.get(), kind.class_name, kind.python, std::move(options));
    return {core_, std::move(kind)};
  }
  // Arguments are the constructor's. Returns at once: a constructor that throws ends the actor,
  // and what it threw is in the ActorDiedError of every call. Throws ActorNameError if the name is
  // taken.
  template <typename... Args>
  ActorHandle<Class> remote(const Args&... args) const {
    detail::GivenArguments<Args...> given(args...);
    if (given.kNamed > 0 && !kind_.python) detail::throw_named_in_cpp(kind_.class_name);
    return {core_, detail::make_actor(core_.get(), kind_, given)};
  }

 private:
  std::shared_ptr<detail::SessionCore> core_;
  detail::ActorKind kind_;
};

template <typename Class>
ActorClass<Class> Session::actor() {
  return {core_, {detail::checked_actor_name(detail::name_of_actor_type<Class>()), false}};
}
// A class that a C++ worker registered under this name.
inline ActorClass<void> Session::actor(std::string class_name) {
  return {core_, {std::move(class_name), false}};
}
// A class of Python: "package.module:Class".
inline ActorClass<void> Session::python_actor(std::string name) {
  return {core_, {std::move(name), true}};
}
// Ends the actor that calls it, for good: the call that runs results in nothing, those behind it
// fail with ActorDiedError. Throws Error in a process that is no actor.
[[noreturn]] void exit_actor();

// The actor of this name. Throws ActorNameError if there is none.
template <typename Class>
ActorHandle<Class> Session::get_actor(const std::string& name, const std::string& name_space) {
  return {core_, detail::find_actor(core_.get(), name, name_space)};
}

}  // namespace sundog
