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
#include <string>
#include <vector>

#include "core/tasks/task_table.h"

namespace sundog::core {

struct ReadyKey {
  bool not_awaited = true;
  int32_t minus_priority = 0;
  int32_t minus_depth = 0;  // of awaited tasks; 0 for others
  auto operator<=>(const ReadyKey&) const = default;
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
  ReadyKey key_of(uint32_t task) const;
  uint64_t count(uint32_t shape) const { return shapes_[shape].count; }
  uint64_t total() const { return total_; }
  uint32_t shapes_with_tasks() const { return shapes_with_tasks_; }
  bool job_has_tasks(uint32_t account) const { return of_jobs_[account] > 0; }
  std::string validate() const;

 private:
  struct List {
    uint32_t head = kNoIndex, tail = kNoIndex;
  };
  struct Shape {
    boost::container::flat_map<ReadyKey, List> lists;  // few, and they come and go
    uint64_t count = 0;
    uint32_t account = 0;
  };
  uint32_t first(uint32_t shape) const;
  void counted(uint32_t shape, int change);

  TaskTable* tasks_;
  std::vector<Shape> shapes_;
  uint64_t total_ = 0;
  uint32_t shapes_with_tasks_ = 0;
  std::vector<uint32_t> of_jobs_;  // by account: its shapes with tasks
};

}  // namespace sundog::core
