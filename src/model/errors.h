// Failures that the runtime determines, as values of Format::kSystemError carry them. The byte
// layout is in src/wire/error_layout.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "model/value.h"

namespace sundog::model {

// Numbers are part of the protocol; never reuse one.
enum class ErrorKind : uint32_t {
  kWorkerCrashed = 1,
  kNodeDied = 2,
  kObjectLost = 3,
  kStoreFull = 4,
  kTaskUnschedulable = 5,
  kTaskCancelled = 6,
  kTimeout = 7,
  kOutOfMemory = 8,
  kWorkerStartFailed = 9,
  kActorDied = 10,
  kTaskKilled = 11,         // cancelled, and its worker was killed for it
  kTaskTimeout = 12,        // it ran longer than it may
  kRuntimeEnvSetup = 13,    // its runtime environment could not be prepared
  kTaskGroupRemoved = 14,   // the placement group of a task, or of ready(), was removed
  kActorGroupRemoved = 15,  // that of an actor
};

struct SystemError {
  ErrorKind kind = ErrorKind::kWorkerCrashed;
  TaskId task;
  std::string_view task_name;
  std::string_view sentence;  // what happened, to what, why, what to do
  // The error that led to this one, as a value: an actor's constructor raised. kInvalid: none.
  Format cause_format = Format::kInvalid;
  Bytes cause = {};
};

}  // namespace sundog::model
