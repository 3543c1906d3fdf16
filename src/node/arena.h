// Arena: the pages behind one arena of the object store (DESIGN section 6).
//
// The core decides who gets which bytes; this makes the pages before anybody is told. A small
// range is made at once; a large one by the client that fills it, if its pages count as ours, else
// on the page thread, in 2 MB pages where the kernel can. After the first large range more room is
// made ahead of demand, step by step. Large values that stay get 2 MB pages later if they could not
// have them at once (page_collapser.h). Freed pages are kept for the next value; they go back to
// the machine only when it runs short.
//
// Belongs to the deciding thread. It keeps no mapping, and never touches the bytes of a range that
// was granted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "loop/loop.h"
#include "loop/loop_thread.h"
#include "model/value.h"
#include "node/page_collapser.h"
#include "os/fd.h"

namespace sundog::node {

constexpr uint64_t kArenaChunkBytes = 64 * 1024;      // pages are made in units of this
constexpr uint64_t kMadeInlineBytesMax = 256 * 1024;  // at most this by the deciding thread
// Room is made ahead when the copy that was asked for is over, at the least speed that it may have.
constexpr DurationNs kAheadDelay = 150 * kMillisecond;
constexpr int64_t kCopiedPerSecond = 1 << 30;
constexpr uint64_t kLargeRangeBytes = 8ull << 20;  // from here on we look ahead
constexpr uint64_t kAheadStepBytes = 64ull << 20;
constexpr uint64_t kTwoThreadsBytes = 32ull << 20;  // a range of this size is made by two threads
constexpr DurationNs kPressureCheckInterval = 100 * kMillisecond;

class Arena {
 public:
  static Result<std::unique_ptr<Arena>> create(uint64_t store_bytes, loop::EventLoop* loop);
  ~Arena();

  uint64_t bytes() const { return bytes_; }
  int memory() const { return memory_.get(); }
  int read_only() const { return read_only_.get(); }

  enum class Room { kThere, kLater, kFailed };
  // Who makes the pages of a large range.
  enum class Maker { kArena, kClient };
  // Pages for the range. kLater: `done` is called on the loop, with the reason if it failed.
  using Done = std::function<void(Status)>;
  Room make_room(uint64_t offset, uint64_t size, Done done, Maker maker = Maker::kArena);
  // The value there was handed to a process.
  void read(const model::Extent& extent);
  // Nobody uses these bytes any more.
  void freed(uint64_t offset, uint64_t size, TimeNs now);

  uint64_t made_bytes() const { return made_chunks_ * kArenaChunkBytes; }
  uint64_t huge_bytes() const { return collapser_.huge_bytes(); }
  // Waits for the page thread; make_room must not be called afterwards.
  void stop();

 private:
  // kLent: a client was to make it; as much of it is there as the client came to.
  enum Chunk : uint8_t { kNone = 0, kQueued = 1, kMade = 2, kLent = 3 };
  struct Range {
    uint64_t offset, size;
  };
  Arena(uint64_t bytes, os::Fd memory, os::Fd read_only, loop::EventLoop* loop);
  bool any(uint64_t first, uint64_t last, Chunk state) const;
  // Those of [first, last) that nobody makes; `or_lent`: nor was known to have made.
  std::vector<Range> missing(uint64_t first, uint64_t last, bool or_lent) const;
  void mark(const Range& range, Chunk state);
  void start_thread();
  void queue(const Range& range);
  void look_ahead(uint64_t end, uint64_t size);
  void start_ahead_later();
  void step_ahead();
  bool short_of_memory(TimeNs now);
  // What of a range became huge pages, and whether all of it is there.
  struct Made {
    Status status = ok_status();
    std::vector<Range> huge;
  };
  Made make_pages(const Range& range) const;  // on the page thread
  static Made make_part(int memory, const Range& range);

  uint64_t bytes_;
  os::Fd memory_;
  os::Fd read_only_;
  loop::EventLoop* loop_;
  loop::LoopThread thread_{"sundog-pages"};
  bool thread_started_ = false;
  std::vector<uint8_t> chunks_;
  uint64_t made_chunks_ = 0;
  uint64_t in_flight_ = 0;       // ranges queued and not yet answered
  uint64_t punching_ = 0;        // those of them that are to be holes
  uint64_t ahead_position_ = 0;  // room is being made from here …
  uint64_t ahead_end_ = 0;       // … to here
  bool ahead_running_ = false;
  loop::TimerId ahead_timer_ = 0;
  PageCollapser collapser_;
  TimeNs copying_until_ = 0;  // when what was granted last is filled, as a guess
  TimeNs checked_at_ = 0;
  bool short_of_memory_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers that come after our end
};

}  // namespace sundog::node
