// What the timeline keeps: one record a task attempt.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "model/value.h"

namespace sundog::model {

enum class Outcome : uint8_t {
  kFinished = 1,
  kFailed = 2,
  kRetried = 3,
  kCrashed = 4,
  kCancelled = 5
};

struct TaskEvent {
  TaskId task;
  TaskId parent;
  TaskId actor;  // of a call: what made its actor
  uint32_t attempt = 0;
  uint32_t tmpl = 0;      // NodeCore's number of the template
  std::string_view name;  // lives as long as the template
  uint32_t worker_pid = 0;
  Outcome outcome = Outcome::kFinished;
  TimeNs submitted = 0;  // at the daemon
  TimeNs ready = 0;      // dependencies there
  TimeNs offered = 0;    // sent to the worker
  TimeNs started = 0;    // by the worker's clock (the same CLOCK_MONOTONIC)
  TimeNs finished = 0;
  ValueView error;  // of one that failed, if it lies in a message; lives for one step
  // Tasks whose results were arguments, at most kTaskEventInputsMax; lives for one step.
  std::span<const TaskId> inputs;
};
constexpr size_t kTaskEventInputsMax = 16;

// Why a client process is gone, as far as the daemon could determine.
struct DeathCause {
  enum class Kind : uint8_t {
    kExited = 1,
    kSignalled = 2,
    kDisconnected = 3,
    kKilledByUs = 4,
    kOutOfMemory = 5
  };
  Kind kind = Kind::kDisconnected;
  int32_t code = 0;         // exit code or signal number
  std::string_view detail;  // last lines of stderr, may be empty
};

}  // namespace sundog::model
