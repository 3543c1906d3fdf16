// Values of Format::kPickle: a pickle stream of protocol 5 and its out-of-band buffers.
//
//   { u32 magic, u32 num_buffers, u64 stream_bytes, u64 total_bytes }
//   num_buffers times: { u64 offset, u64 size, u32 flags (1: readonly), u32 0 }
//   stream
//   buffers in order, each at a multiple of 64 bytes from the value's start, of 4096 bytes if it
//   has 32 KiB or more; gaps are zero
//
// A writer plans first, so that it can allocate the whole and fill it in place. A value in an
// extent is page aligned and so are its large buffers; one that travels in a message is aligned
// to 8 bytes only. Plain values; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sundog::wire {

constexpr uint64_t kBufferAlignment = 64;
constexpr uint64_t kLargeBufferBytes = 32 * 1024;
constexpr uint64_t kLargeBufferAlignment = 4096;

constexpr uint64_t buffer_alignment(uint64_t size) {
  return size >= kLargeBufferBytes ? kLargeBufferAlignment : kBufferAlignment;
}

struct PickleBufferSpec {
  uint64_t size = 0;
  bool readonly = false;
};

// Where everything goes, in bytes from the value's start.
struct PicklePlan {
  struct Slot {
    uint64_t offset = 0;
    uint64_t size = 0;
    bool readonly = false;
  };
  uint64_t total = 0;
  uint64_t stream_offset = 0;
  uint64_t stream_bytes = 0;
  std::vector<Slot> buffers;
};
PicklePlan plan_pickle(uint64_t stream_bytes, std::span<const PickleBufferSpec> buffers);

// Writes everything but the stream's and the buffers' own bytes: header, table, zeros in the
// gaps. `at` has plan.total bytes. The caller copies the rest to the offsets, in any order and
// from any thread.
void write_pickle_frame(const PicklePlan& plan, std::byte* at);
// All in one, for small values: `buffers[i]` has the planned size.
void write_pickle(const PicklePlan& plan, Bytes stream, std::span<const Bytes> buffers,
                  std::byte* at);

// Views of the value. The stream and the buffers' contents are not checked, only where they lie.
struct PickleView {
  struct Buffer {
    Bytes bytes;
    bool readonly = false;
  };
  Bytes stream;
  std::vector<Buffer> buffers;
};
// `bytes` may be longer than the value: an extent can have more room than is used.
Result<PickleView> parse_pickle(Bytes bytes);

}  // namespace sundog::wire
