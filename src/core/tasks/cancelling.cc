#include "core/tasks/cancelling.h"

#include <algorithm>

#include "base/check.h"

namespace sundog::core {

using model::CancelLevel;

TimeNs Cancelling::Entry::next() const {
  TimeNs first = deadline;
  for (size_t level = static_cast<size_t>(reached) + 1; level < kLevels; ++level)
    first = std::min(first, at[level]);
  return first;
}

void Cancelling::schedule(uint32_t task, Entry* entry) {
  TimeNs next = entry->next();
  if (next == entry->moment) return;
  if (entry->moment != kNever) moments_.erase({entry->moment, task});
  entry->moment = next;
  if (next != kNever) moments_.emplace(next, task);
}

void Cancelling::ask(uint32_t task, const CancelRequest& request) {
  Entry& e = entries_[task];
  if (!e.asked) e.reason = request.reason;
  e.asked = true;
  auto want = [&](CancelLevel level, DurationNs after) {
    if (request.most < level) return;
    DurationNs& wanted = e.wanted[static_cast<size_t>(level)];
    wanted = std::min(wanted, after);
  };
  want(CancelLevel::kCooperative, 0);
  want(CancelLevel::kInterrupt, kInterruptAfter);
  want(CancelLevel::kKill, request.grace);
}

void Cancelling::begin(uint32_t task, TimeNs now) {
  auto found = entries_.find(task);
  SUNDOG_CHECK(found != entries_.end() && found->second.asked);
  Entry& e = found->second;
  for (size_t level = 1; level < kLevels; ++level) {
    if (e.wanted[level] == kNever) continue;
    e.at[level] = std::min(e.at[level], now + e.wanted[level]);
    e.wanted[level] = kNever;
  }
  schedule(task, &e);
}

void Cancelling::set_deadline(uint32_t task, TimeNs at) {
  Entry& e = entries_[task];
  e.deadline = at;
  schedule(task, &e);
}

void Cancelling::clear_deadline(uint32_t task) {
  auto found = entries_.find(task);
  if (found == entries_.end()) return;
  found->second.deadline = kNever;
  schedule(task, &found->second);
  drop_if_empty(task);
}

void Cancelling::drop_if_empty(uint32_t task) {
  auto found = entries_.find(task);
  if (!found->second.asked && found->second.deadline == kNever) entries_.erase(found);
}

void Cancelling::forget(uint32_t task) {
  auto found = entries_.find(task);
  if (found == entries_.end()) return;
  if (found->second.moment != kNever) moments_.erase({found->second.moment, task});
  entries_.erase(found);
}

bool Cancelling::asked(uint32_t task) const {
  auto found = entries_.find(task);
  return found != entries_.end() && found->second.asked;
}

CancelReason Cancelling::reason(uint32_t task) const {
  auto found = entries_.find(task);
  return found == entries_.end() ? CancelReason::kAsked : found->second.reason;
}

CancelLevel Cancelling::reached(uint32_t task) const {
  auto found = entries_.find(task);
  return found == entries_.end() ? CancelLevel::kQueued : found->second.reached;
}

bool Cancelling::take_due(TimeNs now, Due* due) {
  if (next() > now) return false;
  const uint32_t task = moments_.begin()->second;
  Entry& e = entries_.at(task);
  *due = Due{};
  due->task = task;
  if (e.deadline <= now) {
    e.deadline = kNever;
    due->is_deadline = true;
    schedule(task, &e);
    drop_if_empty(task);
    return true;
  }
  // The highest of those that are due: what it does covers the lower ones.
  for (size_t level = kLevels; --level > static_cast<size_t>(e.reached);) {
    if (e.at[level] > now) continue;
    e.reached = static_cast<CancelLevel>(level);
    due->level = e.reached;
    break;
  }
  schedule(task, &e);
  return true;
}

std::string Cancelling::validate() const {
  size_t scheduled = 0;
  for (const auto& [task, e] : entries_) {
    if (!e.asked && e.deadline == kNever) return "a task is cancelled by nobody";
    if (e.moment != e.next()) return "a level of cancelling is due at the wrong moment";
    if (e.moment == kNever) continue;
    ++scheduled;
    if (!moments_.contains({e.moment, task})) return "a level of cancelling never comes due";
  }
  return scheduled == moments_.size() ? "" : "a moment belongs to no cancelled task";
}

}  // namespace sundog::core
