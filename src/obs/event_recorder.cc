#include "obs/event_recorder.h"

#include <algorithm>

#include "base/check.h"

namespace sundog::obs {

uint32_t EventRecorder::look_up(std::string_view name) {
  auto it = name_numbers_.find(name);
  if (it != name_numbers_.end()) return it->second;
  if (names_.size() >= kNamesMax) name = "(too many names)";
  if (it = name_numbers_.find(name); it != name_numbers_.end()) return it->second;
  auto number = static_cast<uint32_t>(names_.size());
  names_.emplace_back(name);  // a deque: views of its strings stay valid
  name_numbers_.emplace(names_.back(), number);
  return number;
}

EventRecorder::Segment* EventRecorder::next_segment() {
  if (segments_.size() == segments_max_) {
    // The oldest becomes the newest, with its memory.
    Segment oldest = std::move(segments_.front());
    segments_.pop_front();
    first_ += oldest.events.size();
    oldest.events.clear();
    oldest.inputs.clear();
    segments_.push_back(std::move(oldest));
  } else {
    segments_.emplace_back().events.reserve(kSegmentEvents);
  }
  return &segments_.back();
}

void EventRecorder::record(const model::TaskEvent& event) {
  Segment* segment = open_segment();
  const size_t inputs = std::min(event.inputs.size(), model::kTaskEventInputsMax);
  const bool has_actor = !event.actor.is_nil();
  segment->events.push_back({.task = event.task,
                             .parent = event.parent,
                             .submitted = event.submitted,
                             .ready = event.ready,
                             .offered = event.offered,
                             .started = event.started,
                             .finished = event.finished,
                             .attempt = event.attempt,
                             .tmpl = event.tmpl,
                             .worker_pid = event.worker_pid,
                             .first_input = static_cast<uint32_t>(segment->inputs.size()),
                             .name = intern(event.name),
                             .num_inputs = static_cast<uint8_t>(inputs),
                             .has_actor = has_actor,
                             .outcome = event.outcome});
  ++end_;
  if (has_actor) segment->inputs.push_back(event.actor);
  if (inputs == 0) return;
  segment->inputs.insert(segment->inputs.end(), event.inputs.begin(),
                         event.inputs.begin() + static_cast<ptrdiff_t>(inputs));
}

EventRecorder::View EventRecorder::at(uint64_t sequence) const {
  SUNDOG_CHECK(sequence >= first_ && sequence < end_);
  // Every segment but the last is full.
  uint64_t offset = sequence - first_;
  const Segment& segment = segments_[offset / kSegmentEvents];
  const Stored& s = segment.events[offset % kSegmentEvents];
  View view;
  view.task = s.task;
  view.parent = s.parent;
  view.attempt = s.attempt;
  view.tmpl = s.tmpl;
  view.job = s.task.job();
  view.name = names_[s.name];
  view.worker_pid = s.worker_pid;
  view.outcome = s.outcome;
  view.submitted = s.submitted;
  view.ready = s.ready;
  view.offered = s.offered;
  view.started = s.started;
  view.finished = s.finished;
  if (s.has_actor) view.actor = segment.inputs[s.first_input];
  view.inputs = std::span(segment.inputs).subspan(s.first_input + s.has_actor, s.num_inputs);
  return view;
}

}  // namespace sundog::obs
