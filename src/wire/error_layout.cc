#include "wire/error_layout.h"

#include "wire/layout.h"

namespace sundog::wire {
namespace {

constexpr uint32_t kTaskErrorMagic = 0x31454453;    // "SDE1"
constexpr uint32_t kSystemErrorMagic = 0x31534453;  // "SDS1"

struct TaskErrorFixed {
  uint32_t magic, pid;
  TaskId task;
  uint32_t exception_type_bytes, message_bytes, traceback_bytes, task_name_bytes;
  uint32_t source_bytes, node_bytes, exception_bytes, cause_bytes;
};
static_assert(sizeof(TaskErrorFixed) == 56);

struct SystemErrorFixed {
  uint32_t magic, kind;
  TaskId task;
  uint32_t task_name_bytes, sentence_bytes, cause_format, cause_bytes;
};
static_assert(sizeof(SystemErrorFixed) == 40);

template <typename Part>
uint32_t length(const Part& part) {
  SUNDOG_CHECK(part.size() <= UINT32_MAX);
  return static_cast<uint32_t>(part.size());
}

uint64_t system_error_size(const model::SystemError& e) {
  return sizeof(SystemErrorFixed) + padded(e.task_name.size()) + padded(e.sentence.size()) +
         padded(e.cause.size());
}
void write_system_error(const model::SystemError& e, std::byte* at) {
  Writer writer(at);
  writer.header(SystemErrorFixed{kSystemErrorMagic, static_cast<uint32_t>(e.kind), e.task,
                                 length(e.task_name), length(e.sentence),
                                 static_cast<uint32_t>(e.cause_format), length(e.cause)});
  writer.text(e.task_name);
  writer.text(e.sentence);
  writer.bytes(e.cause);
}

}  // namespace

void encode_task_error(const TaskError& e, std::vector<std::byte>* out) {
  const TaskErrorFixed fixed{kTaskErrorMagic,
                             e.pid,
                             e.task,
                             length(e.exception_type),
                             length(e.message),
                             length(e.traceback),
                             length(e.task_name),
                             length(e.source),
                             length(e.node),
                             length(e.exception),
                             length(e.cause)};
  out->resize(sizeof(fixed) + padded(e.exception_type.size()) + padded(e.message.size()) +
              padded(e.traceback.size()) + padded(e.task_name.size()) + padded(e.source.size()) +
              padded(e.node.size()) + padded(e.exception.size()) + padded(e.cause.size()));
  Writer writer(out->data());
  writer.header(fixed);
  writer.text(e.exception_type);
  writer.text(e.message);
  writer.text(e.traceback);
  writer.text(e.task_name);
  writer.text(e.source);
  writer.text(e.node);
  writer.bytes(e.exception);
  writer.bytes(e.cause);
}

void encode_system_error(const model::SystemError& e, std::vector<std::byte>* out) {
  out->resize(system_error_size(e));
  write_system_error(e, out->data());
}
std::string encode_system_error(const model::SystemError& e) {
  std::string out(system_error_size(e), '\0');
  write_system_error(e, reinterpret_cast<std::byte*>(out.data()));
  return out;
}

Result<TaskError> parse_task_error(Bytes bytes) {
  Reader reader(bytes);
  const auto f = reader.header_read_once<TaskErrorFixed>();
  reader.require(f.magic == kTaskErrorMagic, "it does not begin as a task's error does");
  TaskError e;
  e.task = f.task;
  e.pid = f.pid;
  e.exception_type = reader.text(f.exception_type_bytes, "exception type");
  e.message = reader.text(f.message_bytes, "message");
  e.traceback = reader.text(f.traceback_bytes, "traceback");
  e.task_name = reader.text(f.task_name_bytes, "task name");
  e.source = reader.text(f.source_bytes, "source");
  e.node = reader.text(f.node_bytes, "node");
  e.exception = reader.bytes(f.exception_bytes, "pickled exception");
  e.cause = reader.bytes(f.cause_bytes, "pickled cause");
  if (!reader.ok()) return Failure{reader.sentence("Task error", bytes.size())};
  return e;
}

Result<model::SystemError> parse_system_error(Bytes bytes) {
  Reader reader(bytes);
  const auto f = reader.header_read_once<SystemErrorFixed>();
  reader.require(f.magic == kSystemErrorMagic, "it does not begin as a system error does");
  model::SystemError e;
  e.kind = static_cast<model::ErrorKind>(f.kind);
  reader.require(
      e.kind >= model::ErrorKind::kWorkerCrashed && e.kind <= model::ErrorKind::kActorGroupRemoved,
      "its kind is unknown");
  e.task = f.task;
  e.task_name = reader.text(f.task_name_bytes, "task name");
  e.sentence = reader.text(f.sentence_bytes, "sentence");
  e.cause_format = static_cast<model::Format>(f.cause_format);
  reader.require(f.cause_format == 0 || (f.cause_format <= UINT16_MAX && is_error(e.cause_format)),
                 "its cause is not an error");
  e.cause = reader.bytes(f.cause_bytes, "cause");
  if (!reader.ok()) return Failure{reader.sentence("System error", bytes.size())};
  return e;
}

}  // namespace sundog::wire
