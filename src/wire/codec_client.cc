// Client -> node records. One Codec for each message: its fixed part, the size of the whole, how
// to write it and how to read it back.
#include "wire/call_records.h"
#include "wire/codec.h"
#include "wire/codec_actors.h"
#include "wire/codec_groups.h"
#include "wire/codec_streams.h"
#include "wire/codec_visit.h"
#include "wire/layout.h"

namespace sundog::wire {

using namespace model;  // NOLINT: every name below is a message of the model

template <>
struct Codec<DefineTemplate> {
  static constexpr RecordType kType = RecordType::kDefineTemplate;
  static constexpr const char* kName = "DefineTemplate record";
  struct Fixed {
    uint32_t template_id;
    uint8_t language, retry_exceptions, kind, detached;
    ObjectId function;
    int32_t max_retries, priority, max_restarts;
    uint32_t name_bytes, source_bytes, method_bytes, num_resources, num_lifetime, max_concurrency;
    uint64_t runtime_env;
    uint32_t group_bytes, num_groups;
    uint64_t stream_items;
    uint8_t out_of_order, returns, capture_children, outside_groups;
    uint32_t max_calls;
    int64_t timeout_ns;
    TaskId placement_group;
    int32_t bundle;
    uint8_t unrecorded, pad[3];
  };
  static_assert(sizeof(Fixed) == 128);

  static uint64_t size(const DefineTemplate& m) {
    uint64_t total = sizeof(Fixed) + padded(m.name.size()) + padded(m.source.size()) +
                     padded(m.method.size()) + padded(m.group.size());
    return total + amounts_size(m.resources) + amounts_size(m.lifetime) + amounts_size(m.groups);
  }
  static void write(const DefineTemplate& m, Writer* w) {
    auto length = [](const auto& part) { return static_cast<uint32_t>(part.size()); };
    w->header(Fixed{m.template_id,
                    static_cast<uint8_t>(m.language),
                    m.retry_exceptions,
                    static_cast<uint8_t>(m.kind),
                    m.detached,
                    m.function,
                    m.max_retries,
                    m.priority,
                    m.max_restarts,
                    length(m.name),
                    length(m.source),
                    length(m.method),
                    length(m.resources),
                    length(m.lifetime),
                    m.max_concurrency,
                    m.runtime_env,
                    length(m.group),
                    length(m.groups),
                    m.stream_items,
                    m.out_of_order,
                    static_cast<uint8_t>(m.returns),
                    static_cast<uint8_t>(m.capture_children),
                    m.outside_groups,
                    m.max_calls,
                    m.timeout_ns,
                    m.placement_group,
                    m.bundle,
                    m.unrecorded,
                    {}});
    w->text(m.name);
    w->text(m.source);
    w->text(m.method);
    w->text(m.group);
    write_amounts(m.resources, w);
    write_amounts(m.lifetime, w);
    write_amounts(m.groups, w);
  }
  static DefineTemplate read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    DefineTemplate m;
    m.template_id = f.template_id;
    m.language = static_cast<Language>(f.language);
    r->require(m.language == Language::kPython || m.language == Language::kCpp,
               "its language is unknown");
    m.function = f.function;
    m.name = r->text(f.name_bytes, "name");
    m.source = r->text(f.source_bytes, "source");
    m.max_retries = f.max_retries;
    r->require(f.max_retries >= -1, "its number of retries is under -1");
    m.retry_exceptions = r->flag(f.retry_exceptions, "its retry_exceptions is neither 0 nor 1");
    m.priority = f.priority;
    m.runtime_env = f.runtime_env;
    m.kind = static_cast<CallKind>(f.kind);
    r->require(f.kind >= 1 && f.kind <= static_cast<uint8_t>(CallKind::kMethod),
               "its kind is unknown");
    m.method = r->text(f.method_bytes, "method");
    r->require(f.max_restarts >= -1, "its number of restarts is under -1");
    m.max_restarts = f.max_restarts;
    m.detached = r->flag(f.detached, "its detached is neither 0 nor 1");
    m.group = r->text(f.group_bytes, "concurrency group");
    m.returns = read_returns(f.returns, r);
    m.stream_items = f.stream_items;
    m.max_calls = f.max_calls;
    m.timeout_ns = f.timeout_ns;
    r->require(f.timeout_ns >= 0, "its timeout is under 0");
    m.resources = read_amounts(f.num_resources, r, &scratch->resources);
    m.lifetime = read_amounts(f.num_lifetime, r, &scratch->lifetime);
    m.groups = read_amounts(f.num_groups, r, &scratch->groups);
    r->require(m.groups.size() <= kConcurrencyGroupsMax, "it has too many concurrency groups");
    for (const NamedAmount& g : m.groups) check_concurrency(g.amount, r);
    m.max_concurrency = f.max_concurrency;
    check_concurrency(f.max_concurrency, r);
    m.out_of_order = r->flag(f.out_of_order, "its out_of_order is neither 0 nor 1");
    m.placement_group = f.placement_group;
    m.bundle = f.bundle;
    r->require(f.bundle >= -1, "its bundle is under -1");
    m.capture_children = static_cast<CaptureChildren>(f.capture_children);
    r->require(f.capture_children <= static_cast<uint8_t>(CaptureChildren::kYes),
               "its capture_children is unknown");
    m.outside_groups = r->flag(f.outside_groups, "its outside_groups is neither 0 nor 1");
    m.unrecorded = r->flag(f.unrecorded, "its unrecorded is neither 0 nor 1");
    return m;
  }

