// Streams: what the node knows of each task that yields items: how many are there, how many its
// consumer took, what the rest holds, and whether the producer may go on (docs/design/0007).
//
// Items are counted from 0, whatever attempt made them. A window bounds what is untaken, in items
// and in bytes; a producer gets what is left of it as credit, and asks again when that is spent. It
// then waits until at most half of the window is untaken: one wake-up for several items.
//
// Owned by NodeCore, pure. It never touches objects: NodeCore makes and frees those.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/tables.h"
#include "core/slab.h"
#include "model/limits.h"

namespace sundog::core {

// A number of items and of bytes; UINT64_MAX items: no limit.
struct StreamAmount {
  uint64_t items = UINT64_MAX;
  uint64_t bytes = UINT64_MAX;
  bool operator==(const StreamAmount&) const = default;

  // One item of this many bytes is yielded.
  void spend(uint64_t item_bytes) {
    const uint64_t weight = item_bytes + model::kStreamItemOverheadBytes;
    if (items != UINT64_MAX && items > 0) --items;
    bytes -= weight < bytes ? weight : bytes;
  }
  bool is_spent() const { return items == 0 || bytes == 0; }
};

struct StreamRecord {
  bool live = false;
  bool closed = false;   // the consumer wants no more
  bool ended = false;    // the task is over: `produced` is final
  bool failed = false;   // the last item is the error that ended it
  bool waiting = false;  // the producer asked for credit and sleeps
  TaskId id;
  uint32_t task = kNoIndex;     // while it is not over
  uint32_t pending = kNoIndex;  // the object of the next item; of the end mark, once that is made
  ClientId consumer;
  StreamAmount window;
  uint32_t produced = 0, taken = 0;
  std::deque<uint64_t> weights;  // of items [taken, produced)
  uint64_t untaken_bytes = 0;    // their sum
  // Of a producer that waits.
  ClientId producer;
  uint32_t request = 0;
  uint32_t attempt_produced = 0;  // by its attempt
};

class Streams {
 public:
  enum class Arrival : uint8_t {
    kNew,       // the next one
    kKnown,     // an earlier attempt made it
    kUnwanted,  // the consumer has closed
    kWrong      // items before it are missing
  };

  uint32_t open(const TaskId& id, uint32_t task, ClientId consumer, const StreamAmount& window);
  // The bytes of the next stream's window. The more streams are open, the smaller; together their
  // windows stay under half of the store, so that streams that nobody takes from leave room for
  // the one that somebody waits for.
  uint64_t next_window_bytes(uint64_t store_bytes) const;
  // kNoIndex if there is none.
  uint32_t find(const TaskId& id) const;
  StreamRecord& operator[](uint32_t index) { return streams_[index]; }
  const StreamRecord& operator[](uint32_t index) const { return streams_[index]; }

  // The producer yielded `item`; only kNew ones are counted.
  Arrival arrive(uint32_t stream, uint32_t item, uint64_t bytes);
  // The consumer took the first `taken` items; more than there are counts as all.
  void take(uint32_t stream, uint32_t taken);
  void close(uint32_t stream) { streams_[stream].closed = true; }
  void end(uint32_t stream);
  // Forgets it if its task is over and its consumer has closed.
  void forget_if_over(uint32_t stream);

  // What a producer whose attempt made `produced` items may yield yet.
  StreamAmount credit(uint32_t stream, uint32_t produced) const;
  // Whether it gets that now: nobody wants more, or at most half of the window is untaken.
  bool may_go_on(uint32_t stream, uint32_t produced) const;

  // Whether taking items that are in the store is up to somebody else than `asker`.
  template <typename CanTake>
  bool others_may_take(ClientId asker, CanTake&& can_take) const {
    for (uint32_t i = 0; i < streams_.end(); ++i) {
      const StreamRecord& s = streams_[i];
      if (s.live && !s.closed && s.untaken_bytes > 0 && s.consumer != asker && can_take(s.consumer))
        return true;
    }
    return false;
  }
  // Open ones of this consumer, ascending.
  std::vector<uint32_t> of_consumer(ClientId consumer) const;
  uint32_t live() const { return streams_.live(); }
  std::string validate() const;

 private:
  // What `produced` items of an attempt leave untaken.
  StreamAmount untaken(const StreamRecord& s, uint32_t produced) const;

  Slab<StreamRecord> streams_;
  IdMap<TaskId, uint32_t> index_;
  uint64_t window_bytes_ = 0;  // of all windows
};

}  // namespace sundog::core
