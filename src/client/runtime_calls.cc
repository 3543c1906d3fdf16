// Submitting, values and questions. See runtime_impl.h.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/hash.h"
#include "client/copy.h"
#include "client/runtime_impl.h"
#include "os/clock.h"
#include "wire/arguments.h"

namespace sundog::client {
namespace {

// Long copies are made with the interpreter given up.
constexpr uint64_t kYieldForCopyMin = 1 << 20;
// How long "is it there now?" may take: a node that does not answer is busy or gone.
constexpr DurationNs kBarrierTimeout = kSecond;

CallError bad_argument(std::string text) { return {CallStatus::kBadArgument, std::move(text)}; }

}  // namespace

// Room in an arena: writable until it is sealed or given back.
class RoomImpl final : public Room {
 public:
  RoomImpl(RuntimeImpl* runtime, const model::Extent& extent, os::Mapping mapping, uint64_t size)
      : runtime_(runtime), extent_(extent), mapping_(std::move(mapping)), size_(size) {}
  ~RoomImpl() override {
    if (sealed_) return;
    seal();
    if (runtime_->unusable()) return;
    RuntimeImpl::Operation operation(runtime_);
    runtime_->core_.send(model::Abandon{extent_});
  }
  std::byte* data() override { return mapping_.data(); }
  uint64_t size() const override { return size_; }
  Result<std::shared_ptr<void>> become_private() override {
    return runtime_->views_.make_private(extent_, &mapping_);
  }

  // Gives up writing; what is to be named in a message.
  model::Extent seal() {
    if (mapping_) runtime_->writers_.seal(extent_, std::exchange(mapping_, os::Mapping()));
    sealed_ = true;
    model::Extent used = extent_;
    used.size = size_;
    return used;
  }

 private:
  RuntimeImpl* runtime_;
  model::Extent extent_;
  os::Mapping mapping_;
  uint64_t size_;
  bool sealed_ = false;
};

model::Extent seal_room(Room* room) { return static_cast<RoomImpl*>(room)->seal(); }

std::optional<CallError> RuntimeImpl::check_entries(std::span<Entry* const> entries) const {
  const core::DropList* ours = core_.drops();
  for (const Entry* entry : entries) {
    if (entry->belongs_to(ours)) [[likely]]
      continue;
    return bad_argument("object " + entry->id.hex() +
                        " belongs to a session that was shut down; this is session " +
                        session_.info.session + ": make it again here");
  }
  return std::nullopt;
}

CallError RuntimeImpl::wait_error(WaitEnd end, std::string_view what) const {
  switch (end) {
    case WaitEnd::kTimeout:
      return {CallStatus::kTimeout, std::string(what) + " in the given time"};
    case WaitEnd::kInterrupted:
      return {CallStatus::kInterrupted, "interrupted"};
    default:
      return over_error();
  }
}

// ---------------------------------------------------------------- submitting

CallResult<uint32_t> RuntimeImpl::define_template(const TaskOptions& options, ObjectId function) {
  if (auto error = unusable()) return Failure{*error};
  std::vector<model::NamedAmount> resources, lifetime;
  for (const auto& [name, amount] : options.resources) resources.push_back({name, amount});
  for (const auto& [name, amount] : options.lifetime) lifetime.push_back({name, amount});
  Operation operation(this);
  model::DefineTemplate definition;
  definition.template_id = core_.next_template_id();
  definition.language = options.language;
  definition.function = function;
  definition.name = options.name;
  definition.source = options.source;
  definition.resources = resources;
  definition.max_retries = options.max_retries;
  definition.retry_exceptions = options.retry_exceptions;
  definition.priority = options.priority;
  definition.runtime_env = options.runtime_env;
  definition.kind = options.kind;
  definition.method = options.method;
  definition.lifetime = lifetime;
  definition.max_restarts = options.max_restarts;
  definition.detached = options.detached;
  std::vector<model::NamedAmount> groups;
  for (const auto& [name, limit] : options.groups) groups.push_back({name, limit});
  definition.max_concurrency = options.max_concurrency;
  definition.groups = groups;
  definition.out_of_order = options.out_of_order;
  definition.group = options.group;
  definition.returns = options.returns;
  definition.stream_items = options.stream_items;
  definition.timeout_ns = options.timeout_ns;
  definition.max_calls = options.max_calls;
  definition.placement_group = options.placement_group;
  definition.bundle = options.bundle;
  definition.capture_children = options.capture_children;
  definition.outside_groups = options.outside_groups;
  definition.unrecorded = options.unrecorded;
  core_.define_template(definition);
  return definition.template_id;
}

CallResult<Unit> RuntimeImpl::define_environment(uint64_t hash, std::string_view description,
                                                 DurationNs patience, uint32_t prestart) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  core_.define_environment({hash, patience, prestart, description});
  return Unit{};
}

