// What is told of task attempts that ended: pages of the recorder's events, newest first, and why
// the last ones that failed did (docs/design/0016).
//
// Owned by NodeShell, on its thread. A page looks at a bounded number of events, so that a session
// with half a million of them answers in several short turns.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/node_core.h"
#include "model/events.h"
#include "obs/event_recorder.h"

namespace sundog::node {

// Errors of the last attempts that failed, by the sequence number of their event.
class FailureNotes {
 public:
  static constexpr size_t kNotesMax = 1'000;
  static constexpr size_t kTextBytesMax = 2'000;

  struct Note {
    std::string type;  // as Ray's state API has it: "TASK_EXECUTION_EXCEPTION"
    std::string text;
  };

  void note(const model::TaskEvent& event, uint64_t sequence);
  // Null: there is none, or it was forgotten.
  const Note* find(uint64_t sequence) const;
  size_t size() const { return notes_.size(); }

 private:
  std::map<uint64_t, Note> notes_;
};

// Argument: "before N", N a sequence number or 0 for the newest, and perhaps " task HEX".
// {"rows": [...], "templates": {...}, "next": N or -1, "total": ..., "dropped": ...}
std::string past_tasks_json(const obs::EventRecorder& events, const FailureNotes& failures,
                            const core::NodeCore& core, std::string_view argument);

}  // namespace sundog::node
