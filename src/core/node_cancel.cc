// NodeCore: cancelling tasks, timeouts, and workers that end after so many calls
// (docs/design/0009-cancelling.md).
//
// A task that no worker has is over at once. One that a worker may have begun is asked back first:
// if the claim is still there, it never began; if not, its levels begin. A worker is killed for a
// task only when nothing else is with it: what stood behind was taken back before.
#include <set>

#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::CancelLevel;
using model::ErrorKind;

void NodeCore::on_message(Client& c, const model::CancelTask& m) {
  const CancelRequest request{m.level, m.grace_ms * kMillisecond, CancelReason::kAsked};
  if (tasks_.find(m.task) != kNoIndex || m.task == TaskId::root_of(c.job))
    cancel_tree(m.task, request, m.recursive);
}

void NodeCore::cancel_tree(const TaskId& root, CancelRequest request, bool recursive) {
  std::set<TaskId> parents;
  auto cancel = [&](const TaskId& id) {
    const uint32_t index = tasks_.find(id);
    if (index == kNoIndex) return;
    TaskRecord& t = tasks_[index];
    // An actor is ended by kill(), and another node's task by its owner.
    if (t.kind == model::CallKind::kCreateActor || t.foreign) return;
    if (recursive) t.cancels_children = true;
    if (recursive && t.has_children) parents.insert(id);
    cancel_one(index, request);
  };
  if (tasks_.find(root) == kNoIndex) {
    if (recursive) parents.insert(root);
  } else {
    cancel(root);
    request.reason = CancelReason::kParent;
  }
  while (!parents.empty()) {
    std::vector<TaskId> children;
    for (uint32_t i = 0; i < tasks_.end(); ++i)
      if (tasks_[i].live && parents.contains(tasks_[i].parent)) children.push_back(tasks_[i].id);
    parents.clear();
    for (const TaskId& child : children) cancel(child);
  }
}

void NodeCore::cancel_one(uint32_t index, CancelRequest request) {
  TaskRecord& t = tasks_[index];
  switch (t.state) {
    case TaskState::kWaiting:
    case TaskState::kReady:
    case TaskState::kAtActor:
    case TaskState::kRemote:
      SUNDOG_PROBE("cancel.before_it_began");
      return fail_cancelled(index, request.reason, false);
    case TaskState::kKept:
      return;
    case TaskState::kOffered:
    case TaskState::kRevoking:
      if (t.kind == model::CallKind::kMethod)
        request.most = std::min(request.most, CancelLevel::kCooperative);
      t.cancelling = true;
      cancelling_.ask(index, request);
      // Being taken back already: that answer decides.
      if (t.state == TaskState::kOffered) scheduler_.ask_back(index, &actions_);
      return;
  }
}

// It never began, or an attempt of it ended and there is no further one.
void NodeCore::fail_cancelled(uint32_t index, CancelReason reason, bool ran) {
  if (reason == CancelReason::kTimeout) {
    const DurationNs allowed = tasks_.tmpl_of(tasks_[index]).timeout;
    const bool killed = cancelling_.reached(index) == CancelLevel::kKill;
    return fail_task(index, ErrorKind::kTaskTimeout,
                     "it ran longer than the " + seconds(allowed) +
                         " that timeout_s allows and was " + (killed ? "killed" : "interrupted"));
  }
  if (reason == CancelReason::kGroupRemoved) {
    const uint32_t group = tasks_[index].placement;
    return fail_task(index, ErrorKind::kTaskGroupRemoved,
                     "its " + group_label(scheduler_.groups()[group]) + " was removed " +
                         (ran ? "while it ran" : "before it began"));
  }
  std::string sentence = "it was cancelled";
  if (reason == CancelReason::kParent) sentence += " with the task that submitted it";
  sentence += ran ? ", while it ran" : ", before it began";
  const bool killed = ran && cancelling_.reached(index) == CancelLevel::kKill;
  if (killed) sentence += ": its worker was killed";
  fail_task(index, killed ? ErrorKind::kTaskKilled : ErrorKind::kTaskCancelled, sentence);
}

// The worker that it was asked back from had claimed it.
void NodeCore::claim_was_kept(uint32_t index) {
  if (!tasks_[index].cancelling) return;
  SUNDOG_PROBE("cancel.it_runs");
  cancelling_.begin(index, now_);
}

void NodeCore::cancel_what_is_due() {
  Cancelling::Due due;
  while (cancelling_.take_due(now_, &due)) {
    TaskRecord& t = tasks_[due.task];
    if (due.is_deadline) {
      t.has_deadline = false;
      SUNDOG_PROBE("cancel.timeout");
      const CancelRequest request{CancelLevel::kKill, Cancelling::kTimeoutGrace,
                                  CancelReason::kTimeout};
      cancel_tree(TaskId(t.id), request, true);
      continue;
    }
    Client* worker = client(t.worker);
    if (worker == nullptr) continue;  // it died, and how the task ends will be told
    if (due.level < CancelLevel::kKill) {
      send(t.worker, model::CancelRunning{t.id, due.level});
      continue;
    }
    SUNDOG_PROBE("cancel.kill");
    retire_worker(t.worker);
  }
}

// No further task comes to the worker; it ends when it has none, or is killed with the one that is
// to end so.
void NodeCore::retire_worker(ClientId worker) {
  scheduler_.retire(worker, &actions_);
  retiring_.insert(worker);
}

void NodeCore::settle_retiring() {
  for (auto at = retiring_.begin(); at != retiring_.end();) {
    const Worker* w = scheduler_.worker(*at);
    if (w != nullptr && w->queue.empty()) {
      send(*at, model::Stop{"it takes no further task"});
      stopping_.emplace_back(now_ + kStopGrace, *at);
    } else if (w != nullptr && w->queue.size() == 1 &&
               tasks_[w->queue[0]].state == TaskState::kOffered &&
               cancelling_.reached(w->queue[0]) == CancelLevel::kKill) {
      effects_->push_back(KillClient{*at, "its task is cancelled"});
    } else if (w != nullptr) {
      ++at;
      continue;
    }
    at = retiring_.erase(at);
  }
}

// An attempt ended, and another one may begin later.
void NodeCore::end_deadline(uint32_t index) {
  if (!std::exchange(tasks_[index].has_deadline, false)) return;
  cancelling_.clear_deadline(index);
}

// An attempt of a cancelled task ended with an exception: nobody wants it, and there is no other.
void NodeCore::cancelled_task_done(Client& c, uint32_t index, const model::Done& m) {
  SUNDOG_PROBE("cancel.ended");
  discard_results(c, m.results);
  record(tasks_[index], model::Outcome::kCancelled, c.pid, m.started, m.finished);
  fail_cancelled(index, cancelling_.reason(index), true);
}

void NodeCore::count_call(Client& c, const TaskTemplate& tmpl) {
  if (++c.calls[tmpl.function] < tmpl.max_calls) return;
  SUNDOG_PROBE("workers.max_calls");
  retire_worker(c.id);
}

}  // namespace sundog::core