 private:
  static void check_concurrency(int64_t calls, Reader* r) {
    r->require(calls >= 1 && calls <= kConcurrencyMax,
               "its limit of calls is not from 1 to kConcurrencyMax");
  }
};

template <>
struct Codec<Submit> {
  static constexpr RecordType kType = RecordType::kSubmit;
  static constexpr const char* kName = "Submit record";

  static uint64_t size(const Submit& m) { return submit_size(m); }
  static void write(const Submit& m, Writer* w) { write_submit(m, w); }
  static Submit read(Reader* r, DecodeScratch*) {
    const auto f = r->header<SubmitRecord>();
    Submit m;
    m.task = f.task;
    m.parent = f.parent;
    m.actor = f.actor;
    m.parent_attempt = f.parent_attempt;
    m.template_id = f.template_id;
    m.num_results = f.num_results;
    r->require(f.num_results <= kResultsMax, "it asks for more results than kResultsMax");
    r->require(uint64_t{f.num_refs} + f.num_contained <= kTaskReferencesMax,
               "it names more references than kTaskReferencesMax");
    m.refs = r->array<ObjectId>(f.num_refs, "refs");
    m.contained = r->array<ObjectId>(f.num_contained, "contained");
    m.arguments = r->bytes(f.argument_bytes, "arguments");
    return m;
  }
};

template <>
struct Codec<Put> {
  static constexpr RecordType kType = RecordType::kPut;
  static constexpr const char* kName = "Put record";
  struct Fixed {
    ObjectId id;
    uint32_t num_contained;
    ValueRecord value;
    uint8_t hold_for_job, pad[7];
  };
  static_assert(sizeof(Fixed) == 56);

  static uint64_t size(const Put& m) {
    return sizeof(Fixed) + inline_size(m.value) + padded(m.contained.size_bytes());
  }
  static void write(const Put& m, Writer* w) {
    w->header(Fixed{
        m.id, static_cast<uint32_t>(m.contained.size()), to_record(m.value), m.hold_for_job, {}});
    write_inline(m.value, w);
    w->array(m.contained);
  }
  static Put read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    Put m;
    m.id = f.id;
    m.value = read_value(f.value, r);
    m.contained = r->array<ObjectId>(f.num_contained, "contained");
    m.hold_for_job = r->flag(f.hold_for_job, "its hold_for_job is neither 0 nor 1");
    return m;
  }
};

template <>
struct Codec<Allocate> {
  static constexpr RecordType kType = RecordType::kAllocate;
  static constexpr const char* kName = "Allocate record";
  struct Fixed {
    uint64_t size;
    uint32_t request, pad;
  };
  static_assert(sizeof(Fixed) == 16);

  static uint64_t size(const Allocate&) { return sizeof(Fixed); }
  static void write(const Allocate& m, Writer* w) { w->header(Fixed{m.size, m.request, 0}); }
  static Allocate read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.size != 0, "it asks for no bytes");
    return {f.request, f.size};
  }
};

template <>
struct Codec<Abandon> {
  static constexpr RecordType kType = RecordType::kAbandon;
  static constexpr const char* kName = "Abandon record";

  static uint64_t size(const Abandon&) { return sizeof(ExtentRecord); }
  static void write(const Abandon& m, Writer* w) { w->header(to_record(m.extent)); }
  static Abandon read(Reader* r, DecodeScratch*) {
    return {read_extent(r->header<ExtentRecord>(), r)};
  }
};

template <>
struct Codec<Get> {
  static constexpr RecordType kType = RecordType::kGet;
  static constexpr const char* kName = "Get record";
  struct Fixed {
    uint32_t request, num_ready, num_ids;
    uint8_t values, blocking;
    uint16_t pad;
  };
  static_assert(sizeof(Fixed) == 16);

