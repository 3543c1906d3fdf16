// Containers, and structs: SUNDOG_FIELDS(Point, x, y) beside a struct makes it a value, which
// Python sees as a dict. Elements, keys and fields are whatever is a value itself.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "sundog/macros.h"
#include "sundog/value.h"

namespace sundog {
namespace detail {

// The elements of a list, tuple or set.
const std::vector<Value>& elements_of(const Value& value, const char* wanted);
// Keys and values of a dict, in turn.
const std::vector<Value>& pairs_of(const Value& value, const char* wanted);
// The value of a struct's field. Throws TypeError if the dict has none.
const Value& field_of(const Value& dict, std::string_view field);
[[noreturn]] void throw_wrong_length(size_t given, size_t wanted);

inline Value items(Items::Kind kind, std::vector<Value> values) {
  return {std::make_shared<const Items>(Items{kind, std::move(values)}), nullptr};
}

template <typename Range>
Value list_of(const Range& range) {
  using T = typename Range::value_type;
  std::vector<Value> values;
  values.reserve(std::size(range));
  for (const auto& element : range) values.push_back(Convert<T>::to(element));
  return items(Items::Kind::kList, std::move(values));
}

template <typename Map>
struct ConvertMap {
  using Key = typename Map::key_type;
  using Mapped = typename Map::mapped_type;
  static Value to(const Map& map) {
    std::vector<Value> values;
    values.reserve(2 * map.size());
    for (const auto& [key, mapped] : map) {
      values.push_back(Convert<Key>::to(key));
      values.push_back(Convert<Mapped>::to(mapped));
    }
    return items(Items::Kind::kDict, std::move(values));
  }
  static Map from(const Value& value) {
    const std::vector<Value>& values = pairs_of(value, "a dict");
    Map map;
    for (size_t i = 0; i + 1 < values.size(); i += 2) {
      map.insert_or_assign(Convert<Key>::from(values[i]), Convert<Mapped>::from(values[i + 1]));
    }
    return map;
  }
};

template <typename Tuple>
struct ConvertTuple {
  static constexpr size_t kSize = std::tuple_size_v<Tuple>;
  template <size_t I>
  using Part = std::tuple_element_t<I, Tuple>;
  static Value to(const Tuple& tuple) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return items(Items::Kind::kTuple, {Convert<Part<I>>::to(std::get<I>(tuple))...});
    }(std::make_index_sequence<kSize>());
  }
  static Tuple from(const Value& value) {
    const std::vector<Value>& values = elements_of(value, "a tuple");
    if (values.size() != kSize) throw_wrong_length(values.size(), kSize);
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return Tuple{Convert<Part<I>>::from(values[I])...};
    }(std::make_index_sequence<kSize>());
  }
};

template <typename T>
concept HasFields = requires(const T* v) { sundog_fields(v); };

template <typename... Fields>
constexpr auto make_fields(int, Fields... fields) {
  return std::tuple(fields...);
}

}  // namespace detail

// Vectors of numbers are arrays of one dimension; a list of numbers is read as well.
template <typename T>
  requires(!std::same_as<T, std::byte>)
struct Convert<std::vector<T>> {
  static detail::Value to(const std::vector<T>& v) {
    if constexpr (Element<T> && !std::same_as<T, bool>) {
      return {AnyTensor::of(std::span<const T>(v)), nullptr};
    } else {
      return detail::list_of(v);
    }
  }
  static std::vector<T> from(const detail::Value& v) {
    if constexpr (Element<T>) {
      if (const auto* tensor = std::get_if<AnyTensor>(&v.content)) {
        auto elements = tensor->template as<T>();
        return {elements.begin(), elements.end()};
      }
    }
    std::vector<T> all;
    if constexpr (Receivable<T>) {
      const auto& elements = detail::elements_of(v, Element<T> ? "an array or a list" : "a list");
      all.reserve(elements.size());
      for (const detail::Value& element : elements) all.push_back(Convert<T>::from(element));
    } else {
      detail::throw_type_mismatch(v, "an array");
    }
    return all;
  }
};
template <typename T, size_t N>
struct Convert<std::array<T, N>> {
  static detail::Value to(const std::array<T, N>& v) { return detail::list_of(v); }
  static std::array<T, N> from(const detail::Value& v) {
    std::vector<T> all = Convert<std::vector<T>>::from(v);
    if (all.size() != N) detail::throw_wrong_length(all.size(), N);
    std::array<T, N> array;
    std::move(all.begin(), all.end(), array.begin());
    return array;
  }
};
template <typename K, typename V>
struct Convert<std::map<K, V>> : detail::ConvertMap<std::map<K, V>> {};
template <typename K, typename V>
struct Convert<std::unordered_map<K, V>> : detail::ConvertMap<std::unordered_map<K, V>> {};
template <typename A, typename B>
struct Convert<std::pair<A, B>> : detail::ConvertTuple<std::pair<A, B>> {};
template <typename... T>
struct Convert<std::tuple<T...>> : detail::ConvertTuple<std::tuple<T...>> {};
template <typename T>
struct Convert<std::optional<T>> {
  static detail::Value to(const std::optional<T>& v) {
    return v ? Convert<T>::to(*v) : detail::Value{};
  }
  static std::optional<T> from(const detail::Value& v) {
    if (std::holds_alternative<std::monostate>(v.content)) return std::nullopt;
    return Convert<T>::from(v);
  }
};

template <detail::HasFields T>
struct Convert<T> {
  static detail::Value to(const T& v) {
    std::vector<detail::Value> values;
    auto add = [&](const auto& field) {
      using Type = std::decay_t<decltype(v.*field.second)>;
      values.push_back({std::string_view(field.first), nullptr});
      values.push_back(Convert<Type>::to(v.*field.second));
    };
    std::apply([&](const auto&... field) { (add(field), ...); }, sundog_fields(&v));
    return detail::items(detail::Items::Kind::kDict, std::move(values));
  }
  static T from(const detail::Value& v) {
    T result{};
    auto take = [&](const auto& field) {
      using Type = std::decay_t<decltype(result.*field.second)>;
      result.*field.second = Convert<Type>::from(detail::field_of(v, field.first));
    };
    std::apply([&](const auto&... field) { (take(field), ...); }, sundog_fields(&result));
    return result;
  }
};

}  // namespace sundog

// Beside the struct, in its namespace.
#define SUNDOG_FIELDS(Type, ...)                                                                \
  [[maybe_unused]] constexpr auto sundog_fields(const Type*) {                                  \
    return ::sundog::detail::make_fields(0 SUNDOG_FOR_EACH_(SUNDOG_FIELD_, Type, __VA_ARGS__)); \
  }
#define SUNDOG_FIELD_(Type, field) \
  , std::pair<const char*, decltype(&Type::field)> { #field, &Type::field }