Bytes RuntimeImpl::encode_arguments(
    std::span<const Argument> positional,
    std::span<const std::pair<std::string_view, Argument>> keyword) {
  argument_refs_.clear();
  if (positional.empty() && keyword.empty()) return {};
  wire::ArgumentWriter writer(&arguments_);
  auto next_ref = [this](const Argument& argument) {
    argument_refs_.push_back(argument.ref->id);
    return static_cast<uint32_t>(argument_refs_.size() - 1);
  };
  for (const Argument& argument : positional) {
    if (argument.ref != nullptr) {
      writer.add_reference(next_ref(argument));
    } else {
      writer.add_value(argument.format, argument.bytes);
    }
  }
  for (const auto& [name, argument] : keyword) {
    if (argument.ref != nullptr) {
      writer.add_keyword_reference(name, next_ref(argument));
    } else {
      writer.add_keyword_value(name, argument.format, argument.bytes);
    }
  }
  return writer.written();
}

// Arguments by value beyond what a message carries become objects that live until the task ends.
CallResult<Unit> RuntimeImpl::put_large_arguments(
    std::vector<Argument>* positional, std::vector<std::pair<std::string_view, Argument>>* keyword,
    std::vector<RefHandle>* hidden) {
  std::vector<Argument*> by_value;
  for (Argument& argument : *positional) by_value.push_back(&argument);
  for (auto& [name, argument] : *keyword) by_value.push_back(&argument);
  std::erase_if(by_value, [](const Argument* a) { return a->ref != nullptr; });
  std::sort(by_value.begin(), by_value.end(),
            [](auto* a, auto* b) { return a->bytes.size() > b->bytes.size(); });
  size_t total = 0;
  for (const Argument* argument : by_value) total += argument->bytes.size();
  for (Argument* argument : by_value) {
    if (argument->bytes.size() <= model::kInlineValueBytesMax &&
        total <= model::kInlineArgumentsBytesMax) {
      break;
    }
    total -= argument->bytes.size();
    auto handle = put({argument->format, argument->bytes, {}}, nullptr);
    if (!handle) return Failure{handle.error()};
    argument->ref = handle->get();
    hidden->push_back(*std::move(handle));
  }
  return Unit{};
}

CallResult<Unit> RuntimeImpl::submit(const CallSpec& spec, std::vector<RefHandle>* results) {
  if (state_.load(std::memory_order_acquire) != State::kLive) [[unlikely]]
    return Failure{over_error()};
  size_t by_value = 0;
  for (const Argument& argument : spec.positional) by_value += argument.bytes.size();
  for (const auto& [name, argument] : spec.keyword) by_value += argument.bytes.size();
  if (by_value > model::kInlineValueBytesMax) return submit_large(spec, results);
  return submit_small(spec, results);
}

CallResult<Unit> RuntimeImpl::submit_large(const CallSpec& spec, std::vector<RefHandle>* results) {
  std::vector<Argument> positional(spec.positional.begin(), spec.positional.end());
  std::vector<std::pair<std::string_view, Argument>> keyword(spec.keyword.begin(),
                                                             spec.keyword.end());
  std::vector<RefHandle> hidden;  // dropped after the task holds them
  auto put = put_large_arguments(&positional, &keyword, &hidden);
  if (!put) return put;
  CallSpec small = spec;
  small.positional = positional;
  small.keyword = keyword;
  return submit_small(small, results);
}

