#include "api/foreign_arrays.h"

#include <cstring>

#include "api/values.h"
#include "wire/tensor_layout.h"

namespace sundog::detail {
namespace {

struct DTypeNames {
  DType dtype;
  const char* name;        // of numpy and torch
  const char* numpy_code;  // nullptr: numpy has none
};
constexpr DTypeNames kDTypes[] = {
    {DType::kBool, "bool", "b1"},
    {DType::kInt8, "int8", "i1"},
    {DType::kInt16, "int16", "i2"},
    {DType::kInt32, "int32", "i4"},
    {DType::kInt64, "int64", "i8"},
    {DType::kUint8, "uint8", "u1"},
    {DType::kUint16, "uint16", "u2"},
    {DType::kUint32, "uint32", "u4"},
    {DType::kUint64, "uint64", "u8"},
    {DType::kFloat16, "float16", "f2"},
    {DType::kBfloat16, "bfloat16", nullptr},
    {DType::kFloat32, "float32", "f4"},
    {DType::kFloat64, "float64", "f8"},
    {DType::kComplex64, "complex64", "c8"},
    {DType::kComplex128, "complex128", "c16"},
};

int64_t element_bytes(DType dtype) {
  return static_cast<int64_t>(wire::element_bytes(static_cast<wire::DType>(dtype)));
}

// Checks the shape; bytes of all its elements.
uint64_t bytes_of(DType dtype, std::span<const int64_t> shape) {
  auto plan = wire::plan_tensor(static_cast<wire::DType>(dtype), shape, {});
  if (!plan) throw TypeError(plan.error());
  return plan->data_bytes;
}

std::vector<int64_t> c_strides(DType dtype, std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = element_bytes(dtype);
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

// Whether elements lie as in C; dimensions of one element may have any stride.
bool is_c_order(DType dtype, std::span<const int64_t> shape, std::span<const int64_t> strides) {
  const std::vector<int64_t> wanted = c_strides(dtype, shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] > 1 && strides[i] != wanted[i]) return false;
  }
  return true;
}

struct Owned {
  std::vector<std::max_align_t> memory;
  explicit Owned(uint64_t bytes)
      : memory((bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t)) {}
  std::byte* data() { return reinterpret_cast<std::byte*>(memory.data()); }
};

void copy_strided(std::span<const int64_t> shape, std::span<const int64_t> strides,
                  const std::byte* from, int64_t item, std::byte** to) {
  if (shape.empty()) {
    std::memcpy(*to, from, static_cast<size_t>(item));
    *to += item;
    return;
  }
  for (int64_t i = 0; i < shape[0]; ++i) {
    copy_strided(shape.subspan(1), strides.subspan(1), from + i * strides[0], item, to);
  }
}

}  // namespace

std::optional<DType> numpy_dtype(std::string_view code) {
  for (const DTypeNames& known : kDTypes) {
    if (known.numpy_code != nullptr && code == known.numpy_code) return known.dtype;
  }
  return std::nullopt;
}

AnyTensor strided(DType dtype, std::vector<int64_t> shape, std::span<const int64_t> strides,
                  Bytes bytes, const std::shared_ptr<const void>& owner) {
  const uint64_t total = bytes_of(dtype, shape);
  int64_t last = 0;  // where the last element begins
  if (strides.size() != shape.size()) throw TypeError("an array's strides do not fit its shape");
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t reach = 0;
    if (total > 0 && (strides[i] < 0 || __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
                      __builtin_add_overflow(last, reach, &last))) {
      throw TypeError("an array's strides reach outside of its memory");
    }
  }
  if (total > 0 && (last > static_cast<int64_t>(bytes.size()) - element_bytes(dtype))) {
    throw TypeError("an array's elements reach outside of its memory");
  }
  if (total == 0 || is_c_order(dtype, shape, strides)) {
    return {dtype, std::move(shape), bytes.data(), total, owner};
  }
  auto own = std::make_shared<Owned>(total);
  std::byte* to = own->data();
  copy_strided(shape, strides, bytes.data(), element_bytes(dtype), &to);
  return {dtype, std::move(shape), own->data(), total, own};
}

