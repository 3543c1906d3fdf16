// EventRecorder: keeps the latest task events in bounded segments and counts what it drops.
//
// Belongs to the deciding thread. Names are interned, inputs are copied; recording one event
// allocates nothing in the steady state. Events have sequence numbers that never repeat, so that
// a reader can go on after segments were dropped under it.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/events.h"

namespace sundog::obs {

constexpr size_t kSegmentEvents = 4096;
constexpr size_t kSegmentsMax = 128;  // about half a million events, some 60 MB when full
constexpr size_t kNamesMax = 100'000;

class EventRecorder {
 public:
  explicit EventRecorder(size_t segments_max = kSegmentsMax) : segments_max_(segments_max) {}

  void record(const model::TaskEvent& event);

  uint64_t first() const { return first_; }  // sequence number of the oldest event kept
  uint64_t end() const { return end_; }      // one past the newest
  uint64_t dropped() const { return first_; }
  // Requires first() <= sequence < end(). `name` and inputs view the recorder.
  struct View {
    TaskId task, parent;
    TaskId actor;  // nil: it is no call
    uint32_t attempt = 0;
    uint32_t tmpl = 0;
    JobId job;
    std::string_view name;
    uint32_t worker_pid = 0;
    model::Outcome outcome = model::Outcome::kFinished;
    TimeNs submitted = 0, ready = 0, offered = 0, started = 0, finished = 0;
    std::span<const TaskId> inputs;
  };
  View at(uint64_t sequence) const;

 private:
  struct Stored {
    TaskId task, parent;
    TimeNs submitted, ready, offered, started, finished;
    uint32_t attempt;
    uint32_t tmpl;
    uint32_t worker_pid;
    uint32_t first_input;  // in the segment; its actor lies before them
    uint32_t name;
    uint8_t num_inputs;
    bool has_actor;
    model::Outcome outcome;
  };
  struct Segment {
    std::vector<Stored> events;
    std::vector<TaskId> inputs;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  uint32_t intern(std::string_view name) {
    if (end_ == 0 || name != last_text_) {
      last_name_ = look_up(name);
      last_text_ = names_[last_name_];
    }
    return last_name_;
  }
  uint32_t look_up(std::string_view name);
  Segment* open_segment() {
    if (!segments_.empty() && segments_.back().events.size() < kSegmentEvents) [[likely]]
      return &segments_.back();
    return next_segment();
  }
  Segment* next_segment();

  size_t segments_max_;
  std::deque<Segment> segments_;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  std::deque<std::string> names_;
  uint32_t last_name_ = 0;  // neighbours often share one
  std::string_view last_text_;
  boost::unordered_flat_map<std::string_view, uint32_t, TextHash> name_numbers_;
};

}  // namespace sundog::obs
