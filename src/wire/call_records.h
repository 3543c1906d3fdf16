// The two records that each call of a program costs: Submit on its way out, Value on its way back.
// As codec.h has them for every other message, but in the caller's code, and without a variant
// between.
//
// Values; any thread.
#pragma once

#include <cstddef>

#include "model/limits.h"
#include "model/messages.h"
#include "wire/layout.h"

namespace sundog::wire {

struct SubmitRecord {
  TaskId task, parent;
  ObjectId actor;
  uint32_t parent_attempt, template_id, num_results, num_refs, num_contained, argument_bytes, pad;
};
static_assert(Flat<SubmitRecord> && sizeof(SubmitRecord) == 80);

// Of the payload; a multiple of 8.
inline uint64_t submit_size(const model::Submit& m) {
  return sizeof(SubmitRecord) + padded(m.refs.size_bytes()) + padded(m.contained.size_bytes()) +
         padded(m.arguments.size());
}
inline void write_submit(const model::Submit& m, Writer* w) {
  w->made<SubmitRecord>(m.task, m.parent, m.actor, m.parent_attempt, m.template_id, m.num_results,
                        static_cast<uint32_t>(m.refs.size()),
                        static_cast<uint32_t>(m.contained.size()),
                        static_cast<uint32_t>(m.arguments.size()), uint32_t{0});
  w->array(m.refs);
  w->array(m.contained);
  w->bytes(m.arguments);
}

struct ValueOfRecord {
  ObjectId id;
  uint8_t pushed, pad[3];
  uint64_t order;
  ValueRecord value;
};
static_assert(Flat<ValueOfRecord> && sizeof(ValueOfRecord) == 56);

inline model::Value read_value_message(Reader* r) {
  const auto f = r->header<ValueOfRecord>();
  model::Value m;
  m.id = f.id;
  m.pushed = r->flag(f.pushed, "its pushed is neither 0 nor 1");
  m.order = f.order;
  m.value = read_value(f.value, r);
  return m;
}

// A Value of at most one word inline, as most results are: all of its record.
struct WordValue {
  ValueOfRecord fixed;
  uint64_t word;

  // Copies a payload of this size from memory that another process may still change: every use of
  // the copy sees the bytes of one read.
  static WordValue read_once(const std::byte* payload) {
    WordValue record;
    std::memcpy(&record, payload, sizeof record);
    asm volatile("" : "+m"(record));
    return record;
  }
  // Of a payload that nobody has checked.
  static ObjectId id_at(const std::byte* payload) {
    ObjectId id;
    std::memcpy(&id, payload + offsetof(ValueOfRecord, id), sizeof id);
    return id;
  }
  // The message, which views this; false: it is none, as decode_node_message says in a sentence.
  bool to_message(model::Value* out) const {
    const auto format = static_cast<model::Format>(fixed.value.format);
    const uint64_t size = fixed.value.size;
    if (fixed.pushed > 1 || fixed.value.in_extent != 0 || size - 1 >= sizeof word ||
        !is_known(format) || !size_fits(format, size)) [[unlikely]] {
      return false;
    }
    out->id = fixed.id;
    out->pushed = fixed.pushed != 0;
    out->order = fixed.order;
    out->value.format = format;
    out->value.bytes = {reinterpret_cast<const std::byte*>(&word), size};
    return true;
  }
};
static_assert(Flat<WordValue> && sizeof(WordValue) == 64);

}  // namespace sundog::wire