AnyTensor contiguous(DType dtype, std::vector<int64_t> shape, bool is_fortran, Bytes bytes,
                     const std::shared_ptr<const void>& owner) {
  const uint64_t total = bytes_of(dtype, shape);
  if (total != bytes.size()) throw_wrong_shape(total, bytes.size());
  std::vector<int64_t> strides = c_strides(dtype, shape);
  if (is_fortran) {
    int64_t step = element_bytes(dtype);
    for (size_t i = 0; i < shape.size(); ++i) {
      strides[i] = step;
      step *= shape[i];
    }
  }
  return strided(dtype, std::move(shape), strides, bytes, owner);
}

AnyTensor copied(const AnyTensor& tensor) {
  auto own = std::make_shared<Owned>(tensor.bytes);
  if (tensor.bytes > 0) std::memcpy(own->data(), tensor.data, tensor.bytes);
  AnyTensor copy = tensor;
  copy.data = own->data();
  copy.owner = own;
  return copy;
}

Value number_of(DType dtype, Bytes bytes) {
  auto read = [bytes]<typename T>(T value) {
    if (bytes.size() != sizeof value) throw TypeError("a number's bytes do not fit its dtype");
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::kBool:
      return {read(uint8_t{}) != 0, nullptr};
    case DType::kInt8:
      return {int64_t{read(int8_t{})}, nullptr};
    case DType::kInt16:
      return {int64_t{read(int16_t{})}, nullptr};
    case DType::kInt32:
      return {int64_t{read(int32_t{})}, nullptr};
    case DType::kInt64:
      return {read(int64_t{}), nullptr};
    case DType::kUint8:
      return {int64_t{read(uint8_t{})}, nullptr};
    case DType::kUint16:
      return {int64_t{read(uint16_t{})}, nullptr};
    case DType::kUint32:
      return {int64_t{read(uint32_t{})}, nullptr};
    case DType::kFloat32:
      return {double{read(float{})}, nullptr};
    case DType::kFloat64:
      return {read(double{}), nullptr};
    default:
      return {Unreadable{std::string("a number of numpy's type ") + name_of(dtype)}, nullptr};
  }
}

AnyTensor view_of_torch(const TorchTensor& tensor, const std::shared_ptr<const void>& owner) {
  for (const DTypeNames& known : kDTypes) {
    if (tensor.dtype != known.name) continue;
    const int64_t item = element_bytes(known.dtype);
    int64_t begin = 0, start = 0;
    if (!tensor.start.empty()) {
      if (tensor.start.size() != sizeof start) throw TypeError("a tensor's start is torn");
      std::memcpy(&start, tensor.start.data(), sizeof start);
    }
    std::vector<int64_t> strides;
    for (int64_t stride : tensor.strides) {
      strides.push_back(0);
      if (__builtin_mul_overflow(stride, item, &strides.back())) {
        throw TypeError("a tensor's strides reach outside of its memory");
      }
    }
    if (__builtin_mul_overflow(tensor.offset, item, &begin) ||
        __builtin_sub_overflow(begin, start, &begin) || begin < 0 ||
        begin > static_cast<int64_t>(tensor.storage.size())) {
      throw TypeError("a tensor begins outside of its memory");
    }
    return strided(known.dtype, tensor.shape, strides,
                   tensor.storage.subspan(static_cast<size_t>(begin)), owner);
  }
  throw TypeError("a torch tensor of dtype " + std::string(tensor.dtype) +
                  " cannot be read from C++");
}

}  // namespace sundog::detail

namespace sundog {

const char* name_of(DType dtype) {
  for (const detail::DTypeNames& known : detail::kDTypes) {
    if (known.dtype == dtype) return known.name;
  }
  return "of an unknown dtype";
}

}  // namespace sundog
