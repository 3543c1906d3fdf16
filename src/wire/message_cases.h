// For tests and fuzz targets only: messages with random contents, and whether two messages say
// the same, compared field by field (independently of how records lie).
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/random.h"
#include "model/limits.h"
#include "model/messages.h"

namespace sundog::wire {

// ---------------------------------------------------------------- equality

template <typename T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
bool same(T a, T b) {
  return a == b;
}
inline bool same(std::string_view a, std::string_view b) { return a == b; }
inline bool same(const TaskId& a, const TaskId& b) { return a == b; }
inline bool same(const ObjectId& a, const ObjectId& b) { return a == b; }
inline bool same(const model::Extent& a, const model::Extent& b) {
  return a.arena == b.arena && a.offset == b.offset && a.size == b.size;
}
inline bool same(Bytes a, Bytes b) { return std::ranges::equal(a, b); }
inline bool same(const model::ValueView& a, const model::ValueView& b) {
  return a.format == b.format && same(a.extent, b.extent) && same(a.bytes, b.bytes);
}
inline bool same(const model::NamedAmount& a, const model::NamedAmount& b) {
  return a.name == b.name && a.amount == b.amount;
}
inline bool same(const model::RefCount& a, const model::RefCount& b) {
  return a.id == b.id && a.count == b.count;
}
inline bool same(std::span<const ObjectId> a, std::span<const ObjectId> b) {
  return std::ranges::equal(a, b);
}
inline bool same(const model::ResultView& a, const model::ResultView& b) {
  return a.index == b.index && same(a.value, b.value) && same(a.contained, b.contained);
}
inline bool same(const model::ArgumentView& a, const model::ArgumentView& b) {
  return same(a.id, b.id) && same(a.value, b.value);
}

template <typename T>
bool same(std::span<const T> a, std::span<const T> b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!same(a[i], b[i])) return false;
  return true;
}

