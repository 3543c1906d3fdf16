#include "sim/oracle.h"

#include <algorithm>

#include "base/probe.h"
#include "base/random.h"

namespace sundog::sim {

uint64_t mix(uint64_t a, uint64_t b) { return Random(a ^ (b * 0x9E3779B97F4A7C15ull)).next(); }

void Oracle::submitted(const TaskId& task, TaskFacts facts) {
  uint64_t arguments = 0;
  for (const ObjectId& id : facts.arguments) arguments = mix(arguments, meaning_of(id));
  for (uint32_t i = 0; i < facts.num_results; ++i)
    meanings_[{task, i}] = mix(mix(facts.seed, i), arguments);
  for (uint32_t i = 1; i <= facts.items; ++i)
    meanings_[{task, i}] = mix(mix(facts.seed, i), arguments);
  if (!tasks_.emplace(task, std::move(facts)).second)
    fail("task " + task.hex() + " was made twice");
}

uint64_t Oracle::write(Written value) {
  written_.push_back(std::move(value));
  return written_.size();
}

const Written* Oracle::find(uint64_t content) const {
  return content == 0 || content > written_.size() ? nullptr : &written_[content - 1];
}

TaskFacts* Oracle::task(const TaskId& id) {
  auto found = tasks_.find(id);
  return found == tasks_.end() ? nullptr : &found->second;
}

uint64_t Oracle::meaning_of(const ObjectId& id) const {
  auto found = meanings_.find(id);
  return found == meanings_.end() ? 0 : found->second;
}

void Oracle::started(const TaskId& id, uint32_t attempt, uint32_t node) {
  TaskFacts* t = task(id);
  if (t == nullptr) return fail("task " + id.hex() + " runs and nobody submitted it");
  if (attempt > t->last_attempt) fail("task " + id.hex() + " was cancelled and tried again");
  if (t->was_queued) fail("task " + id.hex() + " was cancelled in the queue and began");
  if (t->environment != 0) {
    SUNDOG_PROBE("sim.task_in_an_environment");
  }
  if (!t->may_run)
    fail("task " + id.hex() + " runs, and its environment or its placement group cannot be");
  if (isolated_.contains(node)) excuse(id, "its node is cut off");
  std::string name = "task " + id.hex() + " attempt " + std::to_string(attempt);
  if (!t->started.insert(attempt).second) fail(name + " started twice");
  bool excused = excused_.contains(id);
  if (t->running && !excused) fail(name + " started while another attempt runs");
  bool creation = actors_.contains({id, 0});  // runs again for each process of its actor
  if (t->finished && !creation && !excused && !ended_jobs_.contains(id.job()))
    fail(name + " started after the task's end was published");
  if (t->max_retries >= 0 && t->started.size() > static_cast<size_t>(t->max_retries) + 1)
    fail(name + ": more attempts than max_retries allows");
  if (ActorFacts* a = actor(t->actor); a != nullptr && t->started.size() == 1) {
    uint64_t& last = a->last_started[t->caller];
    if (t->sequence < last) fail(name + " started after a later call of the same process");
    last = t->sequence;
  }
  t->running = true;
  t->ran_on.insert(node);
}

// ---------------------------------------------------------------- actors

ActorFacts* Oracle::actor(const ObjectId& handle) {
  auto found = actors_.find(handle);
  return found == actors_.end() ? nullptr : &found->second;
}

void Oracle::actor_process_died(const ObjectId& handle) {
  if (ActorFacts* a = actor(handle)) ++a->deaths;
}

bool Oracle::may_be_dead(const ObjectId& handle) const {
  auto found = actors_.find(handle);
  if (found == actors_.end()) return false;
  const ActorFacts& a = found->second;
  if (a.killed || a.exited || (!a.detached && ended_jobs_.contains(handle.task.job()))) return true;
  if (a.max_restarts >= 0 && a.deaths > static_cast<uint32_t>(a.max_restarts)) return true;
  auto creation = tasks_.find(handle.task);
  if (creation == tasks_.end() || excused_.contains(handle.task) || creation->second.raised)
    return true;
  if (!creation->second.may_run || group_over(creation->second.group)) return true;
  for (const ObjectId& argument : creation->second.arguments)
    if (may_fail(argument)) return true;
  return false;
}

std::vector<ObjectId> Oracle::detached_on(uint32_t node) const {
  std::vector<ObjectId> found;
  for (const auto& [handle, a] : actors_)
    if (a.node == node && a.detached && !a.killed) found.push_back(handle);
  return found;
}

uint32_t Oracle::holding(uint32_t node) const {
  uint32_t count = 0;
  for (const auto& [handle, a] : actors_) {
    auto creation = tasks_.find(handle.task);
    if (creation != tasks_.end() && !creation->second.group.is_nil()) continue;  // the group's own
    count += a.node == node && !a.killed && a.lifetime_cpu + a.lifetime_gpu > 0;
  }
  return count + static_cast<uint32_t>(detached_groups_on(node).size());
}

// ---------------------------------------------------------------- placement groups

GroupFacts* Oracle::group(const TaskId& id) {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

bool Oracle::group_over(const TaskId& id) const {
  auto found = groups_.find(id);
  if (found == groups_.end()) return false;
  const GroupFacts& g = found->second;
  return g.removed || g.lost || g.named || (!g.detached && ended_jobs_.contains(id.job()));
}

bool Oracle::group_holds(const TaskId& id, int32_t bundle, int64_t cpu, int64_t gpu) const {
  auto found = groups_.find(id);
  if (found == groups_.end()) return false;
  const auto& bundles = found->second.bundles;
  for (size_t b = 0; b < bundles.size(); ++b)
    if ((bundle < 0 || static_cast<size_t>(bundle) == b) && bundles[b].cpu >= cpu &&
        bundles[b].gpu >= gpu)
      return true;
  return false;
}

std::vector<TaskId> Oracle::detached_groups_on(uint32_t node) const {
  std::vector<TaskId> found;
  for (const auto& [id, g] : groups_)
    if (g.node == node && g.detached && !g.removed) found.push_back(id);
  return found;
}

void Oracle::published_end(const TaskId& id, uint32_t, bool raised, bool will_retry) {
  TaskFacts* t = task(id);
  t->running = false;
  t->finished = !will_retry;
  t->raised = t->raised || raised;
}

void Oracle::cancelled(const TaskId& id, bool recursive) {
  TaskFacts* t = task(id);
  if (t == nullptr || actors_.contains({id, 0})) return;
  t->cancelled = true;
  t->cancels_children = t->cancels_children || recursive;
}

void Oracle::cancel_heard(const TaskId& id, uint32_t attempt, bool queued) {
  TaskFacts* t = task(id);
  if (t == nullptr || actors_.contains({id, 0})) return;
  t->last_attempt = std::min(t->last_attempt, attempt);
  t->was_queued = t->was_queued || queued;
}

void Oracle::killed_for_cancelling(const TaskId& running) {
  if (!may_be_cancelled(running))
    fail("task " + running.hex() + " was killed with its worker, and nobody cancelled it");
}

// It, or what submitted it, or a task over that, is cancelled or runs too long.
bool Oracle::may_be_cancelled(const TaskId& id) const {
  auto found = tasks_.find(id);
  if (found == tasks_.end()) return false;
  if (found->second.cancelled || found->second.timed) return true;
  if (group_over(found->second.group)) return true;
  for (auto at = tasks_.find(found->second.parent); at != tasks_.end();
       at = tasks_.find(at->second.parent))
    if (at->second.cancels_children || at->second.timed) return true;
  return false;
}

void Oracle::crashed(const TaskId& id, uint32_t) {
  TaskFacts* t = task(id);
  t->running = false;
  ++t->crashes;
}

void Oracle::node_died(uint32_t node) {
  ++node_deaths_;
  isolated_.erase(node);
  death_known_.insert(node);
  for (auto& [id, t] : tasks_) {
    if (t.owner != node && !t.ran_on.contains(node)) continue;
    excuse(id, "its node died");
    t.finished = false;  // its end may have died with the node
  }
  for (const auto& [id, on] : put_on_)
    if (on == node) excuse(id, "its node died");
  for (auto& [id, g] : groups_) g.lost = g.lost || g.node == node;
}

void Oracle::declared_dead(uint32_t node, uint64_t epoch) {
  if (!declared_.insert(epoch).second) return;
  // A death that was known is counted already, but what the node did since then dies with it too.
  if (death_known_.erase(node) > 0) --node_deaths_;
  node_isolated(node);
  death_known_.erase(node);
}

bool Oracle::may_fail(const ObjectId& id) const {
  if (excused_.contains(id.task) || ended_jobs_.contains(id.task.job())) return true;
  if (group_over(id.task)) return true;  // a group, whose object tells that it is ready
  auto found = tasks_.find(id.task);
  if (found == tasks_.end() || id.is_put()) return false;
  const TaskFacts& t = found->second;
  if (t.raised || may_be_cancelled(id.task) || !t.may_run) return true;
  if (t.environment != 0) return true;  // building it fails now and then
  // An attempt that was with a node when it died counts, whether or not it had begun.
  uint32_t failures = t.crashes + node_deaths_;
  if (t.max_retries >= 0 && failures > static_cast<uint32_t>(t.max_retries)) return true;
  if (actors_.contains({id.task, 0}) && may_be_dead({id.task, 0})) return true;
  if (!t.actor.is_nil() && may_be_dead(t.actor)) return true;
  for (const ObjectId& argument : t.arguments)
    if (may_fail(argument)) return true;
  return false;
}

void Oracle::check_value(const ObjectId& id, uint64_t content) {
  const Written* written = find(content);
  if (written == nullptr)
    return fail("object " + id.hex() + " reads as bytes that nobody wrote (" +
                std::to_string(content) + ")");
  if (written->id != id)
    return fail("object " + id.hex() + " reads as the bytes of " + written->id.hex());
  if (written->is_error) return check_error(id, "an exception of a task");
  if (written->meaning != meaning_of(id)) fail("object " + id.hex() + " has the wrong value");
  if (const GroupFacts* g = group(id.task); g != nullptr && !g->feasible)
    fail("placement group " + id.task.hex() + " is ready and can never be");
}

void Oracle::check_end(const TaskId& id, uint32_t items, bool failed) {
  const TaskFacts* t = task(id);
  if (t == nullptr) return fail("a stream of nobody ended");
  const std::string who = "the stream of task " + id.hex() + " ended behind " +
                          std::to_string(items) + " of " + std::to_string(t->items) + " items";
  if (items > t->items) return fail(who);
  if (!failed && items < t->items) fail(who + ", and no error said why");
}

void Oracle::check_error(const ObjectId& id, std::string_view text) {
  if (may_fail(id)) return;
  if (text.find("store is full") != std::string_view::npos) return excuse(id.task, "store full");
  std::string facts;
  if (const TaskFacts* t = task(id.task))
    facts = " (" + std::to_string(t->started.size()) + " attempts, " + std::to_string(t->crashes) +
            " crashes of " + std::to_string(t->max_retries) + " allowed)";
  fail("object " + id.hex() + " failed and nothing justifies it: " + std::string(text) + facts);
}

void Oracle::fail(std::string what) {
  if (failures_.size() < 20) failures_.push_back(std::move(what));
}

}  // namespace sundog::sim
