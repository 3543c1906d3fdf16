// How messages about streams lie in records. Private to src/wire; included by both codec files,
// each of which uses its half.
#pragma once

#include "model/messages.h"
#include "wire/codec.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

inline model::Returns read_returns(uint8_t byte, Reader* r) {
  r->require(byte >= 1 && byte <= static_cast<uint8_t>(model::Returns::kParts),
             "how its results come is unknown");
  return static_cast<model::Returns>(byte);
}

template <>
struct Codec<model::StreamTaken> {
  static constexpr RecordType kType = RecordType::kStreamTaken;
  static constexpr const char* kName = "StreamTaken record";
  struct Fixed {
    TaskId task;
    uint32_t taken;
    uint8_t closed, pad[3];
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const model::StreamTaken&) { return sizeof(Fixed); }
  static void write(const model::StreamTaken& m, Writer* w) {
    w->header(Fixed{m.task, m.taken, m.closed, {}});
  }
  static model::StreamTaken read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.task, f.taken, r->flag(f.closed, "its closed is neither 0 nor 1")};
  }
};

template <>
struct Codec<model::AwaitStream> {
  static constexpr RecordType kType = RecordType::kAwaitStream;
  static constexpr const char* kName = "AwaitStream record";
  struct Fixed {
    TaskId task;
    uint32_t request, attempt, produced;
    uint8_t blocking, pad[3];
  };
  static_assert(sizeof(Fixed) == 32);

  static uint64_t size(const model::AwaitStream&) { return sizeof(Fixed); }
  static void write(const model::AwaitStream& m, Writer* w) {
    w->header(Fixed{m.task, m.request, m.attempt, m.produced, m.blocking, {}});
  }
  static model::AwaitStream read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.produced <= model::kStreamItemsMax, "it has more items than kStreamItemsMax");
    return {f.request, f.task, f.attempt, f.produced,
            r->flag(f.blocking, "its blocking is neither 0 nor 1")};
  }
};

template <>
struct Codec<model::StreamCredit> {
  static constexpr RecordType kType = RecordType::kStreamCredit;
  static constexpr const char* kName = "StreamCredit record";
  struct Fixed {
    TaskId task;
    uint32_t attempt;
    uint8_t closed, pad[3];
    uint64_t items, bytes;
  };
  static_assert(sizeof(Fixed) == 40);

  static uint64_t size(const model::StreamCredit&) { return sizeof(Fixed); }
  static void write(const model::StreamCredit& m, Writer* w) {
    w->header(Fixed{m.task, m.attempt, m.closed, {}, m.items, m.bytes});
  }
  static model::StreamCredit read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.task, f.attempt, r->flag(f.closed, "its closed is neither 0 nor 1"), f.items,
            f.bytes};
  }
};

}  // namespace sundog::wire
