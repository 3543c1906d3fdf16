// A channel: the shared memory between one client and its daemon. One memfd holds
//   ChannelHeader | client->node ring | node->client ring
// The daemon creates it (sealed SHRINK, GROW, SEAL), the client maps it; both map it whole.
//
// Rings are single-producer single-consumer byte rings of records
//   { u32 size (header and payload, unpadded), u16 type, u16 flags } payload, padded to 8
// A record never wraps: a kPad record fills the end. A message larger than a quarter of the ring
// is cut into fragments (flag kMore on all but the last). Positions only grow (64 bits) and are
// taken modulo the capacity, a power of two.
//
// Every word that the peer can write is read once and checked: a position that lies, or a size
// that does not fit, makes the reader `broken()` for good; it is never followed.
//
// Threads: one producer and one consumer at a time for each ring; client-side locking is the
// client's business. Nothing here makes a system call but ClientBell.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "model/limits.h"

namespace sundog::shm {

constexpr uint32_t kChannelMagic = 0x53444348;
constexpr size_t kCacheLine = 64;

// Where the sleeper of a client sleeps; written by the client, reset by the daemon when it wakes.
enum class Sleep : uint32_t {
  kAwake = 0,
  kWaiter = 1,   // futex
  kRuntime = 2,  // eventfd; not for a task, which a busy worker finds by itself
  kTasks = 3,    // eventfd, for tasks too: an event loop waits for them
};

// Claim word: generation << 2 | state. See src/shm/claims.h.
struct RingHeader {
  alignas(kCacheLine) std::atomic<uint64_t> tail{0};  // written by the producer
  alignas(kCacheLine) std::atomic<uint64_t> head{0};  // written by the consumer
};

struct ChannelHeader {
  uint32_t magic = kChannelMagic;
  uint32_t protocol = model::kProtocolVersion;
  uint64_t to_node_offset = 0, to_node_bytes = 0;  // ring data, capacity a power of two
  uint64_t to_client_offset = 0, to_client_bytes = 0;
  alignas(kCacheLine) std::atomic<uint32_t> sleep{0};  // Sleep
  RingHeader to_node;
  RingHeader to_client;
  // Claim words, zero as the memory came: not written when a channel is made, so that only those
  // that are used have pages.
  alignas(kCacheLine) std::byte claim_words[model::kClaimSlots * sizeof(uint32_t)];
  std::atomic<uint32_t>* claim(uint32_t slot) {
    return reinterpret_cast<std::atomic<uint32_t>*>(claim_words) + slot;
  }
};

struct Record {
  uint16_t type = 0;
  Bytes payload;  // private copy, 8-byte aligned; valid until the next call of next()
};

class RingWriter {
 public:
  RingWriter() = default;
  RingWriter(RingHeader* header, std::byte* data, uint64_t capacity);

  // Appends one message (fragmented if large), not yet visible. False: no room for all of it now;
  // nothing was written. Messages larger than the ring itself can hold are written by
  // write_some() in a loop.
  bool try_write(uint16_t type, Bytes payload);
  // The same without a copy: where the caller writes `bytes` of payload before the next call of
  // this object, or null: no room now, or more than one record can hold.
  std::byte* try_reserve(uint64_t bytes);
  // The record that was reserved is this one.
  void commit(uint16_t type);
  // Writes fragments from *done on while there is room; true when all is written. The caller
  // publishes and waits for room between calls.
  bool write_some(uint16_t type, Bytes payload, size_t* done);
  // Makes what was written visible (store-release). Returns true if there was anything.
  bool publish();
  // Bytes in use as the consumer last said.
  uint64_t used() const;
  uint64_t capacity() const { return capacity_; }
  bool broken() const { return broken_; }

 private:
  bool has_room(uint64_t bytes);
  // Where a record of `size` bytes, its header among them, begins; null: no room.
  std::byte* make_room(uint64_t size);
  bool append(uint16_t type, uint16_t flags, Bytes payload);

  RingHeader* header_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t capacity_ = 0;
  uint64_t tail_ = 0;  // private: what will be published
  uint64_t published_ = 0;
  uint64_t head_seen_ = 0;
  uint64_t reserved_ = 0;  // bytes of the record that is being written, its header among them
  bool broken_ = false;
};

class RingReader {
 public:
  RingReader() = default;
  RingReader(RingHeader* header, const std::byte* data, uint64_t capacity);

  // The next whole message, copied to private memory; false if there is none (or broken).
  bool next(Record* out);
  // Gives the room of what was read back to the producer (store-release).
  void release();
  // Whether the producer has published more than was read.
  bool has_more() const;
  bool broken() const { return broken_; }

 private:
  enum class Step { kWhole, kAgain, kBroken };
  static constexpr size_t kBufferKeptMax = 1 << 20;
  static constexpr uint64_t kBufferMin = 512;

  bool refill();
  bool next_in_parts(Record* out);
  Step take_record(Record* out);

  RingHeader* header_ = nullptr;
  const std::byte* data_ = nullptr;
  uint64_t capacity_ = 0;
  uint64_t head_ = 0;
  uint64_t tail_seen_ = 0;
  std::vector<std::byte> buffer_;  // the current record, or fragments so far
  size_t filled_ = 0;              // bytes of buffer_ in use
  uint16_t fragment_type_ = 0;
  bool in_fragments_ = false;
  bool broken_ = false;
};

}  // namespace sundog::shm