CallResult<Unit> RuntimeImpl::submit_small(const CallSpec& spec, std::vector<RefHandle>* results) {
  core::ClientContext* context = own_context();
  Operation operation(this);
  auto is_ours = [ours = core_.drops()](const Entry* entry) {
    return entry == nullptr || entry->belongs_to(ours);
  };
  auto foreign = [this](Entry* entry) { return *check_entries(std::span(&entry, 1)); };
  for (const Argument& argument : spec.positional) {
    if (!is_ours(argument.ref)) return Failure{foreign(argument.ref)};
  }
  for (const auto& [name, argument] : spec.keyword) {
    if (!is_ours(argument.ref)) return Failure{foreign(argument.ref)};
  }
  if (!is_ours(spec.actor)) return Failure{foreign(spec.actor)};
  model::Submit call;
  call.arguments = encode_arguments(spec.positional, spec.keyword);
  if (spec.actor != nullptr) call.actor = spec.actor->id;
  call.template_id = spec.template_id;
  call.num_results = spec.num_results;
  call.refs = argument_refs_;
  call.contained = spec.contained;
  submitted_.clear();
  core_.use(context);
  core_.submit(call, &submitted_);
  for (Entry* entry : submitted_) results->emplace_back(entry);
  return Unit{};
}

// ---------------------------------------------------------------- putting

CallResult<RefHandle> RuntimeImpl::put(const OutValue& value, Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  if (value.bytes.size() <= model::kInlineValueBytesMax) {
    core::ClientContext* context = own_context();
    Operation operation(this);
    core_.use(context);
    ObjectId id = core_.next_put_id();
    return RefHandle(core_.put(id, {value.format, {}, value.bytes}, value.contained, false));
  }
  auto room = allocate(value.bytes.size(), yielder);
  if (!room) return Failure{room.error()};
  const bool yield = yielder != nullptr && value.bytes.size() >= kYieldForCopyMin;
  if (yield) yielder->release();
  copy_bytes((*room)->data(), value.bytes);
  if (yield) yielder->acquire();
  return put_room(*std::move(room), value.format, value.contained);
}

CallResult<std::unique_ptr<Room>> RuntimeImpl::allocate(uint64_t size, Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  if (size == 0) size = 1;  // an extent has bytes
  Waiter waiter;
  {
    Operation operation(this);
    flush_drops();  // what this program let go may be the room it needs
    waiter.request = core_.next_request();
    core_.send(model::Allocate{waiter.request, size});
    WaitEnd end = wait_for(&waiter, operation.lock(), kNever, yielder);
    if (end != WaitEnd::kDone) return Failure{wait_error(end, "no room in the object store")};
    if (waiter.refused) return Failure{CallError{CallStatus::kStoreFull, waiter.text}};
  }
  auto mapping = writers_.open(waiter.granted);
  if (!mapping) {
    Operation operation(this);
    core_.send(model::Abandon{waiter.granted});
    return Failure{unusable().value_or(CallError{CallStatus::kStoreFull, mapping.error()})};
  }
  return std::unique_ptr<Room>(
      std::make_unique<RoomImpl>(this, waiter.granted, *std::move(mapping), size));
}

CallResult<RefHandle> RuntimeImpl::put_room(std::unique_ptr<Room> room, model::Format format,
                                            std::span<const ObjectId> contained) {
  if (auto error = unusable()) return Failure{*error};
  model::Extent extent = seal_room(room.get());
  core::ClientContext* context = own_context();
  Operation operation(this);
  core_.use(context);
  return RefHandle(core_.put(core_.next_put_id(), {format, extent, {}}, contained, false));
}

CallResult<ObjectId> RuntimeImpl::put_function(Bytes pickled, std::span<const ObjectId> contained,
                                               Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  ObjectId id;
  {
    core::ClientContext* context = own_context();
    Operation operation(this);
    core_.use(context);
    JobId job = core_.current_task().job();
    id = {TaskId::for_function(job, hash128(pickled.data(), pickled.size())), ObjectId::kPutBit};
    if (core_.find(id) != nullptr) return id;
  }
  model::ValueView value{model::Format::kRaw, {}, pickled};
  if (pickled.size() > model::kInlineValueBytesMax) {
    auto room = allocate(pickled.size(), yielder);
    if (!room) return Failure{room.error()};
    copy_bytes((*room)->data(), pickled);
    value.extent = seal_room(room->get());
    value.bytes = {};
  }
  Operation operation(this);
  functions_.emplace_back(core_.put(id, value, contained, true));
  return id;
}

// ---------------------------------------------------------------- getting

