// What can be sent, put and returned: bool, integers, floating point, strings, tensors, vectors of
// numbers (as one-dimensional tensors), and references. Convert<T> is the place to add a type.
#pragma once

#include <concepts>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sundog/tensor.h"

namespace sundog {

template <typename T>
class ObjectRef;

namespace detail {

class Reference;  // a counted reference, src/api

// A value on its way in or out; views live as long as what they were made of or `owner`.
struct Value {
  std::variant<std::monostate, bool, int64_t, double, std::string_view, TensorView,
               std::shared_ptr<Reference>>
      content;
  std::shared_ptr<const void> owner;
};

[[noreturn]] void throw_type_mismatch(const Value& value, const char* wanted);

template <typename T>
const T& content_of(const Value& value, const char* wanted) {
  if (const T* content = std::get_if<T>(&value.content)) return *content;
  throw_type_mismatch(value, wanted);
}

}  // namespace detail

template <typename T>
struct Convert;

template <>
struct Convert<bool> {
  static detail::Value to(bool v) { return {v, nullptr}; }
  static bool from(const detail::Value& v) { return detail::content_of<bool>(v, "a bool"); }
};
template <std::integral T>
struct Convert<T> {
  static detail::Value to(T v) { return {static_cast<int64_t>(v), nullptr}; }
  static T from(const detail::Value& v) {
    int64_t wide = detail::content_of<int64_t>(v, "an integer");
    if (!std::in_range<T>(wide)) {
      throw TypeError("the integer " + std::to_string(wide) + " does not fit the type asked for");
    }
    return static_cast<T>(wide);
  }
};
template <std::floating_point T>
struct Convert<T> {
  static detail::Value to(T v) { return {static_cast<double>(v), nullptr}; }
  static T from(const detail::Value& v) {
    if (const auto* whole = std::get_if<int64_t>(&v.content)) return static_cast<T>(*whole);
    return static_cast<T>(detail::content_of<double>(v, "a number"));
  }
};
template <>
struct Convert<std::string_view> {
  static detail::Value to(std::string_view v) { return {v, nullptr}; }
  // A view: for parameters of remote functions, which live as long as the call.
  static std::string_view from(const detail::Value& v) {
    return detail::content_of<std::string_view>(v, "a string");
  }
};
template <>
struct Convert<const char*> : Convert<std::string_view> {};
template <>
struct Convert<std::string> {
  static detail::Value to(const std::string& v) { return {std::string_view(v), nullptr}; }
  static std::string from(const detail::Value& v) {
    return std::string(detail::content_of<std::string_view>(v, "a string"));
  }
};
template <>
struct Convert<TensorView> {
  static detail::Value to(const TensorView& v) { return {v, v.owner}; }
  static TensorView from(const detail::Value& v) {
    return detail::content_of<TensorView>(v, "a tensor");
  }
};
template <Element T>
struct Convert<std::span<const T>> {
  static detail::Value to(std::span<const T> v) { return {TensorView::of(v), nullptr}; }
  static std::span<const T> from(const detail::Value& v) {  // a view, as above
    return detail::content_of<TensorView>(v, "a tensor").template as<T>();
  }
};
template <Element T>
  requires(!std::same_as<T, bool>)
struct Convert<std::vector<T>> {
  static detail::Value to(const std::vector<T>& v) {
    return {TensorView::of(std::span<const T>(v)), nullptr};
  }
  static std::vector<T> from(const detail::Value& v) {
    auto elements = detail::content_of<TensorView>(v, "a tensor").template as<T>();
    return {elements.begin(), elements.end()};
  }
};
template <typename T>
struct Convert<ObjectRef<T>> {
  static detail::Value to(const ObjectRef<T>& v) { return {v.reference(), nullptr}; }
};

}  // namespace sundog
