// A worker: a program whose functions run as tasks.
//
//   int64_t add(int64_t a, int64_t b) { return a + b; }
//   SUNDOG_REMOTE(add);
//   int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
//
// A function takes and returns what sundog/value.h can convert; what it throws is raised where
// its result is got. One that wants to submit tasks itself takes a sundog::Session& first.
#pragma once

#include <tuple>

#include "sundog/session.h"

namespace sundog {

// Runs tasks until the session ends: `--address PATH` names its socket. The exit code.
int worker_main(int argc, char** argv);

namespace detail {

// Gives the result away while it lives.
using Answer = void (*)(void* context, const Value& result);
using Invoke = void (*)(Session& session, std::span<const Value> arguments, Answer answer,
                        void* context);

struct Registration {
  Registration(const char* name, Invoke invoke);
};
[[noreturn]] void throw_argument_count(size_t given, size_t wanted);

template <typename Result, typename... Args>
void call(Result (*function)(Args...), std::span<const Value> arguments, Answer answer,
          void* context) {
  if (arguments.size() != sizeof...(Args)) {
    throw_argument_count(arguments.size(), sizeof...(Args));
  }
  auto invoke = [&]<size_t... I>(std::index_sequence<I...>) -> Result {
    return function(Convert<std::decay_t<Args>>::from(arguments[I])...);
  };
  if constexpr (std::is_void_v<Result>) {
    invoke(std::index_sequence_for<Args...>());
    answer(context, Value{});
  } else {
    std::decay_t<Result> result = invoke(std::index_sequence_for<Args...>());
    answer(context, Convert<std::decay_t<Result>>::to(result));
  }
}

template <auto kFunction>
struct Invoker {
  static void invoke(Session& session, std::span<const Value> arguments, Answer answer,
                     void* context) {
    dispatch(kFunction, session, arguments, answer, context);
  }

 private:
  template <typename Result, typename... Args>
  static void dispatch(Result (*)(Session&, Args...), Session& session,
                       std::span<const Value> arguments, Answer answer, void* context) {
    thread_local Session* current = nullptr;
    current = &session;
    call(
        +[](Args... args) -> Result { return kFunction(*current, std::forward<Args>(args)...); },
        arguments, answer, context);
  }
  template <typename Result, typename... Args>
  static void dispatch(Result (*function)(Args...), Session&, std::span<const Value> arguments,
                       Answer answer, void* context) {
    call(function, arguments, answer, context);
  }
};

}  // namespace detail
}  // namespace sundog

// Makes `function` callable from everywhere under its own name. At namespace scope.
#define SUNDOG_REMOTE(function)                                         \
  static const ::sundog::detail::Registration sundog_remote_##function( \
      #function, &::sundog::detail::Invoker<&function>::invoke)
