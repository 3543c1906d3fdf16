#include "obs/chrome_trace.h"

#include <algorithm>

namespace sundog::obs {
namespace {

double microseconds(TimeNs t) { return static_cast<double>(t) / 1e3; }

const char* outcome_name(model::Outcome outcome) {
  switch (outcome) {
    case model::Outcome::kFinished:
      return "finished";
    case model::Outcome::kFailed:
      return "failed";
    case model::Outcome::kRetried:
      return "retried";
    case model::Outcome::kCrashed:
      return "crashed";
    case model::Outcome::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

// A task whose worker died before it reported has no start of its own; one that never ran has only
// an end.
TimeNs start_of(const EventRecorder::View& e) {
  if (e.started != 0) return e.started;
  return e.offered != 0 ? e.offered : e.finished;
}
TimeNs end_of(const EventRecorder::View& e) { return std::max(e.finished, start_of(e)); }

}  // namespace

ChromeTrace::ChromeTrace(const EventRecorder* events, uint32_t node_pid, std::string node_name,
                         JobId job)
    : events_(events),
      node_pid_(node_pid),
      node_name_(std::move(node_name)),
      job_(job),
      position_(events->first()),
      end_(events->end()) {}

bool ChromeTrace::next(size_t bytes, std::string* chunk) {
  chunk->clear();
  if (done_) return false;
  // Each chunk is written as an array of its own; its brackets are cut off and the parts joined.
  JsonWriter json;
  json.begin_array();
  if (!started_) write_names(&json);
  if (position_ < events_->first()) {
    skipped_ += events_->first() - position_;
    position_ = events_->first();
  }
  for (; position_ < end_ && json.text().size() < bytes; ++position_) {
    EventRecorder::View event = events_->at(position_);
    if (job_.value != 0 && event.job != job_) continue;
    write_row_name(&json, event.worker_pid);
    write_task(&json, event);
    write_arrows(&json, event);
  }
  json.end_array();
  std::string text = json.take();
  std::string_view inner = std::string_view(text).substr(1, text.size() - 2);
  if (!started_) chunk->append("{\"traceEvents\":[");
  if (started_ && !inner.empty()) chunk->push_back(',');
  chunk->append(inner);
  started_ = true;
  if (position_ >= end_) {
    done_ = true;
    chunk->append("],\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":\"")
        .append(std::to_string(events_->dropped()))
        .append("\"}}");
  }
  return true;
}

void ChromeTrace::write_names(JsonWriter* json) {
  json->begin_object()
      .field("name", "process_name")
      .field("ph", "M")
      .field("pid", node_pid_)
      .key("args")
      .begin_object()
      .field("name", node_name_)
      .end_object()
      .end_object();
}

void ChromeTrace::write_row_name(JsonWriter* json, uint32_t pid) {
  auto it = std::lower_bound(rows_.begin(), rows_.end(), pid);
  if (it != rows_.end() && *it == pid) return;
  rows_.insert(it, pid);
  json->begin_object()
      .field("name", "thread_name")
      .field("ph", "M")
      .field("pid", node_pid_)
      .field("tid", pid)
      .key("args")
      .begin_object()
      .field("name", pid != 0 ? "worker " + std::to_string(pid) : "never ran")
      .end_object()
      .end_object();
}

void ChromeTrace::write_task(JsonWriter* json, const EventRecorder::View& e) {
  json->begin_object()
      .field("name", e.name)
      .field("cat", "task")
      .field("ph", "X")
      .field("pid", node_pid_)
      .field("tid", e.worker_pid)
      .field("ts", microseconds(start_of(e)))
      .field("dur", microseconds(end_of(e) - start_of(e)));
  json->key("args")
      .begin_object()
      .field("task_id", e.task.hex())
      .field("parent_id", e.parent.hex())
      .field("job", e.job.value)
      .field("attempt", e.attempt)
      .field("outcome", outcome_name(e.outcome))
      .field("submitted_us", microseconds(e.submitted))
      .field("ready_us", microseconds(e.ready))
      .field("sent_us", microseconds(e.offered))
      .end_object();
  json->end_object();
}

void ChromeTrace::write_arrows(JsonWriter* json, const EventRecorder::View& e) {
  for (const TaskId& input : e.inputs) {
    auto producer = producers_.find(input);
    if (producer == producers_.end()) continue;
    // An arrow must begin inside the bar it leaves and end inside the bar it meets.
    write_arrow_end(json, "s", producer->second.pid, producer->second.finished);
    write_arrow_end(json, "f", e.worker_pid, start_of(e));
    ++next_arrow_;
  }
  producers_[e.task] = {e.worker_pid, std::max(start_of(e), end_of(e) - kMicrosecond)};
}

void ChromeTrace::write_arrow_end(JsonWriter* json, const char* phase, uint32_t pid, TimeNs at) {
  json->begin_object()
      .field("name", "argument")
      .field("cat", "flow")
      .field("ph", phase)
      .field("id", next_arrow_)
      .field("pid", node_pid_)
      .field("tid", pid)
      .field("ts", microseconds(at));
  if (phase[0] == 'f') json->field("bp", "e");
  json->end_object();
}

}  // namespace sundog::obs
