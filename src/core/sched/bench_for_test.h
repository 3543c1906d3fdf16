// A LocalScheduler with workers that say nothing by themselves, driven by a test in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/sched/local_scheduler.h"

namespace sundog::core {

inline constexpr PoolKey kPool{JobId{1}, model::Language::kPython, 0};

class Bench {
 public:
  explicit Bench(int cpus) {
    model::ResourceSet total;
    total.set(model::kCpu, cpus * model::kResourceUnit);
    total.set(model::kGpu, 2 * model::kResourceUnit);
    sched = std::make_unique<LocalScheduler>(&tasks, total);
  }
  uint32_t make_template(const char* name, int64_t cpu, int64_t gpu = 0, int32_t priority = 0) {
    TaskTemplate t;
    t.job = JobId{1};
    t.name = name;
    t.priority = priority;
    if (cpu > 0) t.resources.set(model::kCpu, cpu);
    if (gpu > 0) t.resources.set(model::kGpu, gpu);
    t.shape = sched->intern_shape(t);
    return tasks.intern_template(std::move(t));
  }
  uint32_t add_task(uint32_t tmpl, uint16_t depth = 1) {
    model::Submit s;
    s.task = TaskId::make(JobId{1}, {}, 0, ++calls);
    s.num_results = 0;
    uint32_t t = tasks.create(s);
    tasks[t].tmpl = tmpl;
    tasks[t].depth = depth;
    tasks[t].became_ready = now;
    sched->enqueue(t);
    return t;
  }
  void decide() {
    sched->schedule(now, &actions);
    ASSERT_EQ(sched->validate(), "");
  }
  ClientId join(uint64_t token = 0, bool warm = true) {
    ClientId c = ClientId::make(++workers, 1);
    sched->worker_joined(c, kPool, 1, token, now, warm);
    return c;
  }
  void join_spawned() {
    for (bool again = true; again;) {
      again = false;
      for (const Action& a : take(Action::Kind::kSpawn)) {
        join(a.token);
        again = true;
      }
      if (again) decide();
    }
  }
  std::vector<Action> take(Action::Kind kind) {
    std::vector<Action> found;
    std::erase_if(actions, [&](const Action& a) {
      if (a.kind == kind) found.push_back(a);
      return a.kind == kind;
    });
    return found;
  }
  // The worker that gets the task, if that is all that is placed now.
  ClientId run(uint32_t task) {
    decide();
    const auto a = take(Action::Kind::kAssign);
    return a.size() == 1 && a[0].task == task ? a[0].worker : ClientId{};
  }
  void done(ClientId w, uint32_t task) {
    tasks.learn_duration(tasks[task].tmpl, length);
    ASSERT_TRUE(sched->task_done(w, task, now));
    tasks.release(task);
    decide();
  }

  TaskTable tasks;
  std::unique_ptr<LocalScheduler> sched;
  Actions actions;
  TimeNs now = kSecond;
  DurationNs length = kSecond;
  uint64_t calls = 0;
  uint32_t workers = 0;
};

}  // namespace sundog::core
