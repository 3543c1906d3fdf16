// NodeCore: what it tells people: explain, status, memory, the whole state.
#include <algorithm>

#include "base/json.h"
#include "core/held_resources.h"
#include "core/node_core.h"

namespace sundog::core {
namespace {

constexpr size_t kObjectsShownMax = 10'000;
constexpr uint32_t kTasksShownMax = 1'000;

const char* state_name(const TaskRecord& t) {
  if (t.cancelling) return "being cancelled";
  switch (t.state) {
    case TaskState::kWaiting:
      return "waiting for arguments";
    case TaskState::kReady:
      return "ready";
    case TaskState::kOffered:
      return "with a worker";
    case TaskState::kRevoking:
      return "being taken back";
    case TaskState::kRemote:
      return "with another node";
    case TaskState::kAtActor:
      return "waiting for its actor";
    case TaskState::kKept:
      return "kept for a restart";
  }
  return "?";
}

// The signals that end workers by name: this folder asks no system.
std::string_view signal_name(int number) {
  switch (number) {
    case 4:
      return " (SIGILL)";
    case 6:
      return " (SIGABRT)";
    case 7:
      return " (SIGBUS)";
    case 8:
      return " (SIGFPE)";
    case 9:
      return " (SIGKILL)";
    case 11:
      return " (SIGSEGV)";
    case 15:
      return " (SIGTERM)";
    default:
      return "";
  }
}

}  // namespace

std::string NodeCore::seconds(DurationNs d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(d) / 1e9);
  return text;
}

std::string NodeCore::task_label(const TaskRecord& t) const {
  return tasks_.tmpl_of(t).title + " (task " + t.id.hex().substr(8, 8) + ")";
}

std::string NodeCore::describe_cause(const model::DeathCause& cause, uint32_t pid,
                                     std::string_view who) const {
  std::string text = "its " + std::string(who) + " (pid " + std::to_string(pid) + ") ";
  using Kind = model::DeathCause::Kind;
  switch (cause.kind) {
    case Kind::kExited:
      text += "exited with code " + std::to_string(cause.code);
      break;
    case Kind::kSignalled:
      text += "was killed by signal " + std::to_string(cause.code);
      text += signal_name(cause.code);
      break;
    case Kind::kDisconnected:
      text += "closed its connection";
      break;
    case Kind::kKilledByUs:
      text += "was ended by the daemon";
      break;
    case Kind::kOutOfMemory:
      text += "was killed because memory ran out";
      break;
  }
  text += ".";
  if (!cause.detail.empty()) text += " Its last words on stderr:\n" + std::string(cause.detail);
  return text;
}

std::string NodeCore::missing_resources(const TaskTemplate& t) const {
  std::string text;
  for (const auto& need : t.resources.entries()) {
    int64_t have = scheduler_.total().get(need.id);
    if (have >= need.amount) continue;
    if (!text.empty()) text += " and ";
    text += "it needs " + model::format_amount(need.amount, need.id) + " " + names_.name(need.id) +
            ", this session has " + model::format_amount(have, need.id);
  }
  return text;
}

// What the first task of a worker does.
void NodeCore::explain_running(uint32_t index, const Worker& w, TimeNs now,
                               std::vector<std::string>* chain) const {
  const TaskRecord& t = tasks_[index];
  const bool is_call = t.kind == model::CallKind::kMethod;
  const bool at_once = is_call && actors_[t.actor].groups[t.group].limit > 1;
  std::string text = (is_call ? tasks_.tmpl_of(t).title + "()" : "it") + " runs since " +
                     seconds(now - (at_once ? t.offered : w.front_since));
  text += " in worker pid " + std::to_string(w.pid);
  if (w.blocked > 0) text += ", which itself waits";
  if (t.cancelling) {
    text += ", and is being cancelled";
    if (cancelling_.reached(index) >= model::CancelLevel::kInterrupt)
      text += ": it was interrupted and has not ended; cancel(ref, force=True) kills its worker";
  }
  if (admission_.waits(w.client)) text += ", which waits for room in the object store";
  text += explain_stream(t);
  chain->push_back(text);
  if (w.blocked == 0 || chain->size() > 8) return;
  waits_.each([&](uint32_t get, const GetRecord& g) {
    if (g.client != w.client || chain->size() > 8) return;
    waits_.each_object(get, [&](uint32_t object) {
      uint32_t producer = objects_[object].producer;
      if (producer == kNoIndex || chain->size() > 8) return;
      chain->push_back("it waits for " + task_label(tasks_[producer]));
      explain_task(producer, now, chain);
    });
  });
}

