// What a call is given and what it gives back: arguments by position and, in Python, by name; one
// reference, or one for each part of the result.
//
//   session.python_task<std::vector<int64_t>>("builtins:sorted")
//       .remote(numbers, sundog::named("reverse", true));
//   auto [quotient, rest] = session.task(divide).num_returns<2>().remote(17, 5);  // two references
//   std::vector<Ref<double>> rows = session.task(split).num_returns(n).remote(image);
#pragma once

#include <array>
#include <string_view>

#include "sundog/ref.h"

namespace sundog {

// An argument by its name. Made for one call: `value` outlives it.
template <typename T>
struct Named {
  std::string_view name;
  const T& value;
};
// Goes behind the arguments by position. For what is in Python: functions of C++ have no names for
// their parameters, and refuse it.
template <typename T>
Named<T> named(std::string_view name, const T& value) {
  return {name, value};
}

namespace detail {

class SessionCore;  // src/api

struct Arguments {
  std::span<const Value> values;
  std::span<const std::string_view> names = {};  // of the last ones
};
ReferencePtr submit(SessionCore* core, uint32_t number, const Arguments& arguments,
                    Reference* actor = nullptr);
// The same for what most calls are given: numbers and references by position, without a Value for
// each.
struct PlainArgument {
  enum class Kind : uint8_t { kBool, kInt64, kFloat64, kReference };
  Kind kind;
  union {
    bool flag;
    int64_t whole;
    double real;
    Reference* reference;
  };
};
ReferencePtr submit_plain(SessionCore* core, uint32_t number,
                          std::span<const PlainArgument> arguments, Reference* actor = nullptr);
std::vector<ReferencePtr> submit_several(SessionCore* core, uint32_t number,
                                         const Arguments& arguments, Reference* actor,
                                         uint32_t count);
[[noreturn]] void throw_named_in_cpp(const std::string& function);
// The number of results that a call asks for. Throws TypeError for too many.
uint32_t checked_count(size_t count);
// The template of a call for `count` parts. A count of 1 alone means the result as a whole: the
// part of one is another template, with the same options.
uint32_t template_of_parts(SessionCore* core, uint32_t number, uint32_t count);

template <typename T>
struct IsNamed : std::false_type {};
template <typename T>
struct IsNamed<Named<T>> : std::true_type {};

// Whether an argument for a parameter of type Param is sent as a PlainArgument.
template <typename Param, typename Arg>
constexpr bool is_plain() {
  if constexpr (std::is_arithmetic_v<Param> && std::is_arithmetic_v<Arg>) {
    return true;
  } else {
    return requires { typename RefTarget<Arg>::Type; };
  }
}
template <typename Param, typename Arg>
PlainArgument plain_argument(const Arg& argument) {
  using Kind = PlainArgument::Kind;
  if constexpr (std::is_same_v<Param, bool> && std::is_arithmetic_v<Arg>) {
    return {.kind = Kind::kBool, .flag = static_cast<bool>(argument)};
  } else if constexpr (std::is_integral_v<Param> && std::is_arithmetic_v<Arg>) {
    return {.kind = Kind::kInt64, .whole = Convert<Param>::widened(static_cast<Param>(argument))};
  } else if constexpr (std::is_arithmetic_v<Arg>) {
    return {.kind = Kind::kFloat64, .real = static_cast<double>(static_cast<Param>(argument))};
  } else {
    return {.kind = Kind::kReference, .reference = argument.reference().get()};
  }
}

// The arguments of one call as they are sent.
template <typename... Args>
class GivenArguments {
 public:
  static constexpr size_t kNamed = (size_t{0} + ... + (IsNamed<Args>::value ? 1 : 0));

  explicit GivenArguments(const Args&... args) : values_{value_of(args)...} {
    size_t next = 0;
    [[maybe_unused]] auto add = [&]<typename T>(const T& argument) {
      if constexpr (IsNamed<T>::value) names_[next++] = argument.name;
    };
    (add(args), ...);
    static_assert(named_are_last(), "arguments by name go behind those by position");
  }
  operator Arguments() const { return {values_, names_}; }

