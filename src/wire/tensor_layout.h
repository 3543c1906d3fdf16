// Values of Format::kTensor: one n-dimensional array that every language reads in place.
//
//   { u32 magic, u8 dtype, u8 ndim, u8 flags (1: strides follow), u8 0,
//     u64 data_offset, u64 data_bytes }
//   shape:   ndim times i64, in elements
//   strides: ndim times i64, in bytes, only with flag 1; without it the array is C-contiguous
//   data, at a multiple of 64 bytes from the value's start, of 4096 if it has 32 KiB or more
//
// Strides are multiples of the element's size and not negative (0: a broadcast dimension); a
// writer copies what does not fit. Element 0 is the first of the data. Plain values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sundog::wire {

// Numbers are part of the protocol; never reuse one.
enum class DType : uint8_t {
  kInvalid = 0,
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
// Bytes of one element; 0 for an unknown dtype.
constexpr uint64_t element_bytes(DType dtype) {
  switch (dtype) {
    case DType::kBool:
    case DType::kInt8:
    case DType::kUint8:
      return 1;
    case DType::kInt16:
    case DType::kUint16:
    case DType::kFloat16:
    case DType::kBfloat16:
      return 2;
    case DType::kInt32:
    case DType::kUint32:
    case DType::kFloat32:
      return 4;
    case DType::kInt64:
    case DType::kUint64:
    case DType::kFloat64:
    case DType::kComplex64:
      return 8;
    case DType::kComplex128:
      return 16;
    case DType::kInvalid:
      return 0;
  }
  return 0;
}

constexpr size_t kTensorDimsMax = 64;

// Where everything goes, in bytes from the value's start.
struct TensorPlan {
  DType dtype = DType::kInvalid;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // empty: C-contiguous
  uint64_t data_offset = 0;
  uint64_t data_bytes = 0;
  uint64_t total = 0;
};
// `strides` empty: C-contiguous. Fails with a sentence if the array cannot be sent like this
// (unknown dtype, too many dimensions, negative sizes, strides as above, over 2^60 bytes).
Result<TensorPlan> plan_tensor(DType dtype, std::span<const int64_t> shape,
                               std::span<const int64_t> strides);
// Writes all but the data and zeroes the gap; `at` has plan.total bytes.
void write_tensor_frame(const TensorPlan& plan, std::byte* at);

// Shape and strides are private copies: their bytes may lie in memory that others map.
struct TensorView {
  DType dtype = DType::kInvalid;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // empty: C-contiguous
  Bytes data;                    // every element of the shape lies inside
};
// `bytes` may be longer than the value: an extent can have more room than is used.
Result<TensorView> parse_tensor(Bytes bytes);

}  // namespace sundog::wire