void NodeCore::explain_task(uint32_t index, TimeNs now, std::vector<std::string>* chain) const {
  const TaskRecord& t = tasks_[index];
  if (t.kind == model::CallKind::kMethod && t.state != TaskState::kWaiting)
    return explain_call(index, now, chain);
  const TaskTemplate& tmpl = tasks_.tmpl_of(t);
  if (t.placement == kNoIndex && !scheduler_.feasible(tmpl.shape)) {
    chain->push_back(missing_resources(tmpl));
    return;
  }
  switch (t.state) {
    case TaskState::kOffered:
    case TaskState::kRevoking: {
      const Worker* w = scheduler_.worker(t.worker);
      if (w != nullptr && !w->queue.empty() && w->queue[0] == index)
        return explain_running(index, *w, now, chain);
      std::string text = "it is next in line";
      if (w != nullptr) text += " in worker pid " + std::to_string(w->pid);
      chain->push_back(text);
      return;
    }
    case TaskState::kWaiting:
      for (uint32_t r : t.refs()) {
        if (objects_[r].ready || objects_[r].producer == kNoIndex) continue;
        chain->push_back("it waits for its argument from " +
                         task_label(tasks_[objects_[r].producer]));
        if (chain->size() < 8) explain_task(objects_[r].producer, now, chain);
        return;
      }
      return;
    case TaskState::kAtActor:
    case TaskState::kKept:
      return;  // explain_call(), and results that are there
    case TaskState::kRemote:
      chain->push_back("it is with another node, or looks for one");
      return;
    case TaskState::kReady: {
      if (t.placement != kNoIndex) {
        chain->push_back("it is in the queue since " + seconds(now - t.became_ready) + "; " +
                         explain_in_group(t));
        return;
      }
      std::string text = "it is in the queue since " + seconds(now - t.became_ready) + ", " +
                         std::to_string(scheduler_.ready().count(tmpl.shape)) +
                         " of its kind are ready";
      if (std::string why = explain_environment(tmpl.runtime_env, now); !why.empty())
        return chain->push_back(why);
      if (lacks_cpp_worker(tmpl)) text += "; no C++ worker has joined this session";
      for (const auto& need : tmpl.resources.entries()) {
        int64_t have = scheduler_.available().get(need.id);
        if (have < need.amount)
          text += "; it needs " + model::format_amount(need.amount, need.id) + " " +
                  names_.name(need.id) + ", " +
                  model::format_amount(std::max<int64_t>(have, 0), need.id) + " of " +
                  model::format_amount(scheduler_.total().get(need.id), need.id) + " are free" +
                  held_for_long(*this, need.id);
      }
      chain->push_back(text);
      return;
    }
  }
}

std::string NodeCore::explain_json(const ObjectId& id, TimeNs now) const {
  JsonWriter j;
  j.begin_object().field("object", id.hex());
  uint32_t object = objects_.find(id);
  std::vector<std::string> chain;
  if (object == kNoIndex) {
    j.field("known", false);
    chain.push_back(
        "this session does not know it: its last reference was dropped, or it belongs to another "
        "session");
  } else {
    const ObjectRecord& o = objects_[object];
    j.field("known", true).field("ready", o.ready);
    if (o.ready) {
      chain.push_back(is_error(o.format) ? "it is ready: an error" : "it is ready");
      j.field("bytes", o.value().size());
    } else if (o.producer != kNoIndex) {
      const TaskRecord& t = tasks_[o.producer];
      if (t.kind == model::CallKind::kMethod) j.field("call", true);
      j.field("task", t.id.hex())
          .field("name", tasks_.tmpl_of(t).title)
          .field("source", tasks_.tmpl_of(t).source);
      j.field("state", state_name(t)).field("attempt", t.attempt);
      explain_task(o.producer, now, &chain);
    } else if (uint32_t group = scheduler_.groups().find(id.task); group != kNoIndex) {
      const PlacementGroup& g = scheduler_.groups()[group];
      j.field("group", group_label(g));
      chain.push_back(why_group_waits(g));
    }
  }
  j.field("reason", chain.empty() ? std::string() : chain.front());
  j.key("chain").begin_array();
  for (const auto& line : chain) j.value(line);
  j.end_array().end_object();
  return j.take();
}

std::string NodeCore::status_json() const {
  JsonWriter j;
  j.begin_object().field("session", config_.session).field("node", config_.node.hex());
  j.key("total").begin_object();
  for (const auto& e : scheduler_.total().entries())
    j.field(names_.name(e.id), static_cast<double>(e.amount) / model::kResourceUnit);
  j.end_object().key("available").begin_object();
  for (const auto& e : scheduler_.total().entries())
    j.field(names_.name(e.id),
            static_cast<double>(scheduler_.available().get(e.id)) / model::kResourceUnit);
  j.end_object();
  j.key("store").begin_object();
  j.field("capacity_bytes", objects_.allocator().capacity())
      .field("used_bytes", objects_.allocator().used());
  j.field("inline_bytes", objects_.inline_bytes()).field("extents", objects_.allocator().count());
  j.field("objects", objects_.live()).field("pinned_objects", objects_.pinned_objects());
  j.field("waiting_for_room", admission_.waiting().size()).end_object();
  j.key("tasks")
      .begin_object()
      .field("live", tasks_.live())
      .field("ready", scheduler_.ready().total())
      .end_object();
  uint32_t drivers = 0;
  for (const Client& c : clients_) drivers += c.live && c.role == model::Role::kDriver;
  j.field("workers", scheduler_.num_workers()).field("drivers", drivers);
  j.field("actors", actors_.live());
  j.field("placement_groups", scheduler_.groups().live());
  j.field("gets", waits_.live());
  j.end_object();
  return j.take();
}

