// Node -> client records. One Codec for each message: its fixed part, the size of the whole, how
// to write it and how to read it back.
#include "wire/codec.h"
#include "wire/codec_actors.h"
#include "wire/codec_groups.h"
#include "wire/codec_streams.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

using namespace model;  // NOLINT: every name below is a message of the model

template <>
struct Codec<Execute> {
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

  static uint64_t size(const Execute& m) {
    uint64_t total = sizeof(Fixed) + padded(m.name.size()) + padded(m.method.size()) +
                     padded(m.arguments.size()) + m.refs.size() * sizeof(Argument);
    for (const ArgumentView& a : m.refs) total += inline_size(a.value);
    if (m.returns == Returns::kStream) total += sizeof(Stream);
    return total;
  }
  static void write(const Execute& m, Writer* w) {
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
    for (const ArgumentView& a : m.refs) {
      w->header(Argument{a.id, 0, to_record(a.value)});
      write_inline(a.value, w);
    }
    if (m.returns == Returns::kStream) w->header(Stream{m.stream_items, m.stream_bytes});
  }
  static Execute read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    Execute m;
    m.task = f.task;
    m.slot = f.slot;
    r->require(f.slot < kClaimSlots, "its slot is none of the worker's");
    m.generation = f.generation;
    m.attempt = f.attempt;
    m.num_results = f.num_results;
    r->require(f.num_results <= kResultsMax, "it asks for more results than kResultsMax");
    m.function = f.function;
    m.retry_exceptions = r->flag(f.retry_exceptions, "its retry_exceptions is neither 0 nor 1");
    m.cpus = f.cpus;
    r->require(f.cpus >= 1, "it has no CPU");
    m.actor = f.actor;
    m.kind = static_cast<CallKind>(f.kind);
    r->require(f.kind >= 1 && f.kind <= static_cast<uint8_t>(CallKind::kMethod),
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
    r->require(f.group <= kConcurrencyGroupsMax && f.concurrency <= kConcurrencyMax,
               "its concurrency is beyond what an actor may have");
    m.returns = read_returns(f.returns, r);
    if (m.returns == Returns::kStream) {
      const auto credit = r->header<Stream>();
      m.stream_items = credit.items;
      m.stream_bytes = credit.bytes;
    }
    return m;
  }
};

template <>
struct Codec<Value> {
  static constexpr RecordType kType = RecordType::kValue;
  static constexpr const char* kName = "Value record";
  struct Fixed {
    ObjectId id;
    uint8_t pushed, pad[3];
    uint64_t order;
    ValueRecord value;
  };
  static_assert(sizeof(Fixed) == 56);

  static uint64_t size(const Value& m) { return sizeof(Fixed) + inline_size(m.value); }
  static void write(const Value& m, Writer* w) {
    w->header(Fixed{m.id, m.pushed, {}, m.order, to_record(m.value)});
    write_inline(m.value, w);
  }
  static Value read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    Value m;
    m.id = f.id;
    m.pushed = r->flag(f.pushed, "its pushed is neither 0 nor 1");
    m.order = f.order;
    m.value = read_value(f.value, r);
    return m;
  }
};

template <>
struct Codec<Ready> {
  static constexpr RecordType kType = RecordType::kReady;
  static constexpr const char* kName = "Ready record";
  struct Fixed {
    ObjectId id;
    uint32_t pad;
    uint64_t order;
  };
  static_assert(sizeof(Fixed) == 32);

  static uint64_t size(const Ready&) { return sizeof(Fixed); }
  static void write(const Ready& m, Writer* w) { w->header(Fixed{m.id, 0, m.order}); }
  static Ready read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.id, f.order};
  }
};

template <>
struct Codec<Waited> : RequestOnlyCodec<Waited> {
  static constexpr RecordType kType = RecordType::kWaited;
  static constexpr const char* kName = "Waited record";
};

template <>
struct Codec<Grant> {
  static constexpr RecordType kType = RecordType::kGrant;
  static constexpr const char* kName = "Grant record";
  struct Fixed {
    uint32_t request, pad;
    ExtentRecord extent;
  };
  static_assert(sizeof(Fixed) == 32);

  static uint64_t size(const Grant&) { return sizeof(Fixed); }
  static void write(const Grant& m, Writer* w) {
    w->header(Fixed{m.request, 0, to_record(m.extent)});
  }
  static Grant read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.request, read_extent(f.extent, r)};
  }
};

template <>
struct Codec<Refused> {
  static constexpr RecordType kType = RecordType::kRefused;
  static constexpr const char* kName = "Refused record";
  struct Fixed {
    uint32_t request, reason_bytes;
  };

  static uint64_t size(const Refused& m) { return sizeof(Fixed) + padded(m.reason.size()); }
  static void write(const Refused& m, Writer* w) {
    w->header(Fixed{m.request, static_cast<uint32_t>(m.reason.size())});
    w->text(m.reason);
  }
  static Refused read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    return {f.request, r->text(f.reason_bytes, "reason")};
  }
};

