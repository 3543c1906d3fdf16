// Values: what can be sent, put and returned. Convert<T> is the place to add a type; containers and
// structs are in sundog/containers.h.
//
//   C++                          Python
//   bool, integers, floats       bool, int, float
//   std::string                  str (bytes if it is not UTF-8)
//   std::vector<std::byte>       bytes
//   vectors of numbers, TensorView<T>, AnyTensor   numpy arrays, read in place; lists are taken too
//   other vectors, std::array    list
//   std::map, std::unordered_map, structs with SUNDOG_FIELDS   dict
//   std::pair, std::tuple        tuple
//   std::optional                None or the value
//   ArrowTable, ArrowArray       pyarrow.Table, pyarrow.Array, read in place: sundog/arrow.h
//   ObjectRef<T>                 ObjectRef; as an argument of a call: its value
//   ActorHandle<C>               ActorHandle
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sundog/tensor.h"

namespace sundog {
namespace core {
struct ClientEntry;
}  // namespace core
namespace detail {

struct Value;

// An object that this process refers to: counted, and let go by its last user.
using Reference = core::ClientEntry;
void use(Reference* reference) noexcept;
void drop(Reference* reference) noexcept;

class ReferencePtr {
 public:
  ReferencePtr() = default;
  ReferencePtr(std::nullptr_t) {}
  explicit ReferencePtr(Reference* adopted) : reference_(adopted) {}  // takes one use over
  ReferencePtr(const ReferencePtr& other) : reference_(other.reference_) {
    if (reference_ != nullptr) use(reference_);
  }
  ReferencePtr(ReferencePtr&& other) noexcept
      : reference_(std::exchange(other.reference_, nullptr)) {}
  ReferencePtr& operator=(ReferencePtr other) noexcept {
    std::swap(reference_, other.reference_);
    return *this;
  }
  ~ReferencePtr() {
    if (reference_ != nullptr) drop(reference_);
  }
  Reference* get() const { return reference_; }
  Reference* operator->() const { return reference_; }
  bool operator==(std::nullptr_t) const { return reference_ == nullptr; }

 private:
  Reference* reference_ = nullptr;
};

struct Items {
  // kGenerated: references to what a call of num_returns="dynamic" yielded.
  enum class Kind : uint8_t { kList, kTuple, kSet, kDict, kGenerated };
  Kind kind = Kind::kList;
  std::vector<Value> values;  // of a dict: key, value, key, value, ...
};
struct Raw {  // bytes that are no text
  std::string_view bytes;
};
struct Handle {  // of an actor
  ReferencePtr actor;
  std::string description;  // what Python's handles know of the class
  int64_t max_task_retries = 0;
  std::string class_name = {};  // for messages; may be empty
};
struct ForeignCall;  // a call that Python will make: of Arrow's functions, see sundog/arrow.h
struct Unreadable {  // something of Python's that C++ cannot read
  std::string what;
};

// A value on its way in or out; views live as long as what they were made of or `owner`.
struct Value {
  std::variant<std::monostate, bool, int64_t, double, std::string_view, Raw, AnyTensor,
               ReferencePtr, std::shared_ptr<const Items>, std::shared_ptr<const Handle>,
               std::shared_ptr<const ForeignCall>, Unreadable>
      content;
  std::shared_ptr<const void> owner;
};

[[noreturn]] void throw_type_mismatch(const Value& value, const char* wanted);

template <typename T>
const T& content_of(const Value& value, const char* wanted) {
  if (const T* content = std::get_if<T>(&value.content)) return *content;
  throw_type_mismatch(value, wanted);
}
inline std::string_view text_of(const Value& value, const char* wanted) {
  if (const Raw* raw = std::get_if<Raw>(&value.content)) return raw->bytes;
  return content_of<std::string_view>(value, wanted);
}

}  // namespace detail

// to(): a Value that views its argument; from(): what it was. A type whose from() views the bytes
// that came has kIsView = true: it is for parameters, which live as long as the call.
template <typename T>
struct Convert;

template <typename T>
concept Sendable = requires(const T& v) { Convert<T>::to(v); };
template <typename T>
concept Receivable = requires(const detail::Value& v) { Convert<T>::from(v); };
template <typename T>
concept View = requires { requires Convert<T>::kIsView; };

template <>
struct Convert<bool> {
  static detail::Value to(bool v) { return {v, nullptr}; }
  static bool from(const detail::Value& v) { return detail::content_of<bool>(v, "a bool"); }
};
template <std::integral T>
struct Convert<T> {
  static detail::Value to(T v) { return {widened(v), nullptr}; }
  static T from(const detail::Value& v) {
    return narrowed(detail::content_of<int64_t>(v, "an integer"));
  }
  static int64_t widened(T v) {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t)) {
      if (v > INT64_MAX) {
        throw TypeError("the integer " + std::to_string(v) + " does not fit 64 bits with a sign");
      }
    }
    return static_cast<int64_t>(v);
  }
  static T narrowed(int64_t wide) {
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
  static constexpr bool kIsView = true;
  static detail::Value to(std::string_view v) { return {v, nullptr}; }
  static std::string_view from(const detail::Value& v) { return detail::text_of(v, "a string"); }
};
template <>
struct Convert<const char*> {
  static detail::Value to(const char* v) { return {std::string_view(v), nullptr}; }
};
template <>
struct Convert<std::string> {
  static detail::Value to(const std::string& v) { return {std::string_view(v), nullptr}; }
  static std::string from(const detail::Value& v) {
    return std::string(detail::text_of(v, "a string"));
  }
};
template <>
struct Convert<std::vector<std::byte>> {
  static detail::Value to(const std::vector<std::byte>& v) {
    return {detail::Raw{{reinterpret_cast<const char*>(v.data()), v.size()}}, nullptr};
  }
  static std::vector<std::byte> from(const detail::Value& v) {
    std::string_view bytes = detail::text_of(v, "bytes");
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
    return {data, data + bytes.size()};
  }
};
template <>
struct Convert<AnyTensor> {
  static detail::Value to(const AnyTensor& v) { return {v, v.owner}; }
  static AnyTensor from(const detail::Value& v) {
    return detail::content_of<AnyTensor>(v, "a tensor");
  }
};
template <Element T>
struct Convert<TensorView<T>> {
  static detail::Value to(const TensorView<T>& v) { return {v.any(), v.any().owner}; }
  static TensorView<T> from(const detail::Value& v) {
    return TensorView<T>(detail::content_of<AnyTensor>(v, "a tensor"));
  }
};
template <Element T>
struct Convert<std::span<const T>> {
  static constexpr bool kIsView = true;
  static detail::Value to(std::span<const T> v) { return {AnyTensor::of(v), nullptr}; }
  static std::span<const T> from(const detail::Value& v) {
    return detail::content_of<AnyTensor>(v, "a tensor").template as<T>();
  }
};

}  // namespace sundog
