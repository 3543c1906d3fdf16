// Values of Format::kTaskError (an exception that user code raised) and Format::kSystemError (a
// failure that the runtime determined, src/model/errors.h).
//
//   kTaskError    { u32 magic, u32 pid, TaskId task, u32 length of each of the eight parts }
//                 parts: exception type, message, traceback, task name, source, node, pickled
//                 exception, pickled cause; each padded to 8
//   kSystemError  { u32 magic, u32 kind, TaskId task, u32 task_name_bytes, u32 sentence_bytes,
//                 u32 cause_format (0: no cause, or one of these two), u32 cause_bytes }
//                 task name, sentence, cause: a value of that format; each padded to 8
//
// Texts are UTF-8 for people. Readers check lengths and kinds; whether a pickle can be loaded is
// the reader's business, the texts say enough without it. Plain values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "model/errors.h"

namespace sundog::wire {

struct TaskError {
  TaskId task;
  uint32_t pid = 0;                 // of the worker that ran it
  std::string_view exception_type;  // "ZeroDivisionError"; C++: the type's name
  std::string_view message;
  std::string_view traceback;  // formatted, innermost last, without our own frames
  std::string_view task_name;
  std::string_view source;  // "hello.py:12"
  std::string_view node;    // label for people
  Bytes exception;          // pickled; empty: it could not be pickled
  Bytes cause;              // pickled __cause__; empty: none
};

// Makes `out` the value's bytes. All parts together are under 4 GiB.
void encode_task_error(const TaskError& error, std::vector<std::byte>* out);
void encode_system_error(const model::SystemError& error, std::vector<std::byte>* out);
std::string encode_system_error(const model::SystemError& error);  // core::ErrorEncoder

// What is returned views `bytes`, which may be longer than the value.
Result<TaskError> parse_task_error(Bytes bytes);
Result<model::SystemError> parse_system_error(Bytes bytes);

}  // namespace sundog::wire
