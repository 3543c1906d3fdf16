// Arrays as numpy and torch describe them in a pickle, as AnyTensor: a view where C++ can read it
// as it lies, else a copy in C order. Sizes are checked against the bytes; a TypeError says what is
// wrong. Plain functions; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "sundog/value.h"

namespace sundog::detail {

// "f8" and the like; nothing for dtypes that C++ has not.
std::optional<DType> numpy_dtype(std::string_view code);

// An array that fills `bytes`, which `owner` keeps; `is_fortran`: its first index runs fastest.
AnyTensor contiguous(DType dtype, std::vector<int64_t> shape, bool is_fortran, Bytes bytes,
                     const std::shared_ptr<const void>& owner);
// `strides` in bytes, of the first element of `bytes`.
AnyTensor strided(DType dtype, std::vector<int64_t> shape, std::span<const int64_t> strides,
                  Bytes bytes, const std::shared_ptr<const void>& owner);
// The same in aligned memory of its own.
AnyTensor copied(const AnyTensor& tensor);
// One element.
Value number_of(DType dtype, Bytes bytes);

struct TorchTensor {
  Bytes storage;
  Bytes start;             // where in the sender's storage it begins, 8 bytes; empty: at its start
  std::string_view dtype;  // "float32"
  int64_t offset = 0;      // in elements
  std::vector<int64_t> shape, strides;  // in elements
};
AnyTensor view_of_torch(const TorchTensor& tensor, const std::shared_ptr<const void>& owner);

}  // namespace sundog::detail