// Every field of every message, once; both sides of the comparison use the same list.
template <typename M>
auto fields(const M& m) {
  using namespace model;  // NOLINT
  if constexpr (std::is_same_v<M, DefineTemplate>)
    return std::tie(m.template_id, m.language, m.function, m.name, m.source, m.resources,
                    m.max_retries, m.retry_exceptions, m.priority, m.runtime_env, m.kind, m.method,
                    m.lifetime, m.max_restarts, m.detached, m.max_concurrency, m.groups,
                    m.out_of_order, m.group, m.returns, m.stream_items, m.timeout_ns, m.max_calls,
                    m.placement_group, m.bundle, m.capture_children, m.outside_groups,
                    m.unrecorded);
  else if constexpr (std::is_same_v<M, Submit>)
    return std::tie(m.task, m.parent, m.actor, m.parent_attempt, m.template_id, m.num_results,
                    m.refs, m.contained, m.arguments);
  else if constexpr (std::is_same_v<M, Put>)
    return std::tie(m.id, m.value, m.contained, m.hold_for_job);
  else if constexpr (std::is_same_v<M, Allocate>)
    return std::tie(m.request, m.size);
  else if constexpr (std::is_same_v<M, Abandon>)
    return std::tie(m.extent);
  else if constexpr (std::is_same_v<M, Get>)
    return std::tie(m.request, m.num_ready, m.values, m.blocking, m.ids);
  else if constexpr (std::is_same_v<M, EndGet> || std::is_same_v<M, Waited>)
    return std::tie(m.request);
  else if constexpr (std::is_same_v<M, AddRefs> || std::is_same_v<M, DropRefs>)
    return std::tie(m.refs);
  else if constexpr (std::is_same_v<M, Unpin>)
    return std::tie(m.pins);
  else if constexpr (std::is_same_v<M, Credit>)
    return std::tie(m.bytes);
  else if constexpr (std::is_same_v<M, Results>)
    return std::tie(m.task, m.attempt, m.results);
  else if constexpr (std::is_same_v<M, Done>)
    return std::tie(m.task, m.attempt, m.slot, m.failed, m.retry, m.started, m.finished, m.results,
                    m.exiting);
  else if constexpr (std::is_same_v<M, CancelTask>)
    return std::tie(m.task, m.level, m.recursive, m.grace_ms);
  else if constexpr (std::is_same_v<M, Query>)
    return std::tie(m.request, m.question, m.argument);
  else if constexpr (std::is_same_v<M, Execute>)
    return std::tie(m.slot, m.generation, m.task, m.attempt, m.num_results, m.function, m.name,
                    m.kind, m.actor, m.method, m.retry_exceptions, m.cpus, m.refs, m.arguments,
                    m.group, m.concurrency, m.returns, m.stream_items, m.stream_bytes);
  else if constexpr (std::is_same_v<M, Value>)
    return std::tie(m.id, m.pushed, m.order, m.value);
  else if constexpr (std::is_same_v<M, Ready>)
    return std::tie(m.id, m.order);
  else if constexpr (std::is_same_v<M, Grant>)
    return std::tie(m.request, m.extent);
  else if constexpr (std::is_same_v<M, Refused>)
    return std::tie(m.request, m.reason);
  else if constexpr (std::is_same_v<M, Stop>)
    return std::tie(m.reason);
  else if constexpr (std::is_same_v<M, CancelRunning>)
    return std::tie(m.task, m.level);
  else if constexpr (std::is_same_v<M, Output>)
    return std::tie(m.pid, m.is_stderr, m.task_name, m.text);
  else if constexpr (std::is_same_v<M, Notice>)
    return std::tie(m.severity, m.text);
  else if constexpr (std::is_same_v<M, Reply>)
    return std::tie(m.request, m.last, m.text);
  else if constexpr (std::is_same_v<M, KillActor>)
    return std::tie(m.actor, m.no_restart);
  else if constexpr (std::is_same_v<M, ClaimName> || std::is_same_v<M, FindName>)
    return std::tie(m.request, m.name_space, m.name);
  else if constexpr (std::is_same_v<M, BindName>)
    return std::tie(m.name_space, m.name, m.actor, m.descriptor);
  else if constexpr (std::is_same_v<M, NameReply>)
    return std::tie(m.request, m.status, m.actor, m.descriptor);
  else if constexpr (std::is_same_v<M, StreamTaken>)
    return std::tie(m.task, m.taken, m.closed);
  else if constexpr (std::is_same_v<M, AwaitStream>)
    return std::tie(m.request, m.task, m.attempt, m.produced, m.blocking);
  else if constexpr (std::is_same_v<M, DefineEnvironment>)
    return std::tie(m.hash, m.patience_ns, m.prestart, m.description);
  else if constexpr (std::is_same_v<M, CreatePlacementGroup>)
    return std::tie(m.group, m.parent, m.strategy, m.detached, m.name_space, m.name, m.bundles,
                    m.resources, m.ready);
  else if constexpr (std::is_same_v<M, RemovePlacementGroup> || std::is_same_v<M, GroupRemoved>)
    return std::tie(m.group);
  else if constexpr (std::is_same_v<M, StreamCredit>)
    return std::tie(m.task, m.attempt, m.closed, m.items, m.bytes);
}

template <typename... Ms>
bool same_message(const std::variant<Ms...>& a, const std::variant<Ms...>& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&b]<typename M>(const M& left) {
        const M& right = std::get<M>(b);
        return std::apply(
            [&right](const auto&... l) {
              return std::apply([&](const auto&... r) { return (same(l, r) && ...); },
                                fields(right));
            },
            fields(left));
      },
      a);
}

// ---------------------------------------------------------------- random messages

// Owns what the messages it makes point to, until clear().
class MessageCases {
 public:
  explicit MessageCases(uint64_t seed) : random_(seed) {}

  model::ClientMessage client_message(size_t kind) { return pick<model::ClientMessage>(kind); }
  model::NodeMessage node_message(size_t kind) { return pick<model::NodeMessage>(kind); }
  Random& random() { return random_; }
  void clear() {
    texts_.clear();
    ids_.clear();
    words_.clear();
    counts_.clear();
    results_.clear();
    arguments_.clear();
    amounts_.clear();
  }

