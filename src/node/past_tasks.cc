#include "node/past_tasks.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/json.h"
#include "wire/error_layout.h"

namespace sundog::node {
namespace {

constexpr uint32_t kPageRows = 500;
constexpr uint32_t kPageLooks = 20'000;

const char* type_of(model::ErrorKind kind) {
  using Kind = model::ErrorKind;
  switch (kind) {
    case Kind::kNodeDied:
      return "NODE_DIED";
    case Kind::kObjectLost:
      return "OBJECT_LOST";
    case Kind::kTaskUnschedulable:
      return "TASK_UNSCHEDULABLE_ERROR";
    case Kind::kTaskCancelled:
    case Kind::kTaskKilled:
    case Kind::kTimeout:
    case Kind::kTaskTimeout:
      return "TASK_CANCELLED";
    case Kind::kStoreFull:
    case Kind::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case Kind::kWorkerStartFailed:
      return "WORKER_STARTUP_FAILED";
    case Kind::kActorDied:
      return "ACTOR_DIED";
    case Kind::kRuntimeEnvSetup:
      return "RUNTIME_ENV_SETUP_FAILED";
    case Kind::kTaskGroupRemoved:
      return "TASK_PLACEMENT_GROUP_REMOVED";
    case Kind::kActorGroupRemoved:
      return "ACTOR_PLACEMENT_GROUP_REMOVED";
    case Kind::kWorkerCrashed:
      break;
  }
  return "WORKER_DIED";
}

// Without breaking a character of UTF-8.
std::string beginning_of(std::string_view text) {
  size_t size = std::min(text.size(), FailureNotes::kTextBytesMax);
  while (size > 0 && size < text.size() && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80)
    --size;
  return std::string(text.substr(0, size)) + (size < text.size() ? "…" : "");
}

const char* type_without_note(model::Outcome outcome) {
  switch (outcome) {
    case model::Outcome::kCrashed:
      return "WORKER_DIED";
    case model::Outcome::kCancelled:
      return "TASK_CANCELLED";
    case model::Outcome::kFailed:
    case model::Outcome::kRetried:
      return "TASK_EXECUTION_EXCEPTION";
    case model::Outcome::kFinished:
      break;
  }
  return "";
}

void write_row(const obs::EventRecorder::View& e, const FailureNotes::Note* note, JsonWriter* j) {
  const bool well = e.outcome == model::Outcome::kFinished;
  j->begin_object().field("task", e.task.hex()).field("parent", e.parent.hex());
  j->field("attempt", e.attempt).field("tmpl", e.tmpl);
  j->field("state", well ? "FINISHED" : "FAILED");
  j->field("actor", e.actor.is_nil() ? std::string() : ObjectId{e.actor, 0}.hex());
  j->field("pid", e.worker_pid).field("submitted", e.submitted).field("ready", e.ready);
  j->field("started", e.started != 0 || e.worker_pid == 0 ? e.started : e.offered);
  j->field("finished", e.finished);
  if (!well) {
    j->field("error_type", note != nullptr ? note->type : type_without_note(e.outcome));
    j->field("error", note != nullptr ? note->text : std::string());
  }
  j->end_object();
}

}  // namespace

void FailureNotes::note(const model::TaskEvent& event, uint64_t sequence) {
  if (!model::is_error(event.error.format) || event.error.in_extent()) return;
  Note note;
  if (event.error.format == model::Format::kTaskError) {
    auto error = wire::parse_task_error(event.error.bytes);
    if (!error.ok()) return;
    note.type = "TASK_EXECUTION_EXCEPTION";
    std::string last = std::string(error->exception_type) + ": " + std::string(error->message);
    // The end of a long traceback says more than its beginning.
    std::string_view trace = error->traceback;
    const size_t room = kTextBytesMax - std::min(kTextBytesMax, last.size() + 1);
    if (trace.size() > room) trace = {};
    note.text = beginning_of(std::string(trace) + (trace.empty() ? "" : "\n") + last);
  } else {
    auto error = wire::parse_system_error(event.error.bytes);
    if (!error.ok()) return;
    note.type = type_of(error->kind);
    note.text = beginning_of(error->sentence);
  }
  notes_.emplace(sequence, std::move(note));
  if (notes_.size() > kNotesMax) notes_.erase(notes_.begin());
}

const FailureNotes::Note* FailureNotes::find(uint64_t sequence) const {
  auto it = notes_.find(sequence);
  return it == notes_.end() ? nullptr : &it->second;
}

std::string past_tasks_json(const obs::EventRecorder& events, const FailureNotes& failures,
                            const core::NodeCore& core, std::string_view argument) {
  uint64_t before = 0;
  if (argument.starts_with("before "))
    std::from_chars(argument.data() + 7, argument.data() + argument.size(), before);
  ObjectId only;
  if (size_t at = argument.find(" task "); at != std::string_view::npos)
    ObjectId::from_hex(std::string(argument.substr(at + 6)) + "00000000", &only);
  uint64_t at = before == 0 ? events.end() : std::min(before, events.end());
  JsonWriter j;
  j.begin_object().key("rows").begin_array();
  std::set<uint32_t> templates;
  uint32_t rows = 0, looks = 0;
  for (; at > events.first() && rows < kPageRows && looks < kPageLooks; --at, ++looks) {
    const obs::EventRecorder::View event = events.at(at - 1);
    if (!only.is_nil() && event.task != only.task) continue;
    ++rows;
    templates.insert(event.tmpl);
    write_row(event, failures.find(at - 1), &j);
  }
  j.end_array().key("templates").begin_object();
  for (uint32_t tmpl : templates) {
    j.key(std::to_string(tmpl));
    core.describe_template(tmpl, &j);
  }
  j.end_object().field("next", at > events.first() ? static_cast<int64_t>(at) : -1);
  j.field("total", events.end() - events.first()).field("dropped", events.dropped());
  j.end_object();
  return j.take();
}

}  // namespace sundog::node
