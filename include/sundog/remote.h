// What a program lets others call: SUNDOG_REMOTE(function) and SUNDOG_ACTOR(Class, methods...), at
// namespace scope of a source file.
//
//   SUNDOG_REMOTE(add);                    // session.task(add), in Python cpp_function("add")
//   SUNDOG_ACTOR(Counter, add, value);     // session.actor<Counter>(), cpp_actor_class("Counter")
//
// A function or method takes and returns what sundog/value.h can convert; what it throws is thrown
// where its result is got. One that wants to call others itself takes a sundog::Session& first; one
// that wants to know that it is cancelled takes a std::stop_token last. Nobody passes these two.
#pragma once

#include <stop_token>
#include <tuple>

#include "sundog/generator.h"
#include "sundog/ref.h"

namespace sundog {

class Session;

namespace detail {

// Gives the result away while it lives.
using Answer = void (*)(void* context, const Value& result);
// The same with the next item of a generator; false: nobody wants more.
using Yield = bool (*)(void* context, const Value& item);
// The generator is made: what is thrown from here on is its own.
using Begin = void (*)(void* context);
struct Call {
  Session& session;
  std::span<const Value> arguments;
  Answer answer;
  void* context;
  Yield yield = nullptr;  // of a call that wants what is yielded, like the next
  Begin begin = nullptr;
};
using Invoke = void (*)(const Call& call);
using InvokeMethod = void (*)(void* object, const Call& call);

struct ActorType {
  void* (*make)(const Call& call) = nullptr;
  void (*destroy)(void* object) = nullptr;
};

// The registries are filled before main and only read afterwards.
void register_function(const char* name, Invoke invoke);
void register_actor(const char* name, ActorType type);
void register_method(const char* class_name, const char* name, InvokeMethod invoke);

[[noreturn]] void throw_argument_count(size_t given, size_t wanted);
// What a generator is called for, if not for a stream, and the other way round.
[[noreturn]] void throw_generator();
[[noreturn]] void throw_no_generator();
[[noreturn]] void throw_no_constructor(size_t given);
[[noreturn]] void throw_not_registered(const char* what, const char* macro);

// Names of what has this type, by its address.
template <typename Pointer>
std::vector<std::pair<Pointer, const char*>>& names_of() {
  static std::vector<std::pair<Pointer, const char*>> names;
  return names;
}
template <typename Pointer>
const char* registered_name(Pointer pointer, const char* what, const char* macro) {
  for (const auto& [known, name] : names_of<Pointer>()) {
    if (known == pointer) return name;
  }
  throw_not_registered(what, macro);
}
template <typename Pointer>
const char* name_of_remote(Pointer function) {
  return registered_name(function, "the function", "SUNDOG_REMOTE(function)");
}
template <typename Class>
const char*& name_of_actor_type() {
  static const char* name = nullptr;
  return name;
}

// Of the call that runs.
std::stop_token stop_token_of(const Call& call);

template <typename... T>
struct Types {};
template <typename T>
constexpr bool kIsStop = std::is_same_v<std::remove_cvref_t<T>, std::stop_token>;

// Parameters without a std::stop_token at the end.
template <typename Kept, typename... Rest>
struct WithoutStop {
  using Given = Kept;
  static constexpr bool kStop = false;
  static constexpr bool kStopLives = true;
};
template <typename... Kept, typename Last>
struct WithoutStop<Types<Kept...>, Last> {
  using Given = std::conditional_t<kIsStop<Last>, Types<Kept...>, Types<Kept..., Last>>;
  static constexpr bool kStop = kIsStop<Last>;
  static constexpr bool kStopLives = !(kStop && std::is_reference_v<Last>);  // beyond the call
};
template <typename... Kept, typename First, typename Second, typename... Rest>
struct WithoutStop<Types<Kept...>, First, Second, Rest...>
    : WithoutStop<Types<Kept..., First>, Second, Rest...> {};

// A function's parameters: those that a caller gives, and what comes from the worker.
template <typename... All>
struct Parameters : WithoutStop<Types<>, All...> {
  static constexpr bool kSession = false;
};
template <typename... Rest>
struct Parameters<Session&, Rest...> : WithoutStop<Types<>, Rest...> {
  static constexpr bool kSession = true;
};
template <typename... All>
using GivenOf = typename Parameters<All...>::Given;

// f(arguments...) with what else its parameters ask for.
template <typename All, typename F, typename... Args>
decltype(auto) call_in_worker(const F& f, const Call& call, Args&&... args) {
  if constexpr (All::kSession && All::kStop) {
    return f(call.session, std::forward<Args>(args)..., stop_token_of(call));
  } else if constexpr (All::kSession) {
    return f(call.session, std::forward<Args>(args)...);
  } else if constexpr (All::kStop) {
    return f(std::forward<Args>(args)..., stop_token_of(call));
  } else {
    return f(std::forward<Args>(args)...);
  }
}

// Runs a generator to its end, or until nobody wants more. `Args` are the arguments' types: what it
// refers to lives here.
template <typename Result, typename All, typename F, typename... Args>
void stream_with(const F& f, const Call& call, Types<Args...>) {
  static_assert(All::kStopLives, "a generator takes its std::stop_token by value");
  if (call.yield == nullptr) throw_generator();
  [&]<size_t... I>(std::index_sequence<I...>) {
    std::tuple<std::decay_t<Args>...> values{
        Convert<std::decay_t<Args>>::from(call.arguments[I])...};
    Result items = call_in_worker<All>(f, call, static_cast<Args&&>(std::get<I>(values))...);
    call.begin(call.context);
    while (items.next()) {
      if (!call.yield(call.context, Convert<typename Result::Type>::to(items.value()))) break;
    }
  }(std::index_sequence_for<Args...>());
  call.answer(call.context, Value{});
}

// Calls f(arguments...) and hands its result over. `All` are its parameters, `Args` those given.
template <typename Result, typename All, typename F, typename... Args>
void call_with(const F& f, const Call& call, Types<Args...> given) {
  if (call.arguments.size() != sizeof...(Args)) {
    throw_argument_count(call.arguments.size(), sizeof...(Args));
  }
  auto invoke = [&]<size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
    return call_in_worker<All>(f, call, Convert<std::decay_t<Args>>::from(call.arguments[I])...);
  };
  if (!kIsGenerator<Result> && call.yield != nullptr) throw_no_generator();
  if constexpr (kIsGenerator<Result>) {
    stream_with<Result, All>(f, call, given);
  } else if constexpr (std::is_void_v<Result>) {
    invoke(std::index_sequence_for<Args...>());
    call.answer(call.context, Value{});
  } else {
    std::decay_t<Result> result = invoke(std::index_sequence_for<Args...>());
    call.answer(call.context, Convert<std::decay_t<Result>>::to(result));
  }
}

template <auto kFunction>
struct Invoker {
  static void invoke(const Call& call) { dispatch(kFunction, call); }