CallResult<Unit> RuntimeImpl::ask(std::span<Entry* const> entries, uint32_t num_ready, bool values,
                                  TimeNs deadline, Yielder* yielder, Operation* operation) {
  const bool patient = deadline == kNever || deadline > os::now();
  const bool in_task = session_.role == model::Role::kWorker && !running_.empty();
  uint32_t request = core_.begin_get(entries, num_ready, values, in_task && patient);
  if (request == 0) return Unit{};
  Waiter waiter;
  waiter.request = request;
  if (!patient) {  // what is there now: whatever comes before the barrier's answer
    waiter.request = core_.begin_barrier();
    deadline = os::now() + kBarrierTimeout;
  }
  WaitEnd end = wait_for(&waiter, operation->lock(), deadline, yielder);
  if (end == WaitEnd::kOver) return Failure{over_error()};
  if (end != WaitEnd::kDone) core_.end_get(waiter.request);
  if (!patient) {
    if (!core_.is_open(request)) return Unit{};
    core_.end_get(request);
    end = WaitEnd::kTimeout;
  }
  if (end == WaitEnd::kDone) return Unit{};
  return Failure{wait_error(end, "not ready")};
}

std::shared_ptr<Pinned> RuntimeImpl::inline_data(core::TakenValue taken, Reading reading) {
  if (taken.exported != nullptr) return nullptr;
  if (taken.value == nullptr) {
    return reading == Reading::kInPlace ? nullptr : std::make_shared<OwnBytes>(taken.small);
  }
  auto shared = std::static_pointer_cast<OwnBytes>(std::move(taken.value));
  if (reading == Reading::kWritten) shared = std::make_shared<OwnBytes>(shared->bytes());
  return shared;
}

CallResult<Unit> RuntimeImpl::fetch(std::span<Entry* const> entries, TimeNs deadline,
                                    Yielder* yielder, Reading reading, std::vector<Fetched>* values,
                                    std::vector<TakenExport>* exports) {
  Operation operation(this);
  if (auto error = check_entries(entries)) return Failure{*error};
  auto asked_for = static_cast<uint32_t>(entries.size());
  size_t next = 0;
  while (next < entries.size()) {
    if (reading == Reading::kInPlace && entries[next]->is_small()) {  // as most are
      const Entry* entry = entries[next++];
      values->push_back({entry->format, nullptr, entry->small_value()});
      continue;
    }
    core::TakenValue taken = core_.take(entries[next]);
    if (taken.here()) {
      ++next;
      if (taken.exported != nullptr) exports->push_back({values->size(), taken.exported});
      values->push_back({taken.format, nullptr, taken.small});
      if (reading != Reading::kInPlace || taken.value != nullptr) {
        values->back().data = inline_data(std::move(taken), reading);
      }
      continue;
    }
    if (link_.has_more()) drain();
    // Pins that are taken stay; another thread's drop may make one of the rest leave again.
    auto rest = entries.subspan(next);
    auto asked = ask(rest, asked_for, true, deadline, yielder, &operation);
    if (!asked) return asked;
  }
  return Unit{};
}

CallResult<std::shared_ptr<Pinned>> RuntimeImpl::map_value(Entry* entry,
                                                           core::ClientExport* exported,
                                                           bool writable) {
  const uint64_t size = exported->extent.size;
  auto view = views_.view(exported, writable);
  if (!view) return Failure{CallError{CallStatus::kBadArgument, view.error()}};
  if (size < kMapBytesMin && !writable) {
    // A copy, and the pin goes back: the entry keeps it as it keeps inline bytes.
    Lock lock(mutex_);
    if (!entry->has_bytes()) entry->value = std::static_pointer_cast<OwnBytes>(*view);
  }
  return *std::move(view);
}

CallResult<Unit> RuntimeImpl::get(std::span<Entry* const> entries, TimeNs deadline,
                                  Yielder* yielder, std::vector<Fetched>* values, Reading reading) {
  if (auto error = unusable()) return Failure{*error};
  const size_t before = values->size();
  values->reserve(before + entries.size());
  std::vector<TakenExport> exports;
  auto fetched = fetch(entries, deadline, yielder, reading, values, &exports);
  for (const TakenExport& taken : exports) {
    if (!fetched) {
      taken.exported->drop();
      continue;
    }
    auto data =
        map_value(entries[taken.index - before], taken.exported, reading == Reading::kWritten);
    if (data) {
      (*values)[taken.index].data = *std::move(data);
    } else {
      fetched = Failure{data.error()};
    }
  }
  if (!fetched) values->resize(before);
  return fetched;
}

