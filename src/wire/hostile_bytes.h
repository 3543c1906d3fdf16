// For tests and fuzz targets only: bytes in memory of exactly their size, so that a sanitizer sees
// the first read outside; cut short at every length, or with bits flipped.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/random.h"

namespace sundog::wire {

// Aligned to 8.
struct Tight {
  explicit Tight(Bytes from) : data(new uint64_t[(from.size() + 7) / 8]), size(from.size()) {
    if (size != 0) std::memcpy(data.get(), from.data(), size);
  }
  Bytes view() const { return {reinterpret_cast<const std::byte*>(data.get()), size}; }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(data.get()); }

  std::unique_ptr<uint64_t[]> data;
  size_t size;
};

// check(bytes) for every prefix of `whole` but the whole.
template <typename Check>
void for_each_truncation(Bytes whole, Check check) {
  for (size_t length = 0; length < whole.size(); ++length) {
    const Tight cut(whole.first(length));
    check(cut.view());
  }
}

// check(bytes) for `whole` with each of its first `bytes_max` bytes' bits flipped, often with one
// more byte changed.
template <typename Check>
void for_each_flip(Bytes whole, Random* random, size_t bytes_max, Check check) {
  for (size_t bit = 0; bit < std::min(whole.size(), bytes_max) * 8; ++bit) {
    Tight bent(whole);
    bent.bytes()[bit / 8] ^= std::byte{1} << (bit % 8);
    if (random->one_in(4)) bent.bytes()[random->below(bent.size)] = std::byte(random->next());
    check(bent.view());
  }
}

// Reads every byte of a view, so that a sanitizer looks at it.
inline uint64_t sum_of(Bytes bytes) {
  uint64_t sum = 0;
  for (const std::byte b : bytes) sum += static_cast<uint64_t>(b);
  return sum;
}

}  // namespace sundog::wire
