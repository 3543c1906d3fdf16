// Node -> client records. One Codec for each message: its fixed part, the size of the whole, how
// to write it and how to read it back.
#include "wire/codec.h"
#include "wire/codec_actors.h"
#include "wire/codec_calls.h"
#include "wire/codec_groups.h"
#include "wire/codec_streams.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

using namespace model;  // NOLINT: every name below is a message of the model

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