CallResult<Unit> RuntimeImpl::wait(std::span<Entry* const> entries, size_t num_ready,
                                   TimeNs deadline, Yielder* yielder, std::vector<bool>* ready) {
  if (auto error = unusable()) return Failure{*error};
  num_ready = std::min(num_ready, entries.size());
  Operation operation(this);
  if (auto error = check_entries(entries)) return Failure{*error};
  if (link_.has_more()) drain();
  auto count_ready = [&] {
    return static_cast<size_t>(
        std::count_if(entries.begin(), entries.end(), [](Entry* e) { return e->is_ready(); }));
  };
  if (size_t there = count_ready(); there < num_ready) {
    auto asked = ask(entries, static_cast<uint32_t>(num_ready - there), false, deadline, yielder,
                     &operation);
    if (!asked && asked.error().status != CallStatus::kTimeout) return asked;
  }
  ready->assign(entries.size(), false);
  std::vector<size_t> order;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i]->is_ready()) order.push_back(i);
  }
  // The earliest completed are chosen; which is cheaper to find out than their whole order.
  size_t chosen = std::min(num_ready, order.size());
  if (chosen < order.size()) {
    std::nth_element(order.begin(), order.begin() + static_cast<ptrdiff_t>(chosen), order.end(),
                     [&](size_t x, size_t y) {
                       return std::pair(entries[x]->ready_order, x) <
                              std::pair(entries[y]->ready_order, y);
                     });
  }
  for (size_t i = 0; i < chosen; ++i) (*ready)[order[i]] = true;
  return Unit{};
}

CallResult<Unit> RuntimeImpl::watch(Entry* entry, uint64_t token) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (auto error = check_entries({&entry, 1})) return Failure{*error};
  if (link_.has_more()) drain();
  const uint32_t request = core_.begin_get({&entry, 1}, 1, true, false);
  if (request == 0) {
    add_watched(token);
  } else {
    watches_.emplace(request, token);
  }
  return Unit{};
}

void RuntimeImpl::unwatch(uint64_t token) {
  if (unusable()) return;
  Operation operation(this);
  for (auto watch = watches_.begin(); watch != watches_.end(); ++watch) {
    if (watch->second != token) continue;
    core_.end_get(watch->first);
    watches_.erase(watch);
    return;
  }
}

CallResult<Unit> RuntimeImpl::next_watched(Yielder* yielder, std::vector<uint64_t>* tokens) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (watched_.empty()) {
    Waiter waiter;
    waiter.kind = Waiter::Kind::kWatch;
    const WaitEnd end = wait_for(&waiter, operation.lock(), kNever, yielder);
    if (end != WaitEnd::kDone) return Failure{wait_error(end, "nothing watched is here")};
  }
  tokens->swap(watched_);
  return Unit{};
}

RefHandle RuntimeImpl::ref_from_id(const ObjectId& id) {
  Lock lock(mutex_);
  if (unusable()) return RefHandle();
  return RefHandle(core_.ref(id));
}

// ---------------------------------------------------------------- questions

CallResult<std::string> RuntimeImpl::query(model::Question question, std::string_view argument,
                                           Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  flush_drops();  // the answer tells what is true now
  Waiter waiter;
  waiter.request = core_.next_request();
  core_.send(model::Query{waiter.request, question, argument});
  WaitEnd end = wait_for(&waiter, operation.lock(), kNever, yielder);
  if (end != WaitEnd::kDone) return Failure{wait_error(end, "no answer")};
  return std::move(waiter.text);
}

void RuntimeImpl::on_output(std::function<void(const model::Output&)> handler) {
  Lock lock(mutex_);
  output_handler_ = std::move(handler);
}

void RuntimeImpl::on_notice(std::function<void(const model::Notice&)> handler) {
  Lock lock(mutex_);
  notice_handler_ = std::move(handler);
}

void RuntimeImpl::wait_delivered(TimeNs deadline) {
  Lock lock(mutex_);
  auto none_left = [this] { return deliveries_.empty() && !delivering_; };
  while (!none_left() && os::now() < deadline && !is_over()) {
    delivered_.wait_for(lock, std::chrono::nanoseconds(deadline - os::now()));
  }
}

}  // namespace sundog::client