 private:
  template <typename Result, typename... Params>
  static void dispatch(Result (*function)(Params...), const Call& call) {
    call_with<Result, Parameters<Params...>>(function, call, GivenOf<Params...>());
  }
};

// What a method pointer is made of.
template <typename Class, typename Result, typename... All>
struct MethodType {
  using ClassType = Class;
  using ResultType = Result;
  using Parameters = detail::Parameters<All...>;
};
template <typename C, typename R, typename... A>
MethodType<C, R, A...> method_type(R (C::*)(A...));
template <typename C, typename R, typename... A>
MethodType<C, R, A...> method_type(R (C::*)(A...) const);
template <typename Pointer>
using MethodOf = decltype(method_type(std::declval<Pointer>()));

template <typename Class, auto kMethod>
struct MethodInvoker {
  static void invoke(void* object, const Call& call) {
    using Type = MethodOf<decltype(kMethod)>;
    auto method = [object](auto&&... args) -> typename Type::ResultType {
      return (static_cast<Class*>(object)->*kMethod)(std::forward<decltype(args)>(args)...);
    };
    call_with<typename Type::ResultType, typename Type::Parameters>(
        method, call, typename Type::Parameters::Given());
  }
};

// Becomes whatever type a constructor's parameter has, but the class itself.
template <typename Class>
struct AnyArgument {
  const Value& value;
  template <typename T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Class> && Receivable<T>)
  operator T() const {
    return Convert<T>::from(value);
  }
};

template <typename Class>
struct ActorMaker {
  static constexpr size_t kArgumentsMax = 8;
  static void* make(const Call& call) { return make_of<0>(call); }
  static void destroy(void* object) { delete static_cast<Class*>(object); }

 private:
  template <size_t>
  using Argument = AnyArgument<Class>;

  template <size_t N>
  static void* make_of(const Call& call) {
    if constexpr (N > kArgumentsMax) {
      throw_no_constructor(call.arguments.size());
    } else if (call.arguments.size() != N) {
      return make_of<N + 1>(call);
    } else {
      return [&]<size_t... I>(std::index_sequence<I...>) -> void* {
        if constexpr (std::is_constructible_v<Class, Session&, Argument<I>...>) {
          return new Class(call.session, Argument<I>{call.arguments[I]}...);
        } else if constexpr (std::is_constructible_v<Class, Argument<I>...>) {
          return new Class(Argument<I>{call.arguments[I]}...);
        } else {
          throw_no_constructor(N);
        }
      }(std::make_index_sequence<N>());
    }
  }
};

template <auto kFunction>
bool add_function(const char* name) {
  names_of<decltype(kFunction)>().emplace_back(kFunction, name);
  register_function(name, &Invoker<kFunction>::invoke);
  return true;
}

template <typename Class>
struct ActorRegistration {
  explicit ActorRegistration(const char* name) {
    name_of_actor_type<Class>() = name;
    register_actor(name, {&ActorMaker<Class>::make, &ActorMaker<Class>::destroy});
  }
  template <auto kMethod>
  ActorRegistration& add(const char* method) {
    names_of<decltype(kMethod)>().emplace_back(kMethod, method);
    register_method(name_of_actor_type<Class>(), method, &MethodInvoker<Class, kMethod>::invoke);
    return *this;
  }
};

}  // namespace detail
}  // namespace sundog

// Makes `function` callable from everywhere under the name written here.
#define SUNDOG_REMOTE(function)                                                  \
  [[maybe_unused]] static const bool SUNDOG_JOIN_(sundog_remote_, __COUNTER__) = \
      ::sundog::detail::add_function<&function>(#function)
// Makes actors of `Class`; its public constructors of up to 8 arguments, and the methods named.
#define SUNDOG_ACTOR(Class, ...)                                                \
  [[maybe_unused]] static const auto SUNDOG_JOIN_(sundog_actor_, __COUNTER__) = \
      ::sundog::detail::ActorRegistration<Class>(#Class)                        \
          SUNDOG_FOR_EACH_(SUNDOG_METHOD_, Class, __VA_ARGS__)
#define SUNDOG_METHOD_(Class, method) .template add<&Class::method>(#method)