  static uint64_t size(const Get& m) { return sizeof(Fixed) + padded(m.ids.size_bytes()); }
  static void write(const Get& m, Writer* w) {
    w->header(Fixed{m.request, m.num_ready, static_cast<uint32_t>(m.ids.size()), m.values,
                    m.blocking, 0});
    w->array(m.ids);
  }
  static Get read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    Get m;
    m.request = f.request;
    m.num_ready = f.num_ready;
    r->require(f.num_ready <= f.num_ids, "it waits for more objects than it names");
    m.values = r->flag(f.values, "its values is neither 0 nor 1");
    m.blocking = r->flag(f.blocking, "its blocking is neither 0 nor 1");
    m.ids = r->array<ObjectId>(f.num_ids, "ids");
    return m;
  }
};

template <>
struct Codec<EndGet> : RequestOnlyCodec<EndGet> {
  static constexpr RecordType kType = RecordType::kEndGet;
  static constexpr const char* kName = "EndGet record";
};

// AddRefs, DropRefs and Unpin: a list of counts.
template <typename M, std::span<const RefCount> M::*kCounts>
struct CountsCodec {
  struct Fixed {
    uint32_t num_counts, pad;
  };

  static uint64_t size(const M& m) { return sizeof(Fixed) + padded((m.*kCounts).size_bytes()); }
  static void write(const M& m, Writer* w) {
    w->header(Fixed{static_cast<uint32_t>((m.*kCounts).size()), 0});
    w->array(m.*kCounts);
  }
  static M read(Reader* r, DecodeScratch*) {
    M m;
    m.*kCounts = r->array<RefCount>(r->header<Fixed>().num_counts, "counts");
    return m;
  }
};
template <>
struct Codec<AddRefs> : CountsCodec<AddRefs, &AddRefs::refs> {
  static constexpr RecordType kType = RecordType::kAddRefs;
  static constexpr const char* kName = "AddRefs record";
};
template <>
struct Codec<DropRefs> : CountsCodec<DropRefs, &DropRefs::refs> {
  static constexpr RecordType kType = RecordType::kDropRefs;
  static constexpr const char* kName = "DropRefs record";
};
template <>
struct Codec<Unpin> : CountsCodec<Unpin, &Unpin::pins> {
  static constexpr RecordType kType = RecordType::kUnpin;
  static constexpr const char* kName = "Unpin record";
};

template <>
struct Codec<Credit> {
  static constexpr RecordType kType = RecordType::kCredit;
  static constexpr const char* kName = "Credit record";

  static uint64_t size(const Credit&) { return sizeof(uint64_t); }
  static void write(const Credit& m, Writer* w) { w->header(m.bytes); }
  static Credit read(Reader* r, DecodeScratch*) { return {r->header<uint64_t>()}; }
};

// The results inside Results and Done.
struct ResultFixed {
  uint32_t index, num_contained;
  ValueRecord value;
};
static_assert(sizeof(ResultFixed) == 32);

uint64_t results_size(std::span<const ResultView> results) {
  uint64_t total = results.size() * sizeof(ResultFixed);
  for (const ResultView& r : results)
    total += inline_size(r.value) + padded(r.contained.size_bytes());
  return total;
}
void write_results(std::span<const ResultView> results, Writer* w) {
  for (const ResultView& r : results) {
    w->header(ResultFixed{r.index, static_cast<uint32_t>(r.contained.size()), to_record(r.value)});
    write_inline(r.value, w);
    w->array(r.contained);
  }
}
std::span<const ResultView> read_results(uint32_t count, Reader* r, DecodeScratch* scratch) {
  auto& results = scratch->results;
  results.clear();
  if (!r->can_hold(count, sizeof(ResultFixed), "results")) return {};
  for (uint32_t i = 0; i < count && r->ok(); ++i) {
    const auto f = r->header<ResultFixed>();
    r->require(f.index <= kStreamItemsMax, "a result's index is over kStreamItemsMax");
    const ValueView value = read_value(f.value, r);
    results.push_back({f.index, value, r->array<ObjectId>(f.num_contained, "contained")});
  }
  return results;
}

template <>
struct Codec<Results> {
  static constexpr RecordType kType = RecordType::kResults;
  static constexpr const char* kName = "Results record";
  struct Fixed {
    TaskId task;
    uint32_t attempt, num_results;
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const Results& m) { return sizeof(Fixed) + results_size(m.results); }
  static void write(const Results& m, Writer* w) {
    w->header(Fixed{m.task, m.attempt, static_cast<uint32_t>(m.results.size())});
    write_results(m.results, w);
  }
  static Results read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    return {f.task, f.attempt, read_results(f.num_results, r, scratch)};
  }
};

template <>
struct Codec<Done> {
  static constexpr RecordType kType = RecordType::kDone;
  static constexpr const char* kName = "Done record";
  struct Fixed {
    TaskId task;
    uint32_t attempt, slot, num_results;
    uint8_t failed, retry, exiting, pad;
    TimeNs started, finished;
  };
  static_assert(sizeof(Fixed) == 48);

