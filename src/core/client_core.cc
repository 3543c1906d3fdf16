#include "core/client_core.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "base/check.h"
#include "base/probe.h"
#include "model/limits.h"

namespace sundog::core {
namespace {

constexpr size_t kCountsPerMessage = 10'000;
constexpr uint64_t kPutCallBase = uint64_t{1} << 63;  // no task is the 2^63rd of its parent
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kSpareEntriesMax = 0;  // whoever uses a freed one is to be found
#else
constexpr size_t kSpareEntriesMax = 2048;
#endif

}  // namespace

ClientCore::ClientCore(JobId job, const TaskId& root, ClientOutbox* outbox, KeepInline keep_inline,
                       DropList* drops)
    : job_(job), outbox_(outbox), keep_inline_(keep_inline), drops_(drops) {
  root_.task = root;
  context_ = root_;
}

ClientCore::~ClientCore() {
  close();
  while (spare_entries_ != nullptr) {
    ::operator delete(std::exchange(spare_entries_, spare_entries_->next));
  }
}

void ClientCore::begin_task(const TaskId& task, uint32_t attempt) {
  if (context_.task == root_.task) root_ = context_;
  context_ = ClientContext{};
  context_.task = task;
  context_.attempt = attempt;
}

void ClientCore::end_task() { context_ = root_; }

// ---------------------------------------------------------------- sending

void ClientCore::emit(const model::ClientMessage& message) {
  if (!adds_.empty()) [[unlikely]]
    send_adds();
  outbox_->send(message);
}

void ClientCore::send_adds() {
  for (size_t at = 0; at < adds_.size(); at += kCountsPerMessage) {
    size_t count = std::min(kCountsPerMessage, adds_.size() - at);
    outbox_->send(model::AddRefs{std::span(adds_).subspan(at, count)});
  }
  adds_.clear();
}

inline void ClientCore::emit_submit(const model::Submit& call) {
  if (!adds_.empty()) [[unlikely]]
    send_adds();
  outbox_->send_submit(call);
}

inline TaskId ClientCore::next_task() {
  ClientContext& own = *current_;
  if (!own.family) [[unlikely]]
    own.family.emplace(own.task.job(), own.task, own.attempt);
  return own.family->child(own.calls++);
}

inline void ClientCore::begin_submit(model::Submit* call) {
  call->task = next_task();
  call->parent = current_->task;
  call->parent_attempt = current_->attempt;
  if (streaming_templates_.empty()) return;
  auto streams = streaming_templates_.find(call->template_id);
  if (streams != streaming_templates_.end()) streams_[call->task].window_items = streams->second;
}

TaskId ClientCore::submit(const model::Submit& asked, std::vector<ClientEntry*>* results) {
  model::Submit call = asked;
  begin_submit(&call);
  for (uint32_t i = 0; i < call.num_results; ++i) {
    results->push_back(add_entry(ObjectId{call.task, i}));
  }
  emit_submit(call);
  return call.task;
}

ClientEntry* ClientCore::submit_one(model::Submit* call) {
  call->num_results = 1;
  begin_submit(call);
  ClientEntry* result = add_entry(ObjectId{call->task, 0});
  emit_submit(*call);
  return result;
}

TaskId ClientCore::next_group_id() { return next_task(); }

ClientEntry* ClientCore::create_group(model::CreatePlacementGroup group) {
  group.parent = current_->task;
  ClientEntry* ready = add_entry(ObjectId{group.group, 0});
  ready->group = GroupEntry::kLives;
  emit(group);
  return ready;
}

void ClientCore::remove_group(const TaskId& group) {
  on_group_removed({group});  // not only once the node has heard of it
  emit(model::RemovePlacementGroup{group});
}

void ClientCore::on_group_removed(const model::GroupRemoved& message) {
  ClientEntry* entry = find({message.group, 0});
  if (entry != nullptr && entry->group != GroupEntry::kNone) entry->group = GroupEntry::kRemoved;
}

std::optional<bool> ClientCore::group_is_ready(const TaskId& group) const {
  const ClientEntry* entry = find({group, 0});
  if (entry == nullptr || entry->group == GroupEntry::kNone) return std::nullopt;
  if (entry->group == GroupEntry::kRemoved || !entry->is_ready()) return false;
  if (entry->format == model::Format::kInvalid) return std::nullopt;
  return entry->format != model::Format::kSystemError;
}

ObjectId ClientCore::next_put_id() {
  // Puts of one attempt share a task id of their own; another after 2^31 of them.
  uint32_t index = current_->puts % ObjectId::kPutBit;
  if (index == 0) {
    uint64_t space = kPutCallBase + current_->puts / ObjectId::kPutBit;
    current_->put_space =
        TaskId::make(current_->task.job(), current_->task, current_->attempt, space);
  }
  ++current_->puts;
  return ObjectId{current_->put_space, index | ObjectId::kPutBit};
}

ClientEntry* ClientCore::put(const ObjectId& id, const model::ValueView& value,
                             std::span<const ObjectId> contained, bool hold_for_job) {
  ClientEntry* entry = find(id);
  if (entry != nullptr) {  // a function put before
    entry->use();
    return entry;
  }
  entry = add_entry(id);
  mark_ready(entry, 1);
  entry->format = value.format;
  entry->in_extent = value.in_extent();
  if (!value.in_extent() && !hold_for_job) keep_value(entry, value.bytes);
  emit(model::Put{id, value, contained, hold_for_job});
  return entry;
}

uint32_t ClientCore::begin_get(std::span<ClientEntry* const> entries, uint32_t num_ready,
                               bool values, bool blocking) {
  uint32_t request = next_request();
  asked_.clear();
  for (ClientEntry* entry : entries) {
    if (values ? is_here(entry) : entry->is_ready()) continue;
    if (entry->asked_by == request) continue;  // named twice
    entry->asked_by = request;
    asked_.push_back(entry->id);
  }
  if (asked_.empty()) return 0;
  auto asked = static_cast<uint32_t>(asked_.size());
  open_gets_.insert(request);
  emit(model::Get{request, values ? asked : std::min(num_ready, asked), values, blocking, asked_});
  return request;
}

uint32_t ClientCore::begin_barrier() {
  uint32_t request = next_request();
  open_gets_.insert(request);
  emit(model::Get{request, 0, false, false, {}});
  return request;
}

void ClientCore::end_get(uint32_t request) {
  if (open_gets_.erase(request) == 0) return;
  emit(model::EndGet{request});
}

// ---------------------------------------------------------------- references

ClientEntry* ClientCore::add_entry(const ObjectId& id) {
#ifdef SUNDOG_CHECKED
  SUNDOG_CHECK(find(id) == nullptr);
#endif
  void* memory = spare_entries_;
  if (memory == nullptr) [[unlikely]] {
    memory = ::operator new(sizeof(ClientEntry));
  } else {
    spare_entries_ = spare_entries_->next;
    --num_spare_entries_;
  }
  auto* entry = new (memory) ClientEntry(drops_, id);
  entries_.insert(entry);
  return entry;
}

// A batch of calls takes the memory of the one before it.
void ClientCore::free_entry(ClientEntry* entry) {
  if (num_spare_entries_ >= kSpareEntriesMax) {
    delete entry;
    return;
  }
  std::destroy_at(entry);
  spare_entries_ = new (static_cast<void*>(entry)) Spare{spare_entries_};
  ++num_spare_entries_;
}

void ClientCore::keep_value(ClientEntry* entry, Bytes bytes) {
  if (bytes.size() > ClientEntry::kSmallMax) {
    entry->value = keep_inline_(bytes);
    return;
  }
  entry->small_bytes = static_cast<uint8_t>(bytes.size());
  if (bytes.size() == 8) {  // as numbers are
    std::memcpy(entry->small.data(), bytes.data(), 8);
  } else if (!bytes.empty()) {
    std::memcpy(entry->small.data(), bytes.data(), bytes.size());
  }
}

ClientEntry* ClientCore::adopt(const ObjectId& id) {
  ClientEntry* entry = find(id);
  if (entry == nullptr) return add_entry(id);
  SUNDOG_PROBE("client.adopted_what_it_had");
  entry->use();
  removed_refs_.push_back({id, 1});
  drop_matters_ = true;
  return entry;
}

ClientEntry* ClientCore::find(const ObjectId& id) const { return entries_.find(id); }

ClientEntry* ClientCore::ref(const ObjectId& id) {
  if (ClientEntry* entry = find(id)) {
    entry->use();
    return entry;
  }
  adds_.push_back({id, 1});
  return add_entry(id);
}

TakenValue ClientCore::take(ClientEntry* entry) {
  if (entry->is_small()) {
    return {entry->format, entry->small_value(), nullptr, nullptr};
  }
  if (entry->value != nullptr) return {entry->format, {}, entry->value, nullptr};
  if (entry->arrived != nullptr) {
    return {entry->format, {}, nullptr, std::exchange(entry->arrived, nullptr)};
  }
  if (!entry->in_extent) return {};
  auto it = exports_.find(entry->id);
  if (it == exports_.end()) return {};
  it->second->use();
  return {entry->format, {}, nullptr, it->second};
}

ClientExport* ClientCore::pin(const ObjectId& id, const model::ValueView& value) {
  ClientExport*& slot = exports_[id];
  if (slot != nullptr && slot->extent == value.extent) {
    slot->use();
  } else {
    // A rebuilt object lies elsewhere: the old export ends by itself, with its own pins.
    slot = new ClientExport(drops_, id, value.format, value.extent);
    ++live_exports_;
  }
  ++slot->pins;
  return slot;
}

void ClientCore::mark_ready(ClientEntry* entry, uint64_t order) {
  if (entry->ready_order == 0) entry->ready_order = std::max<uint64_t>(order, 1);
}

// ---------------------------------------------------------------- messages from the node

void ClientCore::on_value(const model::Value& message) {
  const model::ValueView& value = message.value;
  if (message.pushed) credit_ += value.size() + model::kPushOverheadBytes;
  ClientEntry* entry = find(message.id);
  if (entry == nullptr && !streams_.empty()) [[unlikely]] {
    pushed_item(message.id);
    entry = find(message.id);
  }
  if (entry != nullptr) {
    mark_ready(entry, message.order);
    if (!entry->has_bytes()) {  // others may read what is here
      entry->format = value.format;
      entry->in_extent = value.in_extent();
    }
  }
  if (value.in_extent()) {
    ClientExport* exported = pin(message.id, value);
    if (entry != nullptr && entry->arrived == nullptr) {
      entry->arrived = exported;
    } else {
      SUNDOG_PROBE("client.value_for_nobody");
      exported->drop();
    }
  } else if (entry != nullptr && !entry->has_bytes()) {
    keep_value(entry, value.bytes);
  }
}

void ClientCore::on_ready(const model::Ready& message) {
  if (ClientEntry* entry = find(message.id)) mark_ready(entry, message.order);
}

bool ClientCore::on_waited(const model::Waited& message) {
  return open_gets_.erase(message.request) != 0;
}

ClientExport* ClientCore::on_argument(const model::ArgumentView& argument) {
  return argument.value.in_extent() ? pin(argument.id, argument.value) : nullptr;
}

// ---------------------------------------------------------------- decrements

void ClientCore::settle(Counted* list, std::vector<ClientExport*>* dead) {
  while (list != nullptr) {
    Counted* thing = std::exchange(list, DropList::next_of(list));
    const bool is_entry = thing->kind == Counted::Kind::kEntry;
    if (!DropList::settle(thing)) [[unlikely]] {
      if (is_entry) SUNDOG_PROBE("client.entry_used_again");
      if (!is_entry) SUNDOG_PROBE("client.export_used_again");
      continue;
    }
    if (is_entry) {
      auto* entry = static_cast<ClientEntry*>(thing);
      removed_refs_.push_back({entry->id, 1});
      if (!entry->has_bytes() || entry->in_extent) drop_matters_ = true;
      entries_.erase(entry);
      free_entry(entry);
    } else {
      auto* exported = static_cast<ClientExport*>(thing);
      removed_pins_.push_back({exported->id, exported->pins});
      auto it = exports_.find(exported->id);
      if (it != exports_.end() && it->second == exported) exports_.erase(it);
      --live_exports_;
      dead->push_back(exported);
    }
  }
}

void ClientCore::flush(std::vector<ClientExport*>* dead) {
  // An entry that dies may be the last user of an export.
  while (!drops_->empty()) settle(drops_->pop_all(), dead);
  send_collected();
}

void ClientCore::flush_some(std::vector<ClientExport*>* dead) {
  while (!drops_->empty()) settle(drops_->pop_all(), dead);
  if (drops_are_due()) {
    send_collected();
  } else if (credit_ >= kCreditStep) {
    emit(model::Credit{std::exchange(credit_, 0)});
  }
}

void ClientCore::send_collected() {
  drop_matters_ = false;
  auto in_steps = [this](std::vector<model::RefCount>* counts, auto make) {
    for (size_t at = 0; at < counts->size(); at += kCountsPerMessage) {
      size_t count = std::min(kCountsPerMessage, counts->size() - at);
      emit(make(std::span<const model::RefCount>(*counts).subspan(at, count)));
    }
    counts->clear();
  };
  in_steps(&removed_pins_, [](auto counts) { return model::Unpin{counts}; });
  in_steps(&removed_refs_, [](auto counts) { return model::DropRefs{counts}; });
  if (credit_ >= kCreditStep) emit(model::Credit{std::exchange(credit_, 0)});
}

void ClientCore::close() {
  if (drops_ == nullptr) return;
  for (auto& [task, stream] : streams_) {
    for (ClientEntry* entry : stream.ahead)
      if (entry != nullptr) entry->drop();
  }
  streams_.clear();
  DropList* drops = std::exchange(drops_, nullptr);
  std::vector<Counted*> dead;
  for (Counted* list = drops->stop_collecting(); list != nullptr;) {
    Counted* thing = std::exchange(list, DropList::next_of(list));
    if (DropList::settle(thing)) dead.push_back(thing);
  }
  auto alive = static_cast<int64_t>(entries_.size() + live_exports_);
  entries_.clear();
  exports_.clear();
  open_gets_.clear();
  live_exports_ = 0;
  drops->close(alive);
  for (Counted* thing : dead) drops->free_dead(thing);
}

std::vector<ClientExport*> ClientCore::exports() const {
  std::vector<ClientExport*> all;
  for (const auto& [id, exported] : exports_) all.push_back(exported);
  std::sort(all.begin(), all.end(), [](auto* a, auto* b) { return a->id < b->id; });
  return all;
}

std::string ClientCore::wrong_with(const ClientEntry* entry) const {
  const std::string id = entry->id.hex();
  if (find(entry->id) != entry) return "entry under another object's id: " + id;
  if (entry->has_bytes() && entry->format == model::Format::kInvalid) {
    return "value without a format: " + id;
  }
  if (entry->arrived != nullptr && entry->arrived->uses() == 0) {
    return "arrived value is not held: " + id;
  }
  if (entry->has_bytes() && !entry->is_ready()) return "value but not ready: " + id;
  return "";
}

std::string ClientCore::validate() const {
  std::string broken;
  entries_.each([&](const ClientEntry* entry) {
    const std::string wrong = wrong_with(entry);
    if (!wrong.empty()) broken = wrong;
  });
  if (!broken.empty()) return broken;
  for (const auto& [id, exported] : exports_) {
    if (exported->id != id) return "export under another object's id";
    if (exported->pins == 0) return "export without a pin: " + id.hex();
  }
  if (exports_.size() > live_exports_) return "more exports in the table than alive";
  return "";
}

}  // namespace sundog::core