std::string NodeCore::memory_json() const {
  JsonWriter j;
  j.begin_array();
  // Extents first: they are what fills the store; then inline values while there is room.
  std::vector<uint32_t> shown;
  for (bool extents : {true, false})
    for (uint32_t i = 0; i < objects_.end() && shown.size() < kObjectsShownMax; ++i)
      if (objects_[i].live && objects_[i].extent.empty() != extents) shown.push_back(i);
  for (uint32_t i : shown) {
    const ObjectRecord& o = objects_[i];
    j.begin_object()
        .field("object", o.id.hex())
        .field("ready", o.ready)
        .field("bytes", o.value().size());
    j.field("in_arena", !o.extent.empty()).field("internal_refs", o.internal_refs);
    auto holders = [&](const char* name, const HolderCounts& counts) {
      j.key(name).begin_array();
      counts.each([&](const HolderCount& h) {
        const Client* c = client(h.client);
        j.begin_object()
            .field("pid", c == nullptr ? 0 : c->pid)
            .field("count", h.count)
            .end_object();
      });
      j.end_array();
    };
    holders("refs", o.refs);
    holders("pins", o.pins);
    j.end_object();
  }
  j.end_array();
  return j.take();
}

std::string NodeCore::dump_json() const {
  JsonWriter j;
  j.begin_object().key("status").raw(status_json());
  j.key("workers").begin_array();
  for (const Worker* w : scheduler_.workers()) {
    j.begin_object()
        .field("pid", w->pid)
        .field("queue", w->queue.size())
        .field("blocked", w->blocked)
        .field("actor", w->actor);
    j.field("overrun", w->overrun);
    if (!w->queue.empty()) j.field("runs", task_label(tasks_[w->queue[0]]));
    j.end_object();
  }
  j.end_array().key("tasks").begin_array();
  uint32_t shown = 0;
  for (uint32_t i = 0; i < tasks_.end() && shown < kTasksShownMax; ++i) {
    const TaskRecord& t = tasks_[i];
    if (!t.live) continue;
    ++shown;
    j.begin_object()
        .field("task", t.id.hex())
        .field("name", tasks_.tmpl_of(t).title)
        .field("state", state_name(t));
    j.field("attempt", t.attempt)
        .field("depth", t.depth)
        .field("awaited", t.awaited)
        .field("unready", t.unready);
    j.end_object();
  }
  j.end_array().field("tasks_not_shown", tasks_.live() - shown);
  j.key("gets").begin_array();
  waits_.each([&](uint32_t, const GetRecord& g) {
    const Client* c = client(g.client);
    j.begin_object()
        .field("pid", c == nullptr ? 0 : c->pid)
        .field("missing", g.missing)
        .field("blocking", g.blocking);
    j.end_object();
  });
  j.end_array().key("actors").raw(actors_json()).key("names").raw(names_json({}));
  j.key("objects").raw(memory_json()).end_object();
  return j.take();
}

void NodeCore::on_message(Client& c, const model::Query& m) {
  std::string text;
  switch (m.question) {
    case model::Question::kTimeline:
      effects_->push_back(AnswerTimeline{c.id, m.request});
      return;
    case model::Question::kJobs:
    case model::Question::kPastTasks:
    case model::Question::kOutput:  // the shell's; an empty answer where there is none
      break;
    case model::Question::kTasks:
      text = tasks_json(m.argument);
      break;
    case model::Question::kProcesses:
      text = processes_json();
      break;
    case model::Question::kEnvironments:
      text = environments_json();
      break;
    case model::Question::kDump:
      text = dump_json();
      break;
    case model::Question::kStatus:
      text = status_json();
      break;
    case model::Question::kMemory:
      text = memory_json();
      break;
    case model::Question::kNames:
      text = names_json(m.argument);
      break;
    case model::Question::kActors:
      text = actors_json();
      break;
    case model::Question::kGroups:
      text = groups_json(c, m.argument);
      break;
    case model::Question::kPendingCalls:
      text = std::to_string(pending_calls(m.argument, c.id));
      break;
    case model::Question::kExplain: {
      ObjectId id;
      text = ObjectId::from_hex(m.argument, &id) ? explain_json(id, now_)
                                                 : "{\"error\":\"an object id has 40 hex digits\"}";
      break;
    }
  }
  send(c.id, model::Reply{m.request, true, keep(std::move(text))});
}

}  // namespace sundog::core
