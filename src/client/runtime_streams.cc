// Items of streams: taken by a consumer, yielded by a task. See runtime_impl.h and
// docs/design/0007.
#include <optional>

#include "client/runtime_impl.h"
#include "os/clock.h"

namespace sundog::client {

// ---------------------------------------------------------------- the consumer

CallResult<RefHandle> RuntimeImpl::next_item(const TaskId& task, TimeNs deadline,
                                             Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (link_.has_more()) drain();
  while (true) {
    RefHandle item(core_.next_item(task));
    if (!item) return item;
    Entry* entry = item.get();
    while (entry->format == model::Format::kInvalid) {
      core_.tell_taken(task);  // its producer may wait for that
      auto asked = ask({&entry, 1}, 1, true, deadline, yielder, &operation);
      if (!asked) return Failure{asked.error()};
    }
    if (core_.take_item(task, entry)) return item;
    // The end, after which there is no next one; or another thread was faster.
  }
}

RefHandle RuntimeImpl::peek_item(const TaskId& task) {
  if (unusable()) return RefHandle();
  Operation operation(this);
  if (link_.has_more()) drain();
  core_.tell_taken(task);
  return RefHandle(core_.next_item(task));
}

bool RuntimeImpl::take_item(const TaskId& task, Entry* peeked) {
  if (unusable()) return false;
  Operation operation(this);
  return core_.take_item(task, peeked);
}

CallResult<bool> RuntimeImpl::is_stream_over(const TaskId& task, Yielder* yielder) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (link_.has_more()) drain();
  RefHandle item(core_.next_item(task));
  if (!item) return true;
  Entry* entry = item.get();
  if (entry->format == model::Format::kInvalid) {
    auto asked = ask({&entry, 1}, 1, true, 0, yielder, &operation);
    if (!asked && asked.error().status != CallStatus::kTimeout) return Failure{asked.error()};
  }
  return entry->format == model::Format::kEndOfStream;
}

void RuntimeImpl::close_stream(const TaskId& task) {
  if (unusable()) return;
  Operation operation(this);
  core_.close_stream(task);
}

// ---------------------------------------------------------------- the producer

void RuntimeImpl::take_credit(const model::StreamCredit& message) {
  for (auto& [slot, held] : running_) {
    if (held->task != message.task || held->attempt != message.attempt) continue;
    held->closed |= message.closed;
    held->credit = {message.items, message.bytes};
  }
}

uint32_t RuntimeImpl::items_yielded(const TaskCall& call) {
  Lock lock(mutex_);
  HeldTask* held = running_task(call);
  return held == nullptr ? 0 : held->items;
}

StreamTurn RuntimeImpl::turn_of(const HeldTask& held) {
  if (held.closed) return StreamTurn::kClosed;
  return held.credit.is_spent() ? StreamTurn::kMustWait : StreamTurn::kGoOn;
}

CallResult<HeldTask*> RuntimeImpl::send_item(const TaskCall& call, const OutValue& value,
                                             std::unique_ptr<Room> room, Yielder* yielder,
                                             std::optional<Operation>* operation) {
  if (auto error = unusable()) return Failure{*error};
  const uint32_t item = items_yielded(call);
  if (item == model::kStreamItemsMax) {
    return Failure{CallError{CallStatus::kBadArgument,
                             "a stream has at most " + std::to_string(item) + " items"}};
  }
  auto made = make_result(item + 1, value, std::move(room), yielder);
  if (!made) return Failure{made.error()};
  operation->emplace(this);
  HeldTask* held = running_task(call);
  if (held == nullptr) {
    return Failure{CallError{CallStatus::kBadArgument,
                             "task " + call.task.hex() + " is finished: it takes no item"}};
  }
  held->credit.spend(made->extent.empty() ? made->bytes.size() : made->extent.size);
  ++held->items;
  held->results.push_back(*std::move(made));
  send_results(call, held);
  if (link_.has_more()) drain();
  return held;
}

CallResult<bool> RuntimeImpl::yield_item(const TaskCall& call, const OutValue& value,
                                         std::unique_ptr<Room> room, Yielder* yielder) {
  std::optional<Operation> operation;
  auto sent = send_item(call, value, std::move(room), yielder, &operation);
  if (!sent) return Failure{sent.error()};
  HeldTask* held = *sent;
  while (turn_of(*held) == StreamTurn::kMustWait) {
    auto credited = await_credit(call, held, yielder, operation->lock());
    if (!credited) return Failure{credited.error()};
  }
  return !held->closed;
}

CallResult<StreamTurn> RuntimeImpl::begin_yield(const TaskCall& call, const OutValue& value,
                                                std::unique_ptr<Room> room) {
  std::optional<Operation> operation;
  auto sent = send_item(call, value, std::move(room), nullptr, &operation);
  if (!sent) return Failure{sent.error()};
  return turn_of(**sent);
}

CallResult<StreamTurn> RuntimeImpl::stream_turn(const TaskCall& call) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  if (link_.has_more()) drain();
  const HeldTask* held = running_task(call);
  return held == nullptr ? StreamTurn::kClosed : turn_of(*held);
}

CallResult<Unit> RuntimeImpl::watch_credit(const TaskCall& call, uint64_t token) {
  if (auto error = unusable()) return Failure{*error};
  Operation operation(this);
  const HeldTask* held = running_task(call);
  if (held == nullptr || turn_of(*held) != StreamTurn::kMustWait) {
    add_watched(token);
    return Unit{};
  }
  watches_.emplace(core_.begin_stream_wait(call.task, call.attempt, held->items, false), token);
  return Unit{};
}

CallResult<Unit> RuntimeImpl::await_credit(const TaskCall& call, HeldTask* held, Yielder* yielder,
                                           Lock& lock) {
  Waiter waiter;
  waiter.request = core_.begin_stream_wait(call.task, call.attempt, held->items, true);
  WaitEnd end = wait_for(&waiter, lock, kNever, yielder);
  if (end == WaitEnd::kDone) return Unit{};
  if (end == WaitEnd::kOver) return Failure{over_error()};
  core_.end_get(waiter.request);
  return Failure{wait_error(end, "no credit")};
}

}  // namespace sundog::client
