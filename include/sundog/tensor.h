// Arrays, C-contiguous, viewed where they lie: in the program's own memory when they are sent, in
// shared memory when they were received. numpy, torch and C++ read the same bytes.
//
//   TensorView<double> view(span_of_6, {2, 3});   view(1, 2), view.span(), view.shape()
//   AnyTensor: the same when the type of its elements is known at run time only
#pragma once

#include <array>
#include <complex>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
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
// "float64".
const char* name_of(DType dtype);

template <typename T>
concept Element = std::is_arithmetic_v<T> || std::is_same_v<T, std::complex<float>> ||
                  std::is_same_v<T, std::complex<double>>;

template <Element T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  if constexpr (std::is_same_v<T, std::complex<float>>) return DType::kComplex64;
  if constexpr (std::is_same_v<T, std::complex<double>>) return DType::kComplex128;
  if constexpr (std::is_integral_v<T>) {
    constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<DType>((std::is_signed_v<T> ? 2 : 6) + kLog);
  }
}

struct AnyTensor {
  DType dtype = DType::kFloat64;
  std::vector<int64_t> shape;         // in elements
  const std::byte* data = nullptr;    // element 0
  uint64_t bytes = 0;                 // of all elements
  std::shared_ptr<const void> owner;  // keeps received data; null: the program's own memory

  // A view of the program's memory; `shape` empty: one dimension.
  template <Element T>
  static AnyTensor of(std::span<const T> elements, std::vector<int64_t> shape = {}) {
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
      throw TypeError(std::string("the tensor's elements are ") + name_of(dtype) +
                      ", asked for were " + name_of(dtype_of<T>()));
    }
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(size())};
  }
};

// Elements of one type with a shape. A copy is another view of the same bytes.
template <Element T>
class TensorView {
 public:
  TensorView() = default;
  // `shape` empty: one dimension. Throws TypeError if it asks for more or fewer elements.
  explicit TensorView(std::span<const T> elements, std::vector<int64_t> shape = {})
      : TensorView(AnyTensor::of(elements, std::move(shape))) {
    if (any_.size() != static_cast<int64_t>(elements.size())) {
      throw TypeError("a shape of " + std::to_string(any_.size()) + " elements was given to " +
                      std::to_string(elements.size()));
    }
  }
  // Throws TypeError if the elements are of another type.
  explicit TensorView(AnyTensor tensor) : any_(std::move(tensor)) { any_.as<T>(); }

  const AnyTensor& any() const { return any_; }
  const std::vector<int64_t>& shape() const { return any_.shape; }  // in elements
  int64_t size() const { return any_.size(); }
  const T* data() const { return reinterpret_cast<const T*>(any_.data); }
  std::span<const T> span() const { return {data(), static_cast<size_t>(size())}; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size(); }
  const T& operator[](size_t i) const { return data()[i]; }  // in C order
  // One index a dimension; not checked.
  template <std::integral... Index>
  const T& operator()(Index... index) const {
    const std::array<int64_t, sizeof...(Index)> indices = {static_cast<int64_t>(index)...};
    int64_t at = 0;
    for (size_t i = 0; i < indices.size(); ++i) at = at * any_.shape[i] + indices[i];
    return data()[at];
  }

 private:
  AnyTensor any_{dtype_of<T>(), {0}, nullptr, 0, nullptr};
};

}  // namespace sundog
