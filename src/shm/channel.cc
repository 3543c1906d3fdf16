#include "shm/channel.h"

#include "base/check.h"

namespace sundog::shm {
namespace {

constexpr uint64_t kRecordHeaderBytes = sizeof(RecordHeader);
constexpr uint16_t kMore = 1;  // more fragments of the same message follow
constexpr uint16_t kPad = 2;   // nothing: fills the ring up to its end

uint64_t fragment_payload_max(uint64_t capacity) { return capacity / 4 - kRecordHeaderBytes; }

}  // namespace

RingWriter::RingWriter(RingHeader* header, std::byte* data, uint64_t capacity)
    : header_(header), data_(data), capacity_(capacity) {
  tail_ = published_ = header->tail.load(std::memory_order_relaxed);
  head_seen_ = header->head.load(std::memory_order_acquire);
}

bool RingWriter::has_room(uint64_t bytes) {
  if (capacity_ - (tail_ - head_seen_) >= bytes) return true;
  uint64_t head = header_->head.load(std::memory_order_acquire);
  // The consumer gives back only what was published, in order and in whole records.
  if (head < head_seen_ || head > published_ || head % 8 != 0) {
    broken_ = true;
    return false;
  }
  head_seen_ = head;
  return capacity_ - (tail_ - head_seen_) >= bytes;
}

std::byte* RingWriter::make_room(uint64_t size) {
  uint64_t padded = round_up(size, 8);
  uint64_t at = tail_ & (capacity_ - 1);
  uint64_t until_end = capacity_ - at;
  uint64_t skipped = padded > until_end ? until_end : 0;
  if (!has_room(skipped + padded)) return nullptr;
  if (skipped != 0) {
    write_header(data_ + at, {static_cast<uint32_t>(skipped), 0, kPad});
    tail_ += skipped;
    at = 0;
  }
  return data_ + at;
}

bool RingWriter::append(uint16_t type, uint16_t flags, Bytes payload) {
  const uint64_t size = kRecordHeaderBytes + payload.size();
  std::byte* at = make_room(size);
  if (at == nullptr) return false;
  if (!payload.empty()) std::memcpy(at + kRecordHeaderBytes, payload.data(), payload.size());
  write_header(at, {static_cast<uint32_t>(size), type, flags});
  tail_ += round_up(size, 8);
  return true;
}

bool RingWriter::write_some(uint16_t type, Bytes payload, size_t* done) {
  if (broken_) return false;
  const uint64_t step = fragment_payload_max(capacity_);
  do {
    uint64_t now = std::min<uint64_t>(step, payload.size() - *done);
    bool more = *done + now < payload.size();
    if (!append(type, more ? kMore : 0, payload.subspan(*done, now))) return false;
    *done += now;
  } while (*done < payload.size());
  return true;
}

bool RingWriter::try_write(uint16_t type, Bytes payload) {
  uint64_t before = tail_;
  size_t done = 0;
  if (write_some(type, payload, &done)) return true;
  tail_ = before;
  return false;
}

uint64_t RingWriter::used() const {
  uint64_t head = header_->head.load(std::memory_order_acquire);
  return std::min(tail_ - head, capacity_);
}

RingReader::RingReader(RingHeader* header, const std::byte* data, uint64_t capacity)
    : header_(header), data_(data), capacity_(capacity) {
  head_ = header->head.load(std::memory_order_relaxed);
  tail_seen_ = head_;
}

bool RingReader::refill() {
  uint64_t tail = header_->tail.load(std::memory_order_acquire);
  if (tail == tail_seen_) return false;
  if (tail < tail_seen_ || tail - head_ > capacity_ || tail % 8 != 0) {
    broken_ = true;
    return false;
  }
  tail_seen_ = tail;
  return true;
}

// Takes one record, which may be padding or a fragment, into buffer_.
RingReader::Step RingReader::take_record(Record* out) {
  uint64_t at = head_ & (capacity_ - 1);
  uint64_t there = std::min(tail_seen_ - head_, capacity_ - at);
  RecordHeader header = read_header(data_ + at);
  uint64_t padded = round_up(header.size, 8);
  if (header.size < kRecordHeaderBytes || padded > there) return Step::kBroken;
  if (header.flags == kPad) {
    if (at + header.size != capacity_) return Step::kBroken;
    head_ += padded;
    return Step::kAgain;
  }
  if ((header.flags & ~kMore) != 0 || header.type == 0) return Step::kBroken;
  if (in_fragments_ && header.type != fragment_type_) return Step::kBroken;
  uint64_t size = header.size - kRecordHeaderBytes;
  if (filled_ + size > model::kMessageBytesMax) return Step::kBroken;
  if (buffer_.size() < filled_ + size) {
    buffer_.resize(std::max<uint64_t>({filled_ + size, 2 * buffer_.size(), kBufferMin}));
  }
  if (size != 0) std::memcpy(buffer_.data() + filled_, data_ + at + kRecordHeaderBytes, size);
  filled_ += size;
  head_ += padded;
  in_fragments_ = (header.flags & kMore) != 0;
  fragment_type_ = header.type;
  if (in_fragments_) return Step::kAgain;
  *out = Record{header.type, Bytes(buffer_.data(), filled_)};
  return Step::kWhole;
}

bool RingReader::next_slowly(Record* out) {
  // A large message's memory is not kept for the small ones that follow.
  if (!in_fragments_) {
    filled_ = 0;
    if (buffer_.size() > kBufferKeptMax) {
      buffer_.clear();
      buffer_.shrink_to_fit();
    }
  }
  while (!broken_) {
    if (head_ == tail_seen_ && !refill()) return false;
    switch (take_record(out)) {
      case Step::kWhole:
        return true;
      case Step::kBroken:
        broken_ = true;
        break;
      case Step::kAgain:
        break;
    }
  }
  return false;
}

void RingReader::release() { header_->head.store(head_, std::memory_order_release); }

bool RingReader::has_more() const {
  return !broken_ &&
         (head_ != tail_seen_ || header_->tail.load(std::memory_order_acquire) != head_);
}

}  // namespace sundog::shm
