// Placement: which ready task goes to which worker (LocalScheduler, second half).
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/probe.h"
#include "core/sched/local_scheduler.h"

namespace sundog::core {

// The shape to try whose job's turn it is and, of those, whose first task comes first; forgets
// shapes that need no try any more.
uint32_t LocalScheduler::best_shape(TimeNs now) {
  const bool several = shares_.several();
  uint32_t best = kNoIndex;
  ReadyKey best_key;
  int64_t best_turn = 0;
  TimeNs best_since = 0;
  for (size_t i = 0; i < to_try_.size();) {
    uint32_t s = to_try_[i];
    uint32_t front = shapes_[s].try_now ? ready_.front(s) : kNoIndex;
    if (front == kNoIndex) {
      shapes_[s].try_now = false;
      to_try_[i] = to_try_.back();
      to_try_.pop_back();
      continue;
    }
    ++i;
    if (!several && to_try_.size() == 1) return s;
    const int64_t turn = several ? shares_.turn(shapes_[s].account, now) : 0;
    ReadyKey key = ready_.key_of(front);
    TimeNs since = (*tasks_)[front].became_ready;
    if (best == kNoIndex ||
        std::tie(turn, key, since, s) < std::tie(best_turn, best_key, best_since, best)) {
      best = s;
      best_turn = turn;
      best_key = key;
      best_since = since;
    }
  }
  if (several && best != kNoIndex) shares_.chosen(shapes_[best].account, now);
  return best;
}

// No task is ready: whatever becomes so is tried then.
void LocalScheduler::try_none() {
  for (uint32_t shape : to_try_) shapes_[shape].try_now = false;
  to_try_.clear();
}

void LocalScheduler::enqueue(uint32_t task) {
  const uint32_t shape = tasks_->shape_of((*tasks_)[task]);
  const uint32_t its_account = shapes_[shape].account;
  if (shares_.several() && !ready_.job_has_tasks(its_account)) shares_.came(its_account, now_);
  ready_.push_back(task);
  try_shape(shape);
}

void LocalScheduler::place_all(TimeNs now, Actions* actions) {
  // What a blocked worker gives back may be what it waits for: it comes before anything wider. The
  // answers are events that follow at once.
  if (revoking_ > 0) {
    SUNDOG_PROBE("workers.placing_waits_for_tasks_asked_back");
    return;
  }
  // The usual case: tasks of one kind in one program.
  if (to_try_.size() == 1 && !shares_.several()) {
    const uint32_t shape = to_try_.front();
    while (shapes_[shape].try_now && ready_.shapes_with_tasks() < 2) {
      if (ready_.total() == 0) return try_none();
      if (!place_one(shape, now, actions)) break;
    }
    if (!shapes_[shape].try_now && to_try_.size() == 1) return to_try_.clear();
  }
  for (uint32_t shape = best_shape(now); shape != kNoIndex; shape = best_shape(now)) {
    while (place_one(shape, now, actions)) {
      if (ready_.shapes_with_tasks() > 1) break;  // look again at who is first
    }
  }
}

void LocalScheduler::schedule(TimeNs now, Actions* actions) {
  at(now);
  if (passed_since_ != kNever) place_oldest(now, actions);
  if (!resumes_.empty()) serve_resumes(actions);
  if (ready_.total() == 0) {
    try_all_ = false;
    try_none();
  }
  if (try_all_) {
    for (uint32_t s = 0; s < shapes_.size(); ++s)
      if (ready_.count(s) > 0) try_shape(s);
    try_all_ = false;
  }
  if (!to_try_.empty()) place_all(now, actions);
  if (!retired_.empty()) stop_retired(actions);
  if (has_gpus_ && node_.gpus.free() < node_.total.get(model::kGpu)) stop_ended_leases(actions);
  if (groups_.has_over()) forget_groups();
  next_timer_ = !deep_.empty() ? now + kOverrunMin : kNever;
  if (held_since_ != kNever) {
    if (ready_.shapes_with_tasks() == 0) {
      held_since_ = kNever;
    } else {
      next_timer_ = std::min(next_timer_, held_since_ + held_patience_);
    }
  }
  if (next_timer_ == kNever && live_workers_ > 0) {
    int64_t keep = node_.total.get(model::kCpu) / model::kResourceUnit;
    for (const Pool& p : pools_)
      if (static_cast<int64_t>(p.idle.size()) > keep)
        next_timer_ = std::min(next_timer_, worker(p.idle.front())->idle_since + kIdleWorkerKept);
  }
}

// Places the shape's first task. False, and the shape is not tried again before something changes,
// if it cannot be placed now.
bool LocalScheduler::place_one(uint32_t shape_index, TimeNs now, Actions* actions) {
  Shape& shape = shapes_[shape_index];
  uint32_t task = ready_.front(shape_index);
  if (task == kNoIndex) {
    shape.try_now = false;
    return false;
  }
  if (!is_prepared(pools_[shape.pool])) {
    ask_to_prepare(pools_[shape.pool], actions);
    shape.try_now = false;
    return false;
  }
  if (needs_gpu(shape_index)) return place_on_gpu(shape_index, now, actions);
  // A group's resources are for its own: its calls are not held back for others.
  const bool widens = shape.group == kNoIndex && would_only_widen(task, now);
  if (widens && !may_widen_) {
    SUNDOG_PROBE("workers.deeper_tasks_first");
    shape.try_now = false;
    return false;
  }
  const bool placed = place_it(shape_index, task, now, actions);
  if (placed && widens) {
    SUNDOG_PROBE("workers.one_more_after_a_while");
    may_widen_ = false;
  }
  if (!placed) shape.try_now = false;
  if (placed) note_passed(task, now);
  return placed;
}

// Deepest first knows no share: parents that wait for tasks of their own again and again would keep
// all CPUs between themselves and these while they live.
void LocalScheduler::note_passed(uint32_t placed, TimeNs now) {
  if ((*tasks_)[placed].depth < 2 || ready_.total() == 0) {
    passed_since_ = kNever;
    overdue_ = false;
  } else if (passed_since_ == kNever) {
    begin_passing(now);
  }
}

void LocalScheduler::begin_passing(TimeNs now) {
  int64_t over = -node_.total.get(model::kCpu) / model::kResourceUnit;
  for (const Depths& job : depths_) over += job.blocked;
  passed_since_ = now;
  passed_patience_ = kPassedMax << std::clamp<int64_t>(over, 0, kPassedDoublingsMax);
  overdue_ = false;
}

// Once others were passed for too long, the oldest ready task of the highest priority comes before
// deeper ones and before workers that would go on, as soon as there is room for it.
void LocalScheduler::place_oldest(TimeNs now, Actions* actions) {
  if (ready_.total() == 0) {
    passed_since_ = kNever;
    overdue_ = false;
    return;
  }
  overdue_ = now - passed_since_ >= passed_patience_;
  if (!overdue_ || revoking_ > 0) return;
  uint32_t oldest = kNoIndex;
  uint32_t its_shape = kNoIndex;
  auto order = [&](uint32_t task) {
    const TaskRecord& t = (*tasks_)[task];
    return std::tuple(-int64_t{tasks_->tmpl_of(t).priority}, t.became_ready);
  };
  Payer payer;
  for (uint32_t s = 0; s < shapes_.size(); ++s) {
    const uint32_t task = ready_.oldest(s);
    if (task == kNoIndex || !is_prepared(pools_[shapes_[s].pool])) continue;
    if (oldest != kNoIndex && order(oldest) <= order(task)) continue;
    if (!choose_payer(shapes_[s], &payer)) continue;
    oldest = task;
    its_shape = s;
  }
  if (oldest == kNoIndex) return;
  const TimeNs since = (*tasks_)[oldest].became_ready;
  if (now - since < passed_patience_) return begin_passing(since);  // others were, and ran
  if (needs_gpu(its_shape)) {
    place_on_gpu(its_shape, now, actions);  // its process may have to be started
  } else if (!place_it(its_shape, oldest, now, actions)) {
    return;
  }
  SUNDOG_PROBE("workers.oldest_before_deeper");
  begin_passing(now);
}

// As place_one, of a task that may be placed.
bool LocalScheduler::place_it(uint32_t shape_index, uint32_t task, TimeNs now, Actions* actions) {
  Shape& shape = shapes_[shape_index];
  DurationNs length = expected(task);
  if (length < kWakeWorth && place_behind(shape_index, task, length, 2 * kWakeWorth, now, actions))
    return true;
  Payer payer;
  if (choose_payer(shape, &payer)) {
    auto& idle = pools_[shape.pool].idle;
    if (!idle.empty()) {
      Worker* w = worker(idle.back());
      idle.pop_back();
      w->shape = shape_index;
      w->shape_since = now;
      w->front_since = now;
      w->holds_resources = true;
      w->payer = payer;
      take_from(payer, shape.resources);
      charge(w);
      assign(w, task, length, now, actions);
      return true;
    }
    spawn_for(shape_index, actions);
  }
  return place_behind(shape_index, task, length, kPipelineWindow, now, actions);
}

// Enough workers of its job are blocked, and what they wait for is with workers: this task would
// likely only block too. If nothing ends for a while, one more may start. If that one blocks, the
// next one waits twice as long: on a busy machine a while passes without an end too.
bool LocalScheduler::would_only_widen(uint32_t task, TimeNs now) {
  const Depths& job = depths_[account_of(task)];
  const int64_t over = job.blocked - node_.total.get(model::kCpu) / model::kResourceUnit;
  if (job.blocked == 0 || job.blocked * model::kResourceUnit < node_.total.get(model::kCpu) ||
      job.offered.rbegin()->first <= (*tasks_)[task].depth)
    return false;               // another one may be held still: its timer stays
  if (may_widen_) return true;  // this one may
  const DurationNs patience = kWidenAfter << std::clamp<int64_t>(over, 0, kWidenDoublingsMax);
  held_patience_ = held_since_ == kNever ? patience : std::min(patience, held_patience_);
  if (held_since_ == kNever) held_since_ = held_from_ = now;
  return true;
}

// Offers the task to a busy worker whose queue stays shorter than `limit`.
bool LocalScheduler::place_behind(uint32_t shape_index, uint32_t task, DurationNs length,
                                  DurationNs limit, TimeNs now, Actions* actions) {
  const Shape& shape = shapes_[shape_index];
  if (length >= kPipelineWindow) return false;
  Worker* best = nullptr;
  size_t looks = std::min<size_t>(shape.open.size(), 4);
  for (size_t i = 0; i < looks; ++i) {
    Worker* w = worker(shape.open[shape.open.size() - 1 - i]);
    if (w->expected_ns + length > limit &&
        !(limit == kPipelineWindow && w->queue.size() < 2 && w->expected_ns < kPipelineWindow))
      continue;
    bool its_turn_is_over = ready_.shapes_with_tasks() > 1 && now - w->shape_since > kShapeQuantum;
    if (its_turn_is_over) continue;
    if (best == nullptr || w->expected_ns < best->expected_ns) best = w;
  }
  if (best == nullptr) return false;
  assign(best, task, length, now, actions);
  return true;
}

void LocalScheduler::assign(Worker* w, uint32_t task, DurationNs length, TimeNs now,
                            Actions* actions) {
  ready_.remove(task);
  w->expected_ns += length;
  put_into_slot(w, task, now, actions);
  refresh_deep(w);
  refresh_open(w);
}

void LocalScheduler::put_into_slot(Worker* w, uint32_t task, TimeNs now, Actions* actions) {
  TaskRecord& t = (*tasks_)[task];
  if (w->free_slots.empty()) {
    w->free_slots.push_back(static_cast<uint32_t>(w->slots.size()));
    w->slots.push_back(kNoIndex);
    SUNDOG_CHECK(w->slots.size() <= model::kClaimSlots);
  }
  t.state = TaskState::kOffered;
  t.worker = w->client;
  t.slot = w->free_slots.back();
  w->free_slots.pop_back();
  t.generation = ++w->generation & 0x3FFFFFFF;  // two bits of the word are the state
  t.offered = now;
  w->used = true;
  w->slots[t.slot] = task;
  w->queue.push_back(task);
  count_offered(task, 1);
  Action& a = actions->emplace_back();
  a.kind = Action::Kind::kAssign;
  a.task = task;
  a.worker = w->client;
  a.slot = t.slot;
  a.generation = t.generation;
}

// As many workers as tasks of this shape would fit now, less those on their way.
void LocalScheduler::spawn_for(uint32_t shape_index, Actions* actions) {
  const Shape& shape = shapes_[shape_index];
  const Pool& pool = pools_[shape.pool];
  if (!pool.can_start) return;  // its workers join by themselves
  auto fit =
      how_many_fit(shape, static_cast<int64_t>(std::min<uint64_t>(ready_.count(shape_index), 256)));
  // A creation gives its CPU back soon and keeps the worker: the next ones find theirs started.
  if (shape.makes_actors && fit > 0)
    fit = std::min<int64_t>(fit + kStartedAhead, static_cast<int64_t>(ready_.count(shape_index)));
  if (fit > pool.starting) spawn(shape.pool, static_cast<uint32_t>(fit - pool.starting), actions);
}

void LocalScheduler::tick(TimeNs now, Actions* actions) {
  if (held_since_ != kNever && now - held_since_ >= held_patience_) {
    held_since_ = kNever;
    may_widen_ = true;
    try_all();
  }
  for (ClientId client : deep_) {
    Worker& w = *worker(client);
    if (w.overrun || w.blocked > 0) continue;
    DurationNs allowed = std::max(kOverrunMin, 4 * std::min(expected(w.queue[0]), kPipelineWindow));
    if (now - w.front_since < allowed) continue;
    SUNDOG_PROBE("workers.overrun");
    w.overrun = true;
    close(&w);
    revoke_behind_front(&w, actions);
  }
  stop_surplus(now, actions);
}

void LocalScheduler::stop_surplus(TimeNs now, Actions* actions) {
  int64_t keep = node_.total.get(model::kCpu) / model::kResourceUnit;
  for (Pool& p : pools_) {
    while (static_cast<int64_t>(p.idle.size()) > keep) {
      Worker* w = worker(p.idle.front());
      if (now - w->idle_since < kIdleWorkerKept) break;
      SUNDOG_PROBE("workers.surplus_stopped");
      w->stopping = true;
      p.idle.erase(p.idle.begin());
      Action a;
      a.kind = Action::Kind::kStop;
      a.worker = w->client;
      actions->push_back(a);
    }
  }
}

}  // namespace sundog::core
