// Helpers of every layout in this folder: write a record's parts into room of known size, read
// them back with each length checked. Parts begin at multiples of 8 bytes; padding is zero.
//
// A Reader never throws and never looks outside its bytes: after the first failure all it hands
// out is empty, so that callers check once, at the end. Values; any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "base/check.h"
#include "model/value.h"

namespace sundog::wire {

constexpr uint64_t padded(uint64_t size) { return (size + 7) & ~uint64_t{7}; }

// Copies whole words without a call, which for so few bytes costs more than they do.
constexpr uint64_t kFewBytes = 64;
inline void copy_words(std::byte* to, const void* from, uint64_t size) {
  const auto* at = static_cast<const std::byte*>(from);
  for (; size >= 8; size -= 8, to += 8, at += 8) std::memcpy(to, at, 8);
}

// What may lie in a record as it lies in memory: no padding that would leak or differ.
template <typename T>
concept Flat = std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>;

// Fills room whose size the caller computed with the same arithmetic before; no checks.
class Writer {
 public:
  explicit Writer(std::byte* at) : at_(at) {}

  template <Flat T>
  void header(const T& value) {
    static_assert(sizeof(T) % 8 == 0, "parts begin at multiples of 8");
    std::memcpy(at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  // The same, made where it lies.
  template <Flat T, typename... Parts>
  void made(Parts... parts) {
    static_assert(sizeof(T) % 8 == 0, "parts begin at multiples of 8");
    new (at_) T{parts...};
    at_ += sizeof(T);
  }
  void raw(const void* data, uint64_t size) {
    if (size == 0) return;
    if (size <= kFewBytes && size % 8 == 0) {  // numbers, and the arguments of most calls
      copy_words(at_, data, size);
      at_ += size;
      return;
    }
    const uint64_t room = padded(size);
    std::memset(at_ + room - 8, 0, 8);  // the padding, before the last bytes cover their part
    std::memcpy(at_, data, size);
    at_ += room;
  }
  void bytes(Bytes part) { raw(part.data(), part.size()); }
  void text(std::string_view part) { raw(part.data(), part.size()); }
  template <Flat T>
  void array(std::span<const T> items) {
    raw(items.data(), items.size_bytes());
  }
  std::byte* at() const { return at_; }

 private:
  std::byte* at_;
};

// Reads the same parts. The bytes begin at a multiple of 8 and outlive what is handed out.
class Reader {
 public:
  explicit Reader(Bytes payload) : at_(payload.data()), left_(payload.size()) {}

  template <Flat T>
  T header() {
    static_assert(sizeof(T) % 8 == 0);
    T value{};
    if (left_ < sizeof(T)) [[unlikely]] {
      fail("it is shorter than its fixed part");
    } else {
      std::memcpy(&value, at_, sizeof(T));
      skip(sizeof(T));
    }
    return value;
  }
  // The same from memory that another process may still change: every use of the result sees the
  // bytes of one read, because the compiler cannot know them any more.
  template <Flat T>
  T header_read_once() {
    T value = header<T>();
    asm volatile("" : "+m"(value));
    return value;
  }
  // `what` names the part in the error's sentence.
  Bytes bytes(uint64_t size, const char* what) {
    if (size > left_ || padded(size) > left_) [[unlikely]] {
      fail_length(what);
      return {};
    }
    Bytes part{at_, static_cast<size_t>(size)};
    skip(padded(size));
    return part;
  }
  std::string_view text(uint64_t size, const char* what) { return as_text(bytes(size, what)); }
  template <Flat T>
  std::span<const T> array(uint64_t count, const char* what) {
    static_assert(alignof(T) <= 8);
    if (count > left_ / sizeof(T)) [[unlikely]] {
      fail_length(what);
      return {};
    }
    Bytes part = bytes(count * sizeof(T), what);
    return {reinterpret_cast<const T*>(part.data()), part.size() / sizeof(T)};
  }
  // Before `count` records of at least `bytes_each` are read one by one: may there be so many?
  bool can_hold(uint64_t count, uint64_t bytes_each, const char* what) {
    if (count > left_ / bytes_each) [[unlikely]] {
      fail_length(what);
      return false;
    }
    return true;
  }
  // A byte that is a flag: 0 or 1.
  bool flag(uint8_t byte, const char* what) {
    if (byte > 1) [[unlikely]]
      fail(what);
    return byte == 1;
  }
  void require(bool condition, const char* why) {
    if (!condition) [[unlikely]]
      fail(why);
  }
  // All went well and nothing is left over.
  bool finished() {
    if (left_ != 0) [[unlikely]]
      fail("it has more bytes than its parts need");
    return why_ == nullptr;
  }
  bool ok() const { return why_ == nullptr; }
  uint64_t left() const { return left_; }
  // "Submit record of 120 bytes refused: its refs reach past the end"
  std::string sentence(std::string_view subject, size_t size) const {
    std::string text(subject);
    text += " of " + std::to_string(size) + " bytes refused: ";
    text += too_long_ ? "its part '" + std::string(why_) + "' reaches past the end" : why_;
    return text;
  }
  // The first failure counts.
  void fail(const char* why) { set_failure(why, false); }

 private:
  void skip(uint64_t size) {
    at_ += size;
    left_ -= size;
  }
  void fail_length(const char* what) { set_failure(what, true); }
  void set_failure(const char* why, bool too_long) {
    if (why_ == nullptr) {
      why_ = why;
      too_long_ = too_long;
    }
    left_ = 0;
  }

  const std::byte* at_;
  uint64_t left_;
  const char* why_ = nullptr;
  bool too_long_ = false;
};

inline bool is_known(model::Format f) {
  return f > model::Format::kInvalid && f <= model::Format::kEndOfStream;
}

// Formats whose values always have the same size; other formats: any size.
inline bool size_fits(model::Format format, uint64_t size) {
  switch (format) {
    case model::Format::kNone:
    case model::Format::kEndOfStream:
      return size == 0;
    case model::Format::kBool:
      return size == 1;
    case model::Format::kInt64:
    case model::Format::kFloat64:
      return size == 8;
    case model::Format::kRef:
      return size == sizeof(ObjectId);
    default:
      return true;
  }
}

// A value inside a record; inline bytes follow, padded, after the fixed part it lies in.
struct ValueRecord {
  uint16_t format = 0;
  uint8_t in_extent = 0;
  uint8_t pad = 0;
  uint32_t arena = 0;
  uint64_t offset = 0;  // in the arena; 0 for inline values
  uint64_t size = 0;
};
static_assert(Flat<ValueRecord> && sizeof(ValueRecord) == 24);

inline ValueRecord to_record(const model::ValueView& value) {
  ValueRecord record;
  record.format = static_cast<uint16_t>(value.format);
  if (value.in_extent()) {
    record.in_extent = 1;
    record.arena = value.extent.arena;
    record.offset = value.extent.offset;
    record.size = value.extent.size;
  } else {
    record.size = value.bytes.size();
  }
  return record;
}
inline uint64_t inline_size(const model::ValueView& value) {
  return value.in_extent() ? 0 : padded(value.bytes.size());
}
inline void write_inline(const model::ValueView& value, Writer* writer) {
  if (!value.in_extent()) writer->bytes(value.bytes);
}
// Checks the record and takes the inline bytes that follow it.
inline model::ValueView read_value(const ValueRecord& record, Reader* reader) {
  model::ValueView value;
  value.format = static_cast<model::Format>(record.format);
  reader->require(is_known(value.format), "its value has an unknown format");
  if (reader->flag(record.in_extent, "its value says neither inline nor extent")) {
    reader->require(record.size != 0, "its extent is empty");
    reader->require(record.offset <= UINT64_MAX - record.size, "its extent wraps around");
    value.extent.arena = record.arena;
    value.extent.offset = record.offset;
    value.extent.size = record.size;
  } else {
    reader->require(size_fits(value.format, record.size), "its value has the wrong size");
    value.bytes = reader->bytes(record.size, "value");
  }
  return value;
}

}  // namespace sundog::wire