  uint32_t word() { return static_cast<uint32_t>(random_.next()); }
  bool coin() { return random_.one_in(2); }
  std::string_view text(size_t bytes_max = 70) {
    std::string& made = texts_.emplace_back(random_.below(bytes_max + 1), ' ');
    for (char& c : made) c = static_cast<char>(random_.next());
    return made;
  }
  TaskId task() {
    TaskId id;
    for (uint8_t& b : id.bytes) b = static_cast<uint8_t>(random_.next());
    return id;
  }
  ObjectId object() { return {task(), word()}; }
  std::span<const ObjectId> objects() {
    auto& made = ids_.emplace_back(random_.below(5));
    for (ObjectId& id : made) id = object();
    return made;
  }
  model::Extent extent() { return {word(), 0, random_.next() >> 1, 1 + (random_.next() >> 1)}; }
  model::ValueView value() {
    using model::Format;
    model::ValueView made;
    made.format = static_cast<Format>(1 + random_.below(13));
    if (coin()) {
      made.extent = extent();
      return made;
    }
    switch (made.format) {
      case Format::kNone:
      case Format::kEndOfStream:
        break;
      case Format::kBool:
        made.bytes = exactly(1);
        break;
      case Format::kInt64:
      case Format::kFloat64:
        made.bytes = exactly(8);
        break;
      case Format::kRef:
        made.bytes = exactly(20);
        break;
      default:
        made.bytes = as_bytes(text(200));
    }
    return made;
  }
  std::span<const model::RefCount> counts() {
    auto& made = counts_.emplace_back(random_.below(6));
    for (auto& c : made) c = {object(), word()};
    return made;
  }
  std::span<const model::ResultView> results() {
    auto& made = results_.emplace_back(random_.below(4));
    for (auto& r : made)
      r = {static_cast<uint32_t>(random_.below(model::kStreamItemsMax)), value(), objects()};
    return made;
  }
  std::span<const model::ArgumentView> arguments() {
    auto& made = arguments_.emplace_back(random_.below(4));
    for (auto& a : made) a = {object(), value()};
    return made;
  }
  std::span<const model::NamedAmount> amounts() {
    auto& made = amounts_.emplace_back(random_.below(4));
    for (auto& a : made) a = {text(12), static_cast<int64_t>(random_.next() >> 1)};
    return made;
  }

 private:
  template <typename Message, size_t kIndex = 0>
  Message pick(size_t kind) {
    if constexpr (kIndex < std::variant_size_v<Message>) {
      if (kind == kIndex) return make(std::variant_alternative_t<kIndex, Message>{});
      return pick<Message, kIndex + 1>(kind);
    } else {
      return Message{};
    }
  }
  Bytes exactly(size_t size) {
    std::string& made = texts_.emplace_back(size, ' ');
    for (char& c : made) c = static_cast<char>(random_.next());
    return as_bytes(made);
  }
  uint32_t num_results() { return static_cast<uint32_t>(random_.below(model::kResultsMax + 1)); }
  uint32_t slot() { return static_cast<uint32_t>(random_.below(model::kClaimSlots)); }
  model::CallKind call_kind() { return static_cast<model::CallKind>(1 + random_.below(3)); }
  uint16_t cpus() { return static_cast<uint16_t>(1 + random_.below(UINT16_MAX)); }
  std::span<const model::NamedAmount> groups() {
    auto& made = amounts_.emplace_back(random_.below(4));
    for (auto& a : made) a = {text(12), calls_at_once()};
    return made;
  }
  uint32_t calls_at_once() {
    return 1 + static_cast<uint32_t>(random_.below(model::kConcurrencyMax));
  }
  model::Returns returns() { return static_cast<model::Returns>(1 + random_.below(4)); }
  uint32_t items() { return static_cast<uint32_t>(random_.below(model::kStreamItemsMax + 1ull)); }
  model::CancelLevel level() { return static_cast<model::CancelLevel>(random_.below(4)); }
  TimeNs time() { return static_cast<TimeNs>(random_.next()); }

