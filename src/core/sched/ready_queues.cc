#include "core/sched/ready_queues.h"

#include <tuple>

namespace sundog::core {

void ReadyQueues::add_shape(uint32_t account) {
  shapes_.emplace_back().account = account;
  if (account >= of_jobs_.size()) of_jobs_.resize(account + 1);
}

void ReadyQueues::push_back(uint32_t task) {
  TaskRecord& t = (*tasks_)[task];
  Shape& shape = shapes_[tasks_->shape_of(t)];
  List& list = list_of(&shape, key_of(t));
  t.prev = list.tail;
  t.next = kNoIndex;
  if (list.tail != kNoIndex) {
    (*tasks_)[list.tail].next = task;
  } else {
    list.head = task;
  }
  list.tail = task;
  t.queued = true;
  t.state = TaskState::kReady;
  one_more(&shape);
}

void ReadyQueues::push_front(uint32_t task) {
  TaskRecord& t = (*tasks_)[task];
  Shape& shape = shapes_[tasks_->shape_of(t)];
  List& list = list_of(&shape, key_of(t));
  t.next = list.head;
  t.prev = kNoIndex;
  if (list.head != kNoIndex) {
    (*tasks_)[list.head].prev = task;
  } else {
    list.tail = task;
  }
  list.head = task;
  t.queued = true;
  t.state = TaskState::kReady;
  one_more(&shape);
}

void ReadyQueues::remove(uint32_t task) {
  TaskRecord& t = (*tasks_)[task];
  SUNDOG_CHECK(t.queued);
  Shape& shape = shapes_[tasks_->shape_of(t)];
  const ReadyKey key = key_of(t);
  List& list = list_of(&shape, key);
  SUNDOG_CHECK(list.head != kNoIndex);
  if (t.prev != kNoIndex) {
    (*tasks_)[t.prev].next = t.next;
  } else {
    list.head = t.next;
  }
  if (t.next != kNoIndex) {
    (*tasks_)[t.next].prev = t.prev;
  } else {
    list.tail = t.prev;
  }
  // Lists of awaited depths come and go; the plain one stays, it is used again at once.
  if (list.head == kNoIndex && key.awaited()) shape.lists.erase(key);
  t.prev = t.next = kNoIndex;
  t.queued = false;
  one_less(&shape);
}

void ReadyQueues::set_awaited(uint32_t task) {
  TaskRecord& t = (*tasks_)[task];
  if (t.awaited) return;
  bool was_queued = t.queued;
  if (was_queued) remove(task);
  t.awaited = true;
  if (was_queued) push_back(task);
}

uint32_t ReadyQueues::oldest(uint32_t shape) const {
  uint32_t best = kNoIndex;
  auto order = [&](ReadyKey key, uint32_t task) {
    return std::tuple(-int64_t{key.priority()}, (*tasks_)[task].became_ready);
  };
  for (const auto& [key, list] : shapes_[shape].lists) {
    if (list.head == kNoIndex) continue;
    if (best == kNoIndex || order(key, list.head) < order(key_of(best), best)) best = list.head;
  }
  return best;
}

std::string ReadyQueues::validate() const {
  uint64_t total = 0;
  std::vector<uint32_t> of_jobs(of_jobs_.size());
  for (uint32_t s = 0; s < shapes_.size(); ++s) {
    uint64_t count = 0;
    for (const auto& [key, list] : shapes_[s].lists) {
      uint32_t before = kNoIndex;
      for (uint32_t t = list.head; t != kNoIndex; t = (*tasks_)[t].next) {
        const TaskRecord& task = (*tasks_)[t];
        if (!task.live || !task.queued || task.state != TaskState::kReady)
          return "a ready list holds a task that is not ready";
        if (task.prev != before) return "a ready list is torn";
        if (key_of(t) != key) return "a task is in the list of another key";
        if (tasks_->shape_of(task) != s) return "a task is in the queue of another shape";
        before = t;
        ++count;
      }
      if (list.tail != before) return "a ready list has a wrong tail";
    }
    if (count != shapes_[s].count) return "ready tasks are miscounted";
    total += count;
    if (count > 0) ++of_jobs[shapes_[s].account];
  }
  if (of_jobs != of_jobs_) return "shapes with ready tasks are miscounted for a job";
  return total == total_ ? "" : "ready tasks are miscounted in total";
}

}  // namespace sundog::core
