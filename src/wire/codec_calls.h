// The records that every task costs, inline: whoever has one of them in its hand writes it into a
// ring without looking which message it is (docs/design/0002-sleep-protocol.md, "What a task costs
// besides").
#pragma once

#include "wire/call_records.h"
#include "wire/codec_streams.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

template <>
struct Codec<model::Execute> {
  static constexpr RecordType kType = RecordType::kExecute;
  static constexpr const char* kName = "Execute record";
  struct Fixed {
    TaskId task;
    uint32_t slot, generation, attempt, num_results;
    ObjectId function, actor;
    uint32_t name_bytes, method_bytes, num_refs, argument_bytes;
    uint8_t retry_exceptions, kind;
    uint16_t cpus, group, concurrency;
    uint8_t returns, pad[7];
  };
  struct Argument {
    ObjectId id;
    uint32_t pad;
    ValueRecord value;
  };
  // Behind all else, and only for a stream.
  struct Stream {
    uint64_t items, bytes;
  };
  static_assert(sizeof(Fixed) == 104 && sizeof(Argument) == 48 && sizeof(Stream) == 16);

  static uint64_t size(const model::Execute& m) {
    uint64_t total = sizeof(Fixed) + padded(m.name.size()) + padded(m.method.size()) +
                     padded(m.arguments.size()) + m.refs.size() * sizeof(Argument);
    for (const model::ArgumentView& a : m.refs) total += inline_size(a.value);
    if (m.returns == model::Returns::kStream) total += sizeof(Stream);
    return total;
  }
  static void write(const model::Execute& m, Writer* w) {
    w->header(Fixed{m.task,
                    m.slot,
                    m.generation,
                    m.attempt,
                    m.num_results,
                    m.function,
                    m.actor,
                    static_cast<uint32_t>(m.name.size()),
                    static_cast<uint32_t>(m.method.size()),
                    static_cast<uint32_t>(m.refs.size()),
                    static_cast<uint32_t>(m.arguments.size()),
                    m.retry_exceptions,
                    static_cast<uint8_t>(m.kind),
                    m.cpus,
                    m.group,
                    m.concurrency,
                    static_cast<uint8_t>(m.returns),
                    {}});
    w->text(m.name);
    w->text(m.method);
    w->bytes(m.arguments);
    for (const model::ArgumentView& a : m.refs) {
      w->header(Argument{a.id, 0, to_record(a.value)});
      write_inline(a.value, w);
    }
    if (m.returns == model::Returns::kStream) w->header(Stream{m.stream_items, m.stream_bytes});
  }
  static model::Execute read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    model::Execute m;
    m.task = f.task;
    m.slot = f.slot;
    r->require(f.slot < model::kClaimSlots, "its slot is none of the worker's");
    m.generation = f.generation;
    m.attempt = f.attempt;
    m.num_results = f.num_results;
    r->require(f.num_results <= model::kResultsMax, "it asks for more results than kResultsMax");
    m.function = f.function;
    m.retry_exceptions = r->flag(f.retry_exceptions, "its retry_exceptions is neither 0 nor 1");
    m.cpus = f.cpus;
    r->require(f.cpus >= 1, "it has no CPU");
    m.actor = f.actor;
    m.kind = static_cast<model::CallKind>(f.kind);
    r->require(f.kind >= 1 && f.kind <= static_cast<uint8_t>(model::CallKind::kMethod),
               "its kind is unknown");
    m.name = r->text(f.name_bytes, "name");
    m.method = r->text(f.method_bytes, "method");
    m.arguments = r->bytes(f.argument_bytes, "arguments");
    auto& refs = scratch->arguments;
    refs.clear();
    if (r->can_hold(f.num_refs, sizeof(Argument), "refs")) {
      for (uint32_t i = 0; i < f.num_refs && r->ok(); ++i) {
        const auto a = r->header<Argument>();
        refs.push_back({a.id, read_value(a.value, r)});
      }
    }
    m.refs = refs;
    m.group = f.group;
    m.concurrency = f.concurrency;
    r->require(f.group <= model::kConcurrencyGroupsMax && f.concurrency <= model::kConcurrencyMax,
               "its concurrency is beyond what an actor may have");
    m.returns = read_returns(f.returns, r);
    if (m.returns == model::Returns::kStream) {
      const auto credit = r->header<Stream>();
      m.stream_items = credit.items;
      m.stream_bytes = credit.bytes;
    }
    return m;
  }
};

template <>
struct Codec<model::Value> {
  static constexpr RecordType kType = RecordType::kValue;
  static constexpr const char* kName = "Value record";
  static uint64_t size(const model::Value& m) {
    return sizeof(ValueOfRecord) + inline_size(m.value);
  }
  static void write(const model::Value& m, Writer* w) {
    w->header(ValueOfRecord{m.id, m.pushed, {}, m.order, to_record(m.value)});
    write_inline(m.value, w);
  }
  static model::Value read(Reader* r, DecodeScratch*) { return read_value_message(r); }
};

}  // namespace sundog::wire
