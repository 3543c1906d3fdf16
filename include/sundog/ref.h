// ObjectRef<T>: a reference to a value that a task makes or that was put. As an argument of a call
// it stands for its value, which the called function gets; inside a container or struct it stays a
// reference.
#pragma once

#include <memory>

#include "sundog/containers.h"

namespace sundog {

// Copies count; dropping is cheap. Any thread.
template <typename T>
class ObjectRef {
 public:
  using Type = T;
  ObjectRef() = default;
  explicit ObjectRef(detail::ReferencePtr reference) : reference_(std::move(reference)) {}
  const detail::ReferencePtr& reference() const { return reference_; }
  explicit operator bool() const { return reference_ != nullptr; }

 private:
  detail::ReferencePtr reference_;
};
template <typename T>
using Ref = ObjectRef<T>;

template <typename T>
struct Convert<ObjectRef<T>> {
  static detail::Value to(const ObjectRef<T>& v) { return {v.reference(), nullptr}; }
  static ObjectRef<T> from(const detail::Value& v) {
    return ObjectRef<T>(detail::content_of<detail::ReferencePtr>(v, "a reference inside a value"));
  }
};

namespace detail {

template <typename T>
struct RefTarget {};
template <typename T>
struct RefTarget<ObjectRef<T>> {
  using Type = T;
};

// Whether an argument of type Arg may be given for a parameter of type Param: it converts, or it is
// a reference to what converts.
template <typename Arg, typename Param>
constexpr bool fits() {
  if constexpr (requires { typename RefTarget<Arg>::Type; }) {
    using Target = typename RefTarget<Arg>::Type;
    if constexpr (std::is_void_v<Target>) {
      return true;  // of a type that only the run knows
    } else {
      return fits<Target, Param>();
    }
  } else {
    return std::is_convertible_v<Arg, Param> || std::is_constructible_v<Param, Arg> ||
           (std::is_same_v<Arg, AnyTensor> || std::is_same_v<Param, AnyTensor>);
  }
}

// Numbers are sent as the parameter's type; anything else as it is.
template <typename Param, typename Arg>
Value argument_for(const Arg& argument) {
  if constexpr (std::is_arithmetic_v<Param> && std::is_arithmetic_v<Arg>) {
    return Convert<Param>::to(static_cast<Param>(argument));
  } else {
    return Convert<std::decay_t<const Arg>>::to(argument);
  }
}

}  // namespace detail
}  // namespace sundog
