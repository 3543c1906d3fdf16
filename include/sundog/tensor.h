// An n-dimensional array, C-contiguous, viewed where it lies: in the program's own memory when it
// is sent, in shared memory when it was received. numpy and C++ read the same bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

#include "sundog/errors.h"

namespace sundog {

// Numbers are part of the protocol.
enum class DType : uint8_t {
  kBool = 1,
  kInt8 = 2,
  kInt16 = 3,
  kInt32 = 4,
  kInt64 = 5,
  kUint8 = 6,
  kUint16 = 7,
  kUint32 = 8,
  kUint64 = 9,
  kFloat16 = 10,
  kBfloat16 = 11,
  kFloat32 = 12,
  kFloat64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
};

template <typename T>
concept Element = std::is_arithmetic_v<T>;

template <Element T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return static_cast<DType>((std::is_signed_v<T> ? 2 : 6) + kLog);
}

struct TensorView {
  DType dtype = DType::kFloat64;
  std::vector<int64_t> shape;         // in elements
  const std::byte* data = nullptr;    // element 0
  uint64_t bytes = 0;                 // of all elements
  std::shared_ptr<const void> owner;  // keeps received data; null: the program's own memory

  // A view of the program's memory; `shape` empty: one dimension.
  template <Element T>
  static TensorView of(std::span<const T> elements, std::vector<int64_t> shape = {}) {
    if (shape.empty()) shape = {static_cast<int64_t>(elements.size())};
    return {dtype_of<T>(), std::move(shape), reinterpret_cast<const std::byte*>(elements.data()),
            elements.size_bytes(), nullptr};
  }
  int64_t size() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  // The elements in C order. Throws TypeError if they are of another type.
  template <Element T>
  std::span<const T> as() const {
    if (dtype != dtype_of<T>()) {
      throw TypeError("the tensor's elements are of dtype " +
                      std::to_string(static_cast<int>(dtype)) + ", asked for were " +
                      std::to_string(static_cast<int>(dtype_of<T>())));
    }
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(size())};
  }
};

}  // namespace sundog