  static uint64_t size(const Done& m) { return sizeof(Fixed) + results_size(m.results); }
  static void write(const Done& m, Writer* w) {
    w->header(Fixed{m.task, m.attempt, m.slot, static_cast<uint32_t>(m.results.size()), m.failed,
                    m.retry, m.exiting, 0, m.started, m.finished});
    write_results(m.results, w);
  }
  static Done read(Reader* r, DecodeScratch* scratch) {
    const auto f = r->header<Fixed>();
    Done m;
    m.task = f.task;
    m.attempt = f.attempt;
    m.slot = f.slot;
    r->require(f.slot < kClaimSlots, "its slot is none of the worker's");
    m.failed = r->flag(f.failed, "its failed is neither 0 nor 1");
    m.retry = r->flag(f.retry, "its retry is neither 0 nor 1");
    m.exiting = r->flag(f.exiting, "its exiting is neither 0 nor 1");
    m.started = f.started;
    m.finished = f.finished;
    m.results = read_results(f.num_results, r, scratch);
    return m;
  }
};

template <>
struct Codec<CancelTask> {
  static constexpr RecordType kType = RecordType::kCancelTask;
  static constexpr const char* kName = "CancelTask record";
  struct Fixed {
    TaskId task;
    uint8_t level, recursive, pad[2];
    uint32_t grace_ms;
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const CancelTask&) { return sizeof(Fixed); }
  static void write(const CancelTask& m, Writer* w) {
    w->header(Fixed{m.task, static_cast<uint8_t>(m.level), m.recursive, {}, m.grace_ms});
  }
  static CancelTask read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.level <= kCancelLevelMax, "its level is unknown");
    return {f.task, static_cast<CancelLevel>(f.level),
            r->flag(f.recursive, "its recursive is neither 0 nor 1"), f.grace_ms};
  }
};

template <>
struct Codec<Query> {
  static constexpr RecordType kType = RecordType::kQuery;
  static constexpr const char* kName = "Query record";
  struct Fixed {
    uint32_t request, argument_bytes;
    uint8_t question, pad[7];
  };
  static_assert(sizeof(Fixed) == 16);

  static uint64_t size(const Query& m) { return sizeof(Fixed) + padded(m.argument.size()); }
  static void write(const Query& m, Writer* w) {
    w->header(Fixed{
        m.request, static_cast<uint32_t>(m.argument.size()), static_cast<uint8_t>(m.question), {}});
    w->text(m.argument);
  }
  static Query read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.question >= 1 && f.question <= static_cast<uint8_t>(Question::kEnvironments),
               "its question is unknown");
    return {f.request, static_cast<Question>(f.question), r->text(f.argument_bytes, "argument")};
  }
};

template <>
struct Codec<DefineEnvironment> {
  static constexpr RecordType kType = RecordType::kDefineEnvironment;
  static constexpr const char* kName = "DefineEnvironment record";
  struct Fixed {
    uint64_t hash;
    int64_t patience_ns;
    uint32_t prestart, description_bytes;
  };
  static_assert(sizeof(Fixed) == 24);

  static uint64_t size(const DefineEnvironment& m) {
    return sizeof(Fixed) + padded(m.description.size());
  }
  static void write(const DefineEnvironment& m, Writer* w) {
    w->header(
        Fixed{m.hash, m.patience_ns, m.prestart, static_cast<uint32_t>(m.description.size())});
    w->text(m.description);
  }
  static DefineEnvironment read(Reader* r, DecodeScratch*) {
    const auto f = r->header<Fixed>();
    r->require(f.hash != 0, "its hash is 0, which is the job's own environment");
    r->require(f.patience_ns >= 0, "its patience is under 0");
    return {f.hash, f.patience_ns, f.prestart, r->text(f.description_bytes, "description")};
  }
};

RecordType encode(const ClientMessage& message, std::vector<std::byte>* out) {
  return encode_message<Codec>(message, out);
}
size_t encoded_size(const ClientMessage& message) { return message_size<Codec>(message); }
RecordType encode_at(const ClientMessage& message, std::byte* at) {
  return write_message<Codec>(message, at);
}
Result<ClientMessage> decode_client_message(RecordType type, Bytes payload,
                                            DecodeScratch* scratch) {
  return decode_message<Codec, ClientMessage>(type, payload, scratch, "a client's");
}
bool decode_client_message(RecordType type, Bytes payload, DecodeScratch* scratch,
                           ClientMessage* out, std::string* why) {
  return decode_message<Codec>(type, payload, scratch, "a client's", out, why);
}

}  // namespace sundog::wire
