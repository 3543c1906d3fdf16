// Writable room in shared memory. A granted extent is mapped from a descriptor that the daemon
// hands out for it and that is closed at once; the mapping is kept when the value is sealed, and
// used again when the daemon grants the same range again: the page table is the costly part
// (reference: a fresh mapping of 4 KB pages takes 60 % of the copy's speed). A debug build protects
// it in between.
//
// Any thread; one leaf lock for the cache, one for the conversation on the control socket. Never
// called with the Runtime's lock.
#pragma once

#include <list>

#include "model/value.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/mutex.h"

namespace sundog::client {

class WritableRanges {
 public:
  // Mappings kept beyond what is being written: their number and bytes.
  static constexpr size_t kKeptMax = 64;
  static constexpr uint64_t kKeptBytesMax = 4ull << 30;

  // `control` is borrowed; its owner outlives this.
  explicit WritableRanges(int control) : control_(control) {}

  // A writable mapping whose start is the extent's and that covers at least its size.
  Result<os::Mapping> open(const model::Extent& extent);
  // Writing is over: in a debug build a write through the mapping faults from here on.
  void seal(const model::Extent& extent, os::Mapping mapping);
  // The forked child has no control socket.
  void forget_control() { control_ = -1; }

 private:
  struct Kept {
    model::Extent extent;
    os::Mapping mapping;
  };
  Result<os::Fd> ask_descriptor(uint32_t arena);

  int control_;
  os::Mutex control_mutex_;  // one question and its answer at a time
  os::Mutex mutex_;
  std::list<Kept> kept_ SUNDOG_GUARDED_BY(mutex_);  // least recently used first
  uint64_t kept_bytes_ SUNDOG_GUARDED_BY(mutex_) = 0;
};

}  // namespace sundog::client
