#include "sim/sim_process.h"

#include <algorithm>
#include <cstring>

#include "base/probe.h"
#include "shm/claims.h"
#include "sim/sim_node.h"

namespace sundog::sim {

using model::Format;

SimProcess::SimProcess(SimNode* node, const core::ClientConnected& who, Random random)
    : node_(node), who_(who), random_(random) {}

void SimProcess::start() {
  program_ = who_.role == model::Role::kDriver ? driver_program()
             : who_.role == model::Role::kTool ? tool_program()
                                               : worker_program();
  program_.start();
}

void SimProcess::kill(const core::ClientGone&) {
  if (!alive_) return;
  alive_ = false;
  if (running_) {
    if (blocked_) SUNDOG_PROBE("sim.killed_while_blocked");
    if (!grants_.empty()) SUNDOG_PROBE("sim.killed_while_writing");
    SUNDOG_PROBE("sim.killed_while_running");
    node_->world().oracle.crashed(running_->task, running_->attempt);
    running_.reset();
    if (!begun_.empty()) SUNDOG_PROBE("sim.killed_with_several_calls");
    for (const OwnedExecute& e : begun_) node_->world().oracle.crashed(e.task, e.attempt);
    begun_.clear();
  } else if (!queue_.empty()) {
    SUNDOG_PROBE("sim.killed_with_a_queue");
  }
  if (!actor_.is_nil()) node_->world().oracle.actor_process_died(actor_);
  running_cpu_ = running_gpu_ = kept_cpu_ = kept_gpu_ = 0;
  waiter_ = nullptr;
  program_ = Co<bool>{};
  views_.clear();
}

void SimProcess::finish(int32_t exit_code) {
  finished_ = true;
  alive_ = false;
  views_.clear();
  node_->process_finished(this, exit_code);
}

// ---------------------------------------------------------------- talking

void SimProcess::send(const model::ClientMessage& message) {
  auto type = wire::encode(message, &encode_buffer_);
  node_->to_core(this, type, encode_buffer_);
}

void SimProcess::wake(Wake why) {
  if (!waiter_) return;
  woken_by_ = why;
  auto handle = std::exchange(waiter_, nullptr);
  handle.resume();
}

void SimProcess::receive(wire::RecordType type, const std::vector<std::byte>& payload) {
  auto decoded = wire::decode_node_message(type, payload, &scratch_);
  if (!decoded.ok())
    return node_->world().oracle.fail("a message of the core cannot be read: " + decoded.error());
  const model::NodeMessage& message = decoded.value();
  if (auto* execute = std::get_if<model::Execute>(&message)) {
    OwnedExecute e;
    e.slot = execute->slot;
    e.generation = execute->generation;
    e.attempt = execute->attempt;
    e.num_results = execute->num_results;
    e.task = execute->task;
    e.function = execute->function;
    e.retry_exceptions = execute->retry_exceptions;
    e.kind = execute->kind;
    e.actor = execute->actor;
    e.method = execute->method;
    e.group = execute->group;
    e.concurrency = execute->kind == model::CallKind::kMethod ? execute->concurrency : 1;
    e.returns = execute->returns;
    e.credit = {execute->stream_items, execute->stream_bytes};
    const std::byte* at = execute->arguments.data();
    uint32_t count = 0;
    std::memcpy(&e.seed, at, 8);
    std::memcpy(&e.depth, at + 8, 4);
    std::memcpy(&count, at + 12, 4);
    e.contained.resize(count);
    std::copy_n(at + 16, count * sizeof(ObjectId),
                reinterpret_cast<std::byte*>(e.contained.data()));
    for (const auto& argument : execute->refs) {
      bool in_extent = argument.value.in_extent();
      e.refs.push_back(
          {argument.id, argument.value.extent, in_extent ? 0 : read_content(argument.value)});
    }
    queue_.push_back(std::move(e));
  } else if (auto* value = std::get_if<model::Value>(&message)) {
    take_value(*value);
  } else if (auto* ready = std::get_if<model::Ready>(&message)) {
    ready_.insert(ready->id);
  } else if (auto* waited = std::get_if<model::Waited>(&message)) {
    waited_.insert(waited->request);
  } else if (auto* grant = std::get_if<model::Grant>(&message)) {
    granted_[grant->request] = grant->extent;
    grants_[grant->extent.offset] = grant->extent;
  } else if (auto* refused = std::get_if<model::Refused>(&message)) {
    granted_[refused->request] = std::nullopt;
  } else if (std::holds_alternative<model::Stop>(message)) {
    if (ignores_stop_) {
      SUNDOG_PROBE("sim.stop_ignored");
    } else {
      stop_ = true;
    }
  } else if (auto* cancel = std::get_if<model::CancelRunning>(&message)) {
    if (running_ && running_->task == cancel->task) {
      SUNDOG_PROBE("sim.cancel_reached_the_task");
      cancelled_ = cancel->level;
    } else {
      SUNDOG_PROBE("sim.cancel_came_late");
    }
  } else if (auto* name = std::get_if<model::NameReply>(&message)) {
    name_replies_[name->request] = *name;
  } else if (auto* credit = std::get_if<model::StreamCredit>(&message)) {
    if (running_ && running_->task == credit->task && running_->attempt == credit->attempt) {
      running_->credit = {credit->items, credit->bytes};
      running_->unwanted |= credit->closed;
    }
  } else if (auto* removed = std::get_if<model::GroupRemoved>(&message)) {
    hears_of_removal(removed->group);
  }
  wake(Wake::kMessage);
}

// ---------------------------------------------------------------- values

uint64_t SimProcess::read_content(const model::ValueView& value) const {
  if (value.in_extent()) return node_->read_arena(value.extent);
  uint64_t content = 0;
  if (value.bytes.size() >= sizeof content) std::memcpy(&content, value.bytes.data(), 8);
  return content;
}

void SimProcess::add_view(const ObjectId& id, const model::Extent& extent, uint64_t content) {
  LocalView& view = views_[id];
  view.extent = extent;
  view.content = content;
  ++view.pins;
}

void SimProcess::take_value(const model::Value& v) {
  Oracle& oracle = node_->world().oracle;
  if (v.pushed) credit_ += v.value.bytes.size() + model::kPushOverheadBytes;
  LocalValue local;
  if (v.value.format == Format::kEndOfStream) {
    local.is_end = true;
  } else if (v.value.format == Format::kSystemError) {
    local.is_error = true;
    oracle.check_error(v.id, as_text(v.value.bytes));
  } else {
    local.content = read_content(v.value);
    const Written* written = oracle.find(local.content);
    local.is_error = v.value.format == Format::kTaskError;
    if (local.is_error && (written == nullptr || !written->is_error)) {
      oracle.fail("object " + v.id.hex() + " is an error that nobody raised");
    } else if (local.is_error) {
      oracle.check_error(v.id, "an exception of a task");
    } else {
      oracle.check_value(v.id, local.content);
    }
  }
  if (v.value.in_extent()) add_view(v.id, v.value.extent, local.content);
  auto held = handles_.find(v.id);
  if (held != handles_.end() && held->second.handles > 0) {
    values_[v.id] = local;
  } else {
    SUNDOG_PROBE("sim.value_of_a_dropped_ref");
  }
}

void SimProcess::check_view(const ObjectId& id, const LocalView& view) {
  if (node_->read_arena(view.extent) != view.content)
    node_->world().oracle.fail("the bytes of object " + id.hex() + " changed under a view of " +
                               describe());
}

void SimProcess::drop_some_views(bool all) {
  std::vector<model::RefCount> pins;
  for (auto at = views_.begin(); at != views_.end();) {
    check_view(at->first, at->second);
    if (!all && !random_.one_in(2)) {
      ++at;
      continue;
    }
    pins.push_back({at->first, at->second.pins});
    at = views_.erase(at);
  }
  if (!pins.empty()) send(model::Unpin{pins});
}

// ---------------------------------------------------------------- references

void SimProcess::hold(const ObjectId& id) {
  Handle& h = handles_[id];
  if (++h.handles > 1) return;
  unflushed_.erase(id);
  if (h.counted > 0) {
    SUNDOG_PROBE("sim.ref_taken_again_before_its_drop_was_sent");
    return;
  }
  h.counted = 1;
  model::RefCount count{id, 1};
  send(model::AddRefs{{&count, 1}});
}

void SimProcess::adopt(const ObjectId& id) {
  Handle& h = handles_[id];
  ++h.handles;
  ++h.counted;
  unflushed_.erase(id);  // found again by its name
}

void SimProcess::let_go(const ObjectId& id) {
  auto found = handles_.find(id);
  if (found == handles_.end() || found->second.handles == 0)
    return node_->world().oracle.fail("the model process dropped a ref that it does not hold");
  if (--found->second.handles == 0) unflushed_.insert(id);
}

void SimProcess::let_go_all(const std::vector<ObjectId>& ids) {
  for (const ObjectId& id : ids) let_go(id);
}

void SimProcess::flush() {
  std::vector<model::RefCount> drops;
  for (const ObjectId& id : unflushed_) {
    auto found = handles_.find(id);
    drops.push_back({id, found->second.counted});
    handles_.erase(found);
    values_.erase(id);
    ready_.erase(id);
  }
  unflushed_.clear();
  if (!drops.empty()) send(model::DropRefs{drops});
  if (credit_ > 0) {
    send(model::Credit{credit_});
    credit_ = 0;
  }
}

// The refs inside a value whose object we hold: one handle each, added to *inner.
void SimProcess::open(const ObjectId& id, std::vector<ObjectId>* inner) {
  auto value = values_.find(id);
  if (value == values_.end() || value->second.is_error) return;
  const Written* written = node_->world().oracle.find(value->second.content);
  if (written == nullptr) return;
  for (const ObjectId& contained : written->contained) {
    hold(contained);
    inner->push_back(contained);
  }
}

std::vector<ObjectId> SimProcess::held_ids() const {
  std::vector<ObjectId> ids;
  for (const auto& [id, handle] : handles_)
    if (handle.handles > 0) ids.push_back(id);
  return ids;
}

std::vector<ObjectId> SimProcess::pick(const std::vector<ObjectId>& from, uint64_t most) {
  std::vector<ObjectId> picked;
  if (from.empty() || most == 0) return picked;
  for (uint64_t n = random_.below(most + 1); n > 0; --n)
    picked.push_back(from[random_.below(from.size())]);
  return picked;
}

std::string SimProcess::describe() const {
  return (who_.role == model::Role::kDriver ? "driver " : "worker ") + std::to_string(who_.pid) +
         " on " + node_->name();
}

std::string SimProcess::describe_state() const {
  std::string text = describe() + (alive_ ? "" : " (dead)");
  if (running_)
    text += " runs " + running_->task.hex() + " attempt " + std::to_string(running_->attempt);
  if (blocked_) text += ", blocked";
  for (const ObjectId& id : waits_for_) text += ", wants " + id.hex();
  for (uint32_t request : wants_room_)
    text += ", wants room (request " + std::to_string(request) + ")";
  return text + ", " + std::to_string(queue_.size()) + " queued, " + std::to_string(views_.size()) +
         " views, " + std::to_string(grants_.size()) + " grants";
}

}  // namespace sundog::sim