  model::DefineTemplate make(model::DefineTemplate) {
    return {word(),
            coin() ? model::Language::kPython : model::Language::kCpp,
            object(),
            text(),
            text(),
            amounts(),
            static_cast<int32_t>(random_.below(9)) - 1,
            coin(),
            static_cast<int32_t>(word()),
            random_.next(),
            call_kind(),
            text(),
            amounts(),
            static_cast<int32_t>(random_.below(9)) - 1,
            coin(),
            calls_at_once(),
            groups(),
            coin(),
            text(),

            returns(),
            random_.next(),
            static_cast<DurationNs>(random_.next() >> 1),
            word(),
            task(),
            static_cast<int32_t>(random_.below(9)) - 1,
            static_cast<model::CaptureChildren>(random_.below(3)),
            coin()};
  }
  model::Submit make(model::Submit) {
    return {task(),        task(),    object(),  word(),          word(),
            num_results(), objects(), objects(), as_bytes(text())};
  }
  model::Put make(model::Put) { return {object(), value(), objects(), coin()}; }
  model::Allocate make(model::Allocate) { return {word(), 1 + (random_.next() >> 1)}; }
  model::Abandon make(model::Abandon) { return {extent()}; }
  model::Get make(model::Get) {
    auto ids = objects();
    return {word(), static_cast<uint32_t>(random_.below(ids.size() + 1)), coin(), coin(), ids};
  }
  model::EndGet make(model::EndGet) { return {word()}; }
  model::AddRefs make(model::AddRefs) { return {counts()}; }
  model::DropRefs make(model::DropRefs) { return {counts()}; }
  model::Unpin make(model::Unpin) { return {counts()}; }
  model::Credit make(model::Credit) { return {random_.next()}; }
  model::Results make(model::Results) { return {task(), word(), results()}; }
  model::Done make(model::Done) {
    return {task(), word(), slot(), coin(), coin(), time(), time(), results(), coin()};
  }
  model::CancelTask make(model::CancelTask) { return {task(), level(), coin(), word()}; }
  model::Query make(model::Query) {
    return {word(), static_cast<model::Question>(1 + random_.below(11)), text()};
  }
  model::Execute make(model::Execute) {
    model::Execute made{slot(),
                        word(),
                        task(),
                        word(),
                        num_results(),
                        object(),
                        text(),
                        call_kind(),
                        object(),
                        text(),
                        coin(),
                        cpus(),
                        arguments(),
                        as_bytes(text()),
                        static_cast<uint16_t>(random_.below(model::kConcurrencyGroupsMax + 1)),
                        static_cast<uint16_t>(calls_at_once())};
    made.returns = returns();
    if (made.returns != model::Returns::kStream) return made;
    made.stream_items = random_.next();
    made.stream_bytes = random_.next();
    return made;
  }
  model::Value make(model::Value) { return {object(), coin(), random_.next(), value()}; }
  model::Ready make(model::Ready) { return {object(), random_.next()}; }
  model::Waited make(model::Waited) { return {word()}; }
  model::Grant make(model::Grant) { return {word(), extent()}; }
  model::Refused make(model::Refused) { return {word(), text()}; }
  model::Stop make(model::Stop) { return {text()}; }
  model::CancelRunning make(model::CancelRunning) { return {task(), level()}; }
  model::Output make(model::Output) { return {word(), coin(), text(), text()}; }
  model::Notice make(model::Notice) { return {static_cast<uint8_t>(random_.below(3)), text()}; }
  model::Reply make(model::Reply) { return {word(), coin(), text()}; }
  model::KillActor make(model::KillActor) { return {object(), coin()}; }
  model::ClaimName make(model::ClaimName) { return {word(), text(), text()}; }
  model::BindName make(model::BindName) { return {text(), text(), object(), object()}; }
  model::FindName make(model::FindName) { return {word(), text(), text()}; }
  model::CreatePlacementGroup make(model::CreatePlacementGroup) {
    model::CreatePlacementGroup made;
    made.group = task();
    made.parent = task();
    made.strategy = static_cast<model::GroupStrategy>(1 + random_.below(4));
    made.detached = coin();
    made.name_space = text();
    made.name = text();
    made.resources = amounts();
    auto& bundles = words_.emplace_back(1 + random_.below(3));
    for (size_t i = 0; i < made.resources.size(); ++i) ++bundles[random_.below(bundles.size())];
    made.bundles = bundles;
    made.ready.format = model::Format::kText;
    made.ready.bytes = as_bytes(text());
    return made;
  }
  model::RemovePlacementGroup make(model::RemovePlacementGroup) { return {task()}; }
  model::GroupRemoved make(model::GroupRemoved) { return {task()}; }
  model::StreamTaken make(model::StreamTaken) { return {task(), word(), coin()}; }
  model::AwaitStream make(model::AwaitStream) { return {word(), task(), word(), items(), coin()}; }
  model::DefineEnvironment make(model::DefineEnvironment) {
    return {1 + (random_.next() >> 1), static_cast<DurationNs>(random_.next() >> 1), word(),
            text()};
  }
  model::StreamCredit make(model::StreamCredit) {
    return {task(), word(), coin(), random_.next(), random_.next()};
  }
  model::NameReply make(model::NameReply) {
    return {word(), static_cast<model::NameStatus>(1 + random_.below(3)), object(), object()};
  }

  Random random_;
  // Deques: what was handed out stays where it is.
  std::deque<std::string> texts_;
  std::deque<std::vector<ObjectId>> ids_;
  std::deque<std::vector<uint32_t>> words_;
  std::deque<std::vector<model::RefCount>> counts_;
  std::deque<std::vector<model::ResultView>> results_;
  std::deque<std::vector<model::ArgumentView>> arguments_;
  std::deque<std::vector<model::NamedAmount>> amounts_;
};

}  // namespace sundog::wire
