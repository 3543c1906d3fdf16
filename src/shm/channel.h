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

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "model/limits.h"

namespace sundog::shm {

constexpr uint32_t kChannelMagic = 0x53444348;
constexpr size_t kCacheLine = 64;
// Of a ring, ahead of where it is read or written: some records of small calls.
constexpr uint64_t kPrefetchBytes = 6 * kCacheLine;

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

struct RecordHeader {
  uint32_t size = 0;  // header and payload, unpadded
  uint16_t type = 0;
  uint16_t flags = 0;
};
static_assert(sizeof(RecordHeader) == 8);
// One load or store: the peer may change the bytes between two.
inline RecordHeader read_header(const std::byte* at) {
  return std::bit_cast<RecordHeader>(
      __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED));
}
inline void write_header(std::byte* at, RecordHeader header) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(at), std::bit_cast<uint64_t>(header),
                   __ATOMIC_RELAXED);
}

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
  std::byte* try_reserve(uint64_t bytes) {
    if (broken_ || bytes > capacity_ / 4 - sizeof(RecordHeader)) [[unlikely]]
      return nullptr;
    reserved_ = sizeof(RecordHeader) + bytes;
    const uint64_t at = tail_ & (capacity_ - 1);
    const uint64_t padded = round_up(reserved_, 8);
    std::byte* begin = data_ + at;
    if (padded > capacity_ - at || padded > capacity_ - (tail_ - head_seen_)) [[unlikely]] {
      const uint64_t before = tail_;
      begin = make_room(reserved_);
      if (begin == nullptr) {
        tail_ = before;
        return nullptr;
      }
    }
    return begin + sizeof(RecordHeader);
  }
  // The record that was reserved is this one.
  void commit(uint16_t type) {
    write_header(data_ + (tail_ & (capacity_ - 1)), {static_cast<uint32_t>(reserved_), type, 0});
    tail_ += round_up(reserved_, 8);
    // The consumer's processor has the lines that come next: they are on their way when they are
    // written.
    __builtin_prefetch(data_ + ((tail_ + kPrefetchBytes) & (capacity_ - 1)), 1);
    __builtin_prefetch(data_ + ((tail_ + kPrefetchBytes + kCacheLine) & (capacity_ - 1)), 1);
  }
  // Writes fragments from *done on while there is room; true when all is written. The caller
  // publishes and waits for room between calls.
  bool write_some(uint16_t type, Bytes payload, size_t* done);
  // Makes what was written visible (store-release). Returns true if there was anything.
  bool publish() {
    if (published_ == tail_) return false;
    published_ = tail_;
    header_->tail.store(tail_, std::memory_order_release);
    return true;
  }
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
  bool next(Record* out) {
    if (!in_fragments_ && !broken_ && (head_ != tail_seen_ || refill()) && take_plain(out))
        [[likely]] {
      return true;
    }
    return next_slowly(out);
  }
  // The payload of the next message where it lies in the ring, if there is one of this type and
  // size; else null. The producer may still change it: it is copied once, with skip() behind, and
  // the copy checked.
  const std::byte* peek(uint16_t type, uint32_t size) {
    if (in_fragments_ || broken_ || (head_ == tail_seen_ && !refill())) return nullptr;
    const uint64_t at = head_ & (capacity_ - 1);
    const RecordHeader header = read_header(data_ + at);
    const uint32_t whole = size + static_cast<uint32_t>(sizeof(RecordHeader));
    if (std::bit_cast<uint64_t>(header) != std::bit_cast<uint64_t>(RecordHeader{whole, type, 0}) ||
        round_up(whole, 8) > std::min(tail_seen_ - head_, capacity_ - at)) {
      return nullptr;
    }
    return data_ + at + sizeof(RecordHeader);
  }
  // The same of a message that comes after `before` others of this type and size, if all of them
  // are there: for a hint of what is next. Nothing is taken.
  const std::byte* peek_behind(uint16_t type, uint32_t size, uint32_t before) const {
    const uint64_t whole = size + sizeof(RecordHeader), padded = round_up(whole, 8);
    const uint64_t from = head_ + before * padded;
    const uint64_t at = from & (capacity_ - 1);
    if (from + padded > tail_seen_ || at + padded > capacity_) return nullptr;
    const RecordHeader header = read_header(data_ + at);
    if (header.type != type || header.size != whole) return nullptr;
    return data_ + at + sizeof(RecordHeader);
  }
  void skip(uint32_t size) { pass(round_up(size + sizeof(RecordHeader), 8)); }
  // Gives the room of what was read back to the producer (store-release).
  void release();
  // Whether the producer has published more than was read.
  bool has_more() const;
  bool broken() const { return broken_; }

 private:
  enum class Step { kWhole, kAgain, kBroken };
  static constexpr size_t kBufferKeptMax = 1 << 20;
  static constexpr uint64_t kBufferMin = 512;
  // So few bytes are copied without a call, which would cost more than they do.
  static constexpr uint64_t kFewBytes = 128;
  static_assert(kFewBytes <= kBufferMin);

  bool refill();
  bool next_slowly(Record* out);
  // The usual case of take_record(), with the same checks: a whole message that fits the buffer as
  // it is, of a size that is kept. False: nothing was taken.
  bool take_plain(Record* out) {
    const uint64_t at = head_ & (capacity_ - 1);
    const RecordHeader header = read_header(data_ + at);
    const uint64_t padded = round_up(header.size, 8);
    const uint64_t size = header.size - sizeof(RecordHeader);  // wraps if it is too small
    if (header.flags != 0 || header.type == 0 || size > buffer_.size() ||
        buffer_.size() - 1 >= kBufferKeptMax ||
        padded > std::min(tail_seen_ - head_, capacity_ - at)) {
      return false;
    }
    const std::byte* from = data_ + at + sizeof(RecordHeader);
    std::byte* to = buffer_.data();
    if (size <= kFewBytes) [[likely]] {
      for (uint64_t copied = 0; copied < size; copied += 8) {  // the padding with it
        std::memcpy(to + copied, from + copied, 8);
      }
    } else {
      std::memcpy(to, from, size);
    }
    pass(padded);
    *out = Record{header.type, Bytes(to, size)};
    return true;
  }
  void pass(uint64_t padded) {
    head_ += padded;
    __builtin_prefetch(data_ + ((head_ + kPrefetchBytes) & (capacity_ - 1)));
    __builtin_prefetch(data_ + ((head_ + kPrefetchBytes + kCacheLine) & (capacity_ - 1)));
  }
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
