// Values and questions. See runtime_impl.h.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/hash.h"
#include "client/copy.h"
#include "client/runtime_impl.h"
#include "os/clock.h"

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

CallResult<bool> RuntimeImpl::await_small(std::span<Entry* const> entries, TimeNs deadline,
                                          Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (auto error = check_entries(entries)) return Failure{*error};
  bool all_small = true;
  for (size_t next = 0; next < entries.size();) {
    const Entry* entry = entries[next];
    if (entry->is_small()) {
      ++next;
    } else if (core_.is_here(entry)) {
      all_small = false;
      ++next;
    } else if (link_.has_more()) {
      drain();
    } else {
      auto rest = entries.subspan(next);
      auto asked =
          ask(rest, static_cast<uint32_t>(entries.size()), true, deadline, yielder, &operation);
      if (!asked) return Failure{asked.error()};
    }
  }
  return all_small;
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
