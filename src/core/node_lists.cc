// NodeCore: the tasks that live and the processes, for people who list them (docs/design/0016).
//
// Answers are pages of bounded length, so that a list of a million tasks never holds up a turn.
#include <algorithm>
#include <charconv>
#include <set>

#include "base/json.h"
#include "core/node_core.h"

namespace sundog::core {
namespace {

constexpr uint32_t kPageRows = 500;
constexpr uint32_t kPageLooks = 20'000;

void write_amounts(const model::ResourceSet& amounts, const model::ResourceNames& names,
                   JsonWriter* j) {
  j->begin_object();
  for (const auto& e : amounts.entries())
    j->field(names.name(e.id), static_cast<double>(e.amount) / model::kResourceUnit);
  j->end_object();
}

const char* kind_name(model::CallKind kind) {
  switch (kind) {
    case model::CallKind::kTask:
      return "task";
    case model::CallKind::kCreateActor:
      return "creation";
    case model::CallKind::kMethod:
      return "call";
  }
  return "?";
}

// In the words of Ray's state API, which people know.
const char* listed_state(uint32_t index, const TaskRecord& t, const Worker* w, uint32_t at_once) {
  switch (t.state) {
    case TaskState::kWaiting:
      return "PENDING_ARGS_AVAIL";
    case TaskState::kReady:
    case TaskState::kRemote:
      return "PENDING_NODE_ASSIGNMENT";
    case TaskState::kAtActor:
      return "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY";
    case TaskState::kKept:
      return "FINISHED";
    case TaskState::kOffered:
    case TaskState::kRevoking:
      break;
  }
  if (w == nullptr || w->queue.empty()) return "SUBMITTED_TO_WORKER";
  const auto first = w->queue.begin();
  const auto last = first + std::min<ptrdiff_t>(at_once, std::ssize(w->queue));
  const bool runs = std::any_of(first, last, [&](uint32_t other) { return other == index; });
  if (!runs) return "SUBMITTED_TO_WORKER";
  return w->blocked > 0 ? "RUNNING_IN_RAY_GET" : "RUNNING";
}

}  // namespace

void NodeCore::describe_template(uint32_t tmpl, JsonWriter* j) const {
  const TaskTemplate& t = tasks_.tmpl(tmpl);
  j->begin_object().field("name", t.title).field("source", t.source);
  const bool is_task = t.kind == model::CallKind::kTask;
  j->field("function", is_task && !t.method.empty() ? t.method : t.name);
  j->field("kind", kind_name(t.kind)).field("method", is_task ? std::string() : t.method);
  j->field("language", t.language == model::Language::kCpp ? "CPP" : "PYTHON");
  j->key("resources");
  write_amounts(t.resources, names_, j);
  j->field("runtime_env", t.runtime_env);
  j->field("group", t.placement_group.is_nil() ? std::string() : t.placement_group.hex());
  j->end_object();
}

std::string NodeCore::tasks_json(std::string_view argument) const {
  uint32_t index = 0, end = tasks_.end();
  if (argument.starts_with("task ")) {
    ObjectId id;
    const bool known = ObjectId::from_hex(std::string(argument.substr(5)) + "00000000", &id);
    index = known ? tasks_.find(id.task) : kNoIndex;
    end = index == kNoIndex ? index : index + 1;
  } else if (argument.starts_with("from ")) {
    std::from_chars(argument.data() + 5, argument.data() + argument.size(), index);
  }
  JsonWriter j;
  j.begin_object().key("rows").begin_array();
  std::set<uint32_t> templates;
  uint32_t rows = 0, looks = 0;
  for (; index < end && rows < kPageRows && looks < kPageLooks; ++index, ++looks) {
    const TaskRecord& t = tasks_[index];
    // A creation that is kept for a restart is done: it is among the past ones.
    if (!t.live || t.state == TaskState::kKept) continue;
    ++rows;
    templates.insert(t.tmpl);
    write_live(index, &j);
  }
  j.end_array().key("templates").begin_object();
  for (uint32_t tmpl : templates) {
    j.key(std::to_string(tmpl));
    describe_template(tmpl, &j);
  }
  j.end_object().field("next", index < end ? static_cast<int64_t>(index) : -1);
  j.field("total", tasks_.live()).end_object();
  return j.take();
}

void NodeCore::write_live(uint32_t index, JsonWriter* j) const {
  const TaskRecord& t = tasks_[index];
  const bool is_call = t.kind == model::CallKind::kMethod && t.actor != kNoIndex;
  const Worker* w = scheduler_.worker(t.worker);
  const uint32_t at_once = is_call ? actors_[t.actor].groups[t.group].limit : 1;
  const char* state = listed_state(index, t, w, at_once);
  const bool with_worker = t.state == TaskState::kOffered || t.state == TaskState::kRevoking;
  j->begin_object().field("task", t.id.hex()).field("parent", t.parent.hex());
  j->field("unrecorded", tasks_.tmpl_of(t).unrecorded);
  j->field("attempt", t.attempt).field("tmpl", t.tmpl).field("state", state);
  j->field("actor", is_call                                   ? actors_[t.actor].handle.hex()
                    : t.kind == model::CallKind::kCreateActor ? ObjectId{t.id, 0}.hex()
                                                              : std::string());
  j->field("pid", with_worker && w != nullptr ? w->pid : 0);
  j->field("group",
           t.placement == kNoIndex ? std::string() : scheduler_.groups()[t.placement].id.hex());
  const bool runs = std::string_view(state).starts_with("RUNNING");
  j->field("submitted", t.submitted).field("ready", t.became_ready);
  j->field("started", !runs ? 0 : at_once > 1 ? t.offered : std::max(t.offered, w->front_since));
  j->field("finished", 0).end_object();
}

std::string NodeCore::processes_json() const {
  JsonWriter j;
  j.begin_array();
  for (const Client& c : clients_) {
    if (!c.live) continue;
    const Worker* w = scheduler_.worker(c.id);
    j.begin_object().field("pid", c.pid).field("job", c.job.value);
    j.field("driver", c.role == model::Role::kDriver);
    j.field("actor", c.actor == kNoIndex ? std::string() : actors_[c.actor].handle.hex());
    const bool runs = w != nullptr && !w->queue.empty();
    j.field("runs", runs ? tasks_.tmpl_of(tasks_[w->queue[0]]).title : std::string());
    j.field("queue", w == nullptr ? 0 : w->queue.size());
    j.field("blocked", w != nullptr && w->blocked > 0).end_object();
  }
  j.end_array();
  return j.take();
}

std::string NodeCore::environments_json() const {
  constexpr const char* kStates[] = {"ABSENT", "QUEUED", "PREPARING", "READY", "FAILED"};
  JsonWriter j;
  j.begin_array();
  for (const auto& [hash, environment] : environments_.all()) {
    j.begin_object().field("hash", hash).field("description", environment.description);
    j.field("state", kStates[static_cast<size_t>(environment.state)]);
    j.field("workers", environment.workers).end_object();
  }
  j.end_array();
  return j.take();
}

}  // namespace sundog::core
