// ReadyQueues: tasks that could run now, grouped by shape. Within a shape those that somebody
// waits for come first, deepest first (blocked workers then follow the depth of a program, not its
// width), then by priority, then in the order they became ready.
//
// A shape is what may share a worker's queue: same job, language, runtime environment and
// resources. Links lie in the task records: a move costs no allocation.
//
// Owned by LocalScheduler, pure.
#pragma once

#include <boost/container/flat_map.hpp>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tasks/task_table.h"

namespace sundog::core {

// What a task's place in its shape's queue depends on, in one word: the least goes first. From the
// top: whether nobody awaits it, then how far its priority and, if it is awaited, its depth are
// from the largest.
class ReadyKey {
 public:
  ReadyKey() = default;
  ReadyKey(bool awaited, int32_t priority, uint16_t depth)
      : word_(uint64_t{!awaited} << 48 |
              uint64_t{static_cast<uint32_t>(INT32_MAX) - static_cast<uint32_t>(priority)} << 16 |
              (awaited ? UINT16_MAX - depth : 0)) {}
  bool awaited() const { return word_ >> 48 == 0; }
  int32_t priority() const {
    return static_cast<int32_t>(static_cast<uint32_t>(INT32_MAX) -
                                static_cast<uint32_t>(word_ >> 16));
  }
  auto operator<=>(const ReadyKey&) const = default;

 private:
  uint64_t word_ = 0;
};

class ReadyQueues {
 public:
  explicit ReadyQueues(TaskTable* tasks) : tasks_(tasks) {}

  // Its tasks are of the job with this account (fair_share.h).
  void add_shape(uint32_t account);
  void push_back(uint32_t task);
  void push_front(uint32_t task);  // taken back from a worker: it was first before
  void remove(uint32_t task);
  // Whoever is `awaited` from now on moves to its new place.
  void set_awaited(uint32_t task);
  // kNoIndex if the shape has none.
  uint32_t front(uint32_t shape) const {
    return shapes_[shape].count == 0 ? kNoIndex : first(shape);
  }
  // Of its tasks of the highest priority the one that is ready longest; kNoIndex if it has none.
  uint32_t oldest(uint32_t shape) const;
  ReadyKey key_of(uint32_t task) const { return key_of((*tasks_)[task]); }
  uint64_t count(uint32_t shape) const { return shapes_[shape].count; }
  uint64_t total() const { return total_; }
  uint32_t shapes_with_tasks() const { return shapes_with_tasks_; }
  bool job_has_tasks(uint32_t account) const { return of_jobs_[account] > 0; }
  std::string validate() const;

 private:
  ReadyKey key_of(const TaskRecord& t) const {
    return {t.awaited, tasks_->tmpl_of(t).priority, t.depth};
  }
  struct List {
    uint32_t head = kNoIndex, tail = kNoIndex;
  };
  struct Shape {
    boost::container::flat_map<ReadyKey, List> lists;  // few, and they come and go
    uint64_t count = 0;
    uint32_t account = 0;
  };
  uint32_t first(uint32_t shape) const {
    for (const auto& [key, list] : shapes_[shape].lists)
      if (list.head != kNoIndex) return list.head;
    return kNoIndex;
  }
  List& list_of(Shape* shape, ReadyKey key) {
    // Most shapes have one list, and never another.
    auto& lists = shape->lists;
    return lists.size() == 1 && lists.begin()->first == key ? lists.begin()->second : lists[key];
  }
  void one_more(Shape* s) {
    if (s->count++ == 0) {
      ++shapes_with_tasks_;
      ++of_jobs_[s->account];
    }
    ++total_;
  }
  void one_less(Shape* s) {
    if (--s->count == 0) {
      --shapes_with_tasks_;
      --of_jobs_[s->account];
    }
    --total_;
  }

  TaskTable* tasks_;
  std::vector<Shape> shapes_;
  uint64_t total_ = 0;
  uint32_t shapes_with_tasks_ = 0;
  std::vector<uint32_t> of_jobs_;  // by account: its shapes with tasks
};

}  // namespace sundog::core
