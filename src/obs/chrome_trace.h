// ChromeTrace: task events as a trace that Perfetto and chrome://tracing open, chunk by chunk.
//
// One complete event ("X") a task attempt on a row per worker process; a flow arrow ("s" to "f")
// from the task that made an argument to the task that used it; names of process and rows. The
// format: "Trace Event Format",
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
//
// Reads an EventRecorder on its thread; what is dropped between two chunks is skipped and counted.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/tables.h"
#include "obs/event_recorder.h"

namespace sundog::obs {

class ChromeTrace {
 public:
  // Everything recorded until now, of one job or (JobId 0) of all.
  ChromeTrace(const EventRecorder* events, uint32_t node_pid, std::string node_name,
              JobId job = {});

  // The next part of the JSON text, of about `bytes`; all parts joined are the document. False
  // after the last part.
  bool next(size_t bytes, std::string* chunk);

 private:
  struct Producer {
    uint32_t pid;
    TimeNs finished;
  };
  void write_names(JsonWriter* json);
  void write_row_name(JsonWriter* json, uint32_t pid);
  void write_task(JsonWriter* json, const EventRecorder::View& event);
  void write_arrows(JsonWriter* json, const EventRecorder::View& event);
  void write_arrow_end(JsonWriter* json, const char* phase, uint32_t pid, TimeNs at);

  const EventRecorder* events_;
  uint32_t node_pid_;
  std::string node_name_;
  JobId job_;
  uint64_t position_;
  uint64_t end_;
  uint64_t skipped_ = 0;
  uint64_t next_arrow_ = 1;
  bool started_ = false;
  bool done_ = false;
  IdMap<TaskId, Producer> producers_;
  std::vector<uint32_t> rows_;  // pids already named, sorted
};

}  // namespace sundog::obs