 private:
  static constexpr bool named_are_last() {
    constexpr std::array<bool, sizeof...(Args)> kinds{IsNamed<Args>::value...};
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != (i + kNamed >= kinds.size())) return false;
    }
    return true;
  }
  template <typename T>
  static Value value_of(const T& argument) {
    return Convert<std::decay_t<const T>>::to(argument);
  }
  template <typename T>
  static Value value_of(const Named<T>& argument) {
    return Convert<std::decay_t<const T>>::to(argument.value);
  }

  std::array<Value, sizeof...(Args)> values_;
  std::array<std::string_view, kNamed> names_;
};

// Marks a result of which each part is a reference of its own.
template <typename Tuple>
struct Parts;

// What calls of a function with this result give back.
template <typename Result>
struct Outcome {
  static constexpr bool kIsOneReference = true;
  using Type = ObjectRef<std::decay_t<Result>>;
  static Type submit(const std::shared_ptr<SessionCore>& core, uint32_t number,
                     const Arguments& arguments, uint32_t /*count*/, Reference* actor = nullptr) {
    return Type(detail::submit(core.get(), number, arguments, actor));
  }
};
template <typename Refs, typename... T>
struct OutcomeOfParts {
  using Type = Refs;
  static Type submit(const std::shared_ptr<SessionCore>& core, uint32_t number,
                     const Arguments& arguments, uint32_t /*count*/, Reference* actor = nullptr) {
    auto made = submit_several(core.get(), number, arguments, actor, sizeof...(T));
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return Refs{ObjectRef<T>(std::move(made[I]))...};
    }(std::index_sequence_for<T...>());
  }
};
template <typename... T>
struct Outcome<Parts<std::tuple<T...>>> : OutcomeOfParts<std::tuple<ObjectRef<T>...>, T...> {};
template <typename A, typename B>
struct Outcome<Parts<std::pair<A, B>>>
    : OutcomeOfParts<std::pair<ObjectRef<A>, ObjectRef<B>>, A, B> {};
template <typename T, size_t N>
struct Outcome<Parts<std::array<T, N>>> {
  using Type = std::array<ObjectRef<T>, N>;
  static Type submit(const std::shared_ptr<SessionCore>& core, uint32_t number,
                     const Arguments& arguments, uint32_t /*count*/, Reference* actor = nullptr) {
    auto made = submit_several(core.get(), number, arguments, actor, N);
    Type refs;
    for (size_t i = 0; i < N; ++i) refs[i] = ObjectRef<T>(std::move(made[i]));
    return refs;
  }
};
template <typename T>
struct Outcome<Parts<std::vector<T>>> {
  using Type = std::vector<ObjectRef<T>>;
  static Type submit(const std::shared_ptr<SessionCore>& core, uint32_t number,
                     const Arguments& arguments, uint32_t count, Reference* actor = nullptr) {
    auto made = submit_several(core.get(), number, arguments, actor, count);
    Type refs;
    refs.reserve(count);
    for (ReferencePtr& each : made) refs.emplace_back(std::move(each));
    return refs;
  }
};
template <typename Result>
constexpr bool kIsParts = false;
template <typename Tuple>
constexpr bool kIsParts<Parts<Tuple>> = true;
template <typename Result>
using OutcomeOf = typename Outcome<Result>::Type;

template <typename T>
constexpr bool kIsVector = false;
template <typename T>
constexpr bool kIsVector<std::vector<T>> = true;
template <size_t kCount, typename Result>
constexpr bool has_parts() {
  if constexpr (requires { std::tuple_size<Result>::value; }) {
    return std::tuple_size_v<Result> == kCount;
  } else {
    return false;
  }
}

}  // namespace detail
}  // namespace sundog
