// How the two codec files go from a variant of messages to the Codec of one message and back.
// Private to src/wire.
//
// Codec<M> has kType, kName (for error sentences), size(m), write(m, Writer*) and
// read(Reader*, DecodeScratch*).
#pragma once

#include <algorithm>
#include <array>
#include <variant>

#include "base/check.h"
#include "model/limits.h"
#include "wire/codec.h"
#include "wire/layout.h"

namespace sundog::wire {

constexpr uint8_t kCancelLevelMax = 3;

struct ExtentRecord {
  uint32_t arena, pad;
  uint64_t offset, size;
};
static_assert(Flat<ExtentRecord> && sizeof(ExtentRecord) == 24);

inline ExtentRecord to_record(const model::Extent& e) { return {e.arena, 0, e.offset, e.size}; }
inline model::Extent read_extent(const ExtentRecord& record, Reader* reader) {
  reader->require(record.size != 0, "its extent is empty");
  reader->require(record.offset <= UINT64_MAX - record.size, "its extent wraps around");
  return {record.arena, 0, record.offset, record.size};
}

// How one message lies in a record; specialized for each.
template <typename M>
struct Codec;

// EndGet and Waited.
template <typename M>
struct RequestOnlyCodec {
  struct Fixed {
    uint32_t request, pad;
  };
  static uint64_t size(const M&) { return sizeof(Fixed); }
  static void write(const M& m, Writer* w) { w->header(Fixed{m.request, 0}); }
  static M read(Reader* r, DecodeScratch*) { return {r->header<Fixed>().request}; }
};

template <template <typename> typename Codec, typename Message>
uint64_t message_size(const Message& message) {
  const uint64_t size =
      std::visit([]<typename M>(const M& m) { return Codec<M>::size(m); }, message);
  SUNDOG_CHECK(size <= model::kMessageBytesMax);  // the lengths in records have 32 bits
  return size;
}

template <template <typename> typename Codec, typename Message>
RecordType write_message(const Message& message, std::byte* at) {
  return std::visit(
      [at]<typename M>(const M& m) {
        Writer writer(at);
        Codec<M>::write(m, &writer);
        return Codec<M>::kType;
      },
      message);
}

template <template <typename> typename Codec, typename Message>
RecordType encode_message(const Message& message, std::vector<std::byte>* out) {
  return std::visit(
      [out]<typename M>(const M& m) {
        const uint64_t size = Codec<M>::size(m);
        SUNDOG_CHECK(size <= model::kMessageBytesMax);  // the lengths in records have 32 bits
        out->resize(size);  // not cleared before: only growth is filled with zeros
        Writer writer(out->data());
        Codec<M>::write(m, &writer);
        return Codec<M>::kType;
      },
      message);
}

// Becomes what it reads: a message is built where it is kept, not moved there.
template <typename M, template <typename> typename Codec>
struct Reading {
  Reader* reader;
  DecodeScratch* scratch;
  // A variant builds in place only what cannot throw.
  operator M() const noexcept { return Codec<M>::read(reader, scratch); }
};

template <typename M, template <typename> typename Codec, typename Message>
bool decode_one(Bytes payload, DecodeScratch* scratch, Message* out, std::string* why) {
  Reader reader(payload);
  out->template emplace<M>(Reading<M, Codec>{&reader, scratch});
  if (reader.finished()) [[likely]]
    return true;
  *why = reader.sentence(Codec<M>::kName, payload.size());
  return false;
}

// A table from record types to decode_one, so that each message is built where it is kept.
template <template <typename> typename Codec, typename Message>
struct Decoder;
template <template <typename> typename Codec, typename... Ms>
struct Decoder<Codec, std::variant<Ms...>> {
  using Message = std::variant<Ms...>;
  using Decode = bool (*)(Bytes, DecodeScratch*, Message*, std::string*);
  static constexpr uint16_t kFirst = std::min({static_cast<uint16_t>(Codec<Ms>::kType)...});
  static constexpr uint16_t kLast = std::max({static_cast<uint16_t>(Codec<Ms>::kType)...});
  static constexpr auto kTable = [] {
    std::array<Decode, kLast - kFirst + 1> table{};
    ((table[static_cast<uint16_t>(Codec<Ms>::kType) - kFirst] = decode_one<Ms, Codec, Message>),
     ...);
    return table;
  }();

  static bool decode(RecordType type, Bytes payload, DecodeScratch* scratch, const char* whose,
                     Message* out, std::string* why) {
    const auto number = static_cast<uint16_t>(type);
    if (number < kFirst || number > kLast || kTable[number - kFirst] == nullptr) [[unlikely]] {
      *why = unknown_type(number, whose);
      return false;
    }
    return kTable[number - kFirst](payload, scratch, out, why);
  }
  [[gnu::cold, gnu::noinline]] static std::string unknown_type(uint16_t number, const char* whose) {
    return "record of type " + std::to_string(number) + " refused: it is not one of " + whose +
           " records";
  }
};

template <template <typename> typename Codec, typename Message>
bool decode_message(RecordType type, Bytes payload, DecodeScratch* scratch, const char* whose,
                    Message* out, std::string* why) {
  SUNDOG_CHECK(reinterpret_cast<uintptr_t>(payload.data()) % 8 == 0);
  return Decoder<Codec, Message>::decode(type, payload, scratch, whose, out, why);
}

template <template <typename> typename Codec, typename Message>
Result<Message> decode_message(RecordType type, Bytes payload, DecodeScratch* scratch,
                               const char* whose) {
  Message message;
  std::string why;
  if (!decode_message<Codec, Message>(type, payload, scratch, whose, &message, &why))
    return Failure{std::move(why)};
  return message;
}

}  // namespace sundog::wire