template <>
struct Codec<Stop> {
  static constexpr RecordType kType = RecordType::kStop;
  static constexpr const char* kName = "Stop record";
  struct Fixed {
    uint32_t reason_bytes, pad;
  };

  static uint64_t size(const Stop& m) { return sizeof(Fixed) + padded(m.reason.size()); }
  static void write(const Stop& m, Writer* w) {
    w->header(Fixed{static_cast<uint32_t>(m.reason.size()), 0});
    w->text(m.reason);
  }
  static Stop read(Reader* r, DecodeScratch*) {
    return {r->text(r->header<Fixed>().reason_bytes, "reason")};
  }
};

template <>
struct Codec<CancelRunning> {
  static constexpr RecordType kType = RecordType::kCancelRunning;
  static constexpr const char* kName = "CancelRunning record";
  struct Fixed {
    TaskId task;
    uint8_t level, pad[7];
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const CancelRunning&) { return sizeof(Fixed); }
  static void write(const CancelRunning& m, Writer* w) {
    w->header(Fixed{m.task, static_cast<uint8_t>(m.level), {}});
  }
  static CancelRunning read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.level <= kCancelLevelMax, "its level is unknown");
    return {f.task, static_cast<CancelLevel>(f.level)};
  }
};

template <>
struct Codec<Output> {
  static constexpr RecordType kType = RecordType::kOutput;
  static constexpr const char* kName = "Output record";
  struct Fixed {
    uint32_t pid, task_name_bytes, text_bytes;
    uint8_t is_stderr, pad[3];
  };
  static_assert(sizeof(Fixed) == 16);

  static uint64_t size(const Output& m) {
    return sizeof(Fixed) + padded(m.task_name.size()) + padded(m.text.size());
  }
  static void write(const Output& m, Writer* w) {
    w->header(Fixed{m.pid,
                    static_cast<uint32_t>(m.task_name.size()),
                    static_cast<uint32_t>(m.text.size()),
                    m.is_stderr,
                    {}});
    w->text(m.task_name);
    w->text(m.text);
  }
  static Output read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    Output m;
    m.pid = f.pid;
    m.is_stderr = r->flag(f.is_stderr, "its is_stderr is neither 0 nor 1");
    m.task_name = r->text(f.task_name_bytes, "task name");
    m.text = r->text(f.text_bytes, "text");
    return m;
  }
};

template <>
struct Codec<Notice> {
  static constexpr RecordType kType = RecordType::kNotice;
  static constexpr const char* kName = "Notice record";
  struct Fixed {
    uint32_t text_bytes;
    uint8_t severity, pad[3];
  };
  static_assert(sizeof(Fixed) == 8);
  static constexpr uint8_t kSeverityMax = 2;

  static uint64_t size(const Notice& m) { return sizeof(Fixed) + padded(m.text.size()); }
  static void write(const Notice& m, Writer* w) {
    w->header(Fixed{static_cast<uint32_t>(m.text.size()), m.severity, {}});
    w->text(m.text);
  }
  static Notice read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.severity <= kSeverityMax, "its severity is unknown");
    return {f.severity, r->text(f.text_bytes, "text")};
  }
};

template <>
struct Codec<Reply> {
  static constexpr RecordType kType = RecordType::kReply;
  static constexpr const char* kName = "Reply record";
  struct Fixed {
    uint32_t request, text_bytes;
    uint8_t last, pad[7];
  };
  static_assert(sizeof(Fixed) == 16);

  static uint64_t size(const Reply& m) { return sizeof(Fixed) + padded(m.text.size()); }
  static void write(const Reply& m, Writer* w) {
    w->header(Fixed{m.request, static_cast<uint32_t>(m.text.size()), m.last, {}});
    w->text(m.text);
  }
  static Reply read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    const bool last = r->flag(f.last, "its last is neither 0 nor 1");
    return {f.request, last, r->text(f.text_bytes, "text")};
  }
};

RecordType encode(const NodeMessage& message, std::vector<std::byte>* out) {
  return encode_message<Codec>(message, out);
}
size_t encoded_size(const NodeMessage& message) { return message_size<Codec>(message); }
RecordType encode_at(const NodeMessage& message, std::byte* at) {
  return write_message<Codec>(message, at);
}
Result<NodeMessage> decode_node_message(RecordType type, Bytes payload, DecodeScratch* scratch) {
  return decode_message<Codec, NodeMessage>(type, payload, scratch, "a node's");
}
bool decode_node_message(RecordType type, Bytes payload, DecodeScratch* scratch, NodeMessage* out,
                         std::string* why) {
  return decode_message<Codec>(type, payload, scratch, "a node's", out, why);
}

}  // namespace sundog::wire
