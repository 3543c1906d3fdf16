// A value as the daemon sees it: a format tag and bytes, either inline in a message or in an
// extent of an arena. The daemon never looks inside; clients of every language do.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/ids.h"

namespace sundog::model {

// How the bytes of a value are to be read. Numbers are part of the protocol; never reuse one.
enum class Format : uint16_t {
  kInvalid = 0,
  kNone = 1,          // no bytes
  kBool = 2,          // 1 byte, 0 or 1
  kInt64 = 3,         // 8 bytes
  kFloat64 = 4,       // 8 bytes, IEEE 754
  kText = 5,          // UTF-8
  kRaw = 6,           // Python bytes, std::string as bytes
  kPickle = 7,        // pickle protocol 5 with out-of-band buffers: src/wire/pickle_layout.h
  kTensor = 8,        // dtype, shape, then 64-byte aligned elements: src/wire/tensor_layout.h
  kArrow = 9,         // Arrow IPC stream
  kTaskError = 10,    // an exception raised by user code: src/wire/error_layout.h
  kSystemError = 11,  // a failure determined by the runtime: src/wire/error_layout.h
  kRef = 12,          // 20 bytes, an ObjectId: a value that is itself a reference
  kEndOfStream = 13,  // no bytes; no value: no item comes here any more
};
constexpr bool is_error(Format f) { return f == Format::kTaskError || f == Format::kSystemError; }

// Where bytes lie in shared memory. size is what the value uses; the allocator rounds it up.
struct Extent {
  uint32_t arena = 0;
  uint32_t pad = 0;
  uint64_t offset = 0;  // bytes from the arena's start, page aligned
  uint64_t size = 0;    // bytes; 0 means "no extent"
  bool empty() const { return size == 0; }
  auto operator<=>(const Extent&) const = default;
};

// A value passing by. Views live as long as the message they came in.
struct ValueView {
  Format format = Format::kInvalid;
  Extent extent;  // if not empty, the bytes lie there and `bytes` is empty
  Bytes bytes;    // inline bytes
  bool in_extent() const { return !extent.empty(); }
  uint64_t size() const { return in_extent() ? extent.size : bytes.size(); }
};

}  // namespace sundog::model
