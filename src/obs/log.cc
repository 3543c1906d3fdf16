#include "obs/log.h"

#include "os/clock.h"
#include "os/files.h"

namespace sundog::obs {
namespace {

void append_value(std::string* line, std::string_view value) {
  bool plain = !value.empty() && value.find_first_of(" \"\n\t=") == std::string_view::npos;
  if (plain) {
    line->append(value);
    return;
  }
  line->push_back('"');
  for (char c : value) {
    if (c == '"' || c == '\\') line->push_back('\\');
    if (c == '\n') {
      line->append("\\n");
    } else {
      line->push_back(c);
    }
  }
  line->push_back('"');
}

std::string format_line(Severity severity, std::string_view what,
                        std::initializer_list<LogField> fields) {
  static constexpr const char* kNames[] = {"INFO  ", "WARN  ", "ERROR "};
  std::string line = os::wall_text(os::wall_now()) + " " + kNames[static_cast<int>(severity)];
  line.append(what);
  if (fields.size() > 0) line.push_back(' ');
  for (const LogField& field : fields) {
    line.append(" ").append(field.name).append("=");
    append_value(&line, field.value);
  }
  line.push_back('\n');
  return line;
}

}  // namespace

Status Log::open(const std::string& path, uint64_t file_bytes_max) {
  auto file = os::open_log_file(path);
  if (!file) return Failure{file.error()};
  std::lock_guard lock(mutex_);
  path_ = path;
  file_ = *std::move(file);
  file_bytes_max_ = file_bytes_max;
  auto size = os::file_size(file_.get());
  written_ = size ? *size : 0;
  return ok_status();
}

void Log::write(Severity severity, std::string_view what, std::initializer_list<LogField> fields) {
  std::string line = format_line(severity, what, fields);
  std::lock_guard lock(mutex_);
  if (!file_) return;
  if (written_ + line.size() > file_bytes_max_) rotate();
  if (os::write_all(file_.get(), as_bytes(line))) written_ += line.size();
}

void Log::rotate() {
  os::rename_file(path_, path_ + ".1");
  if (auto fresh = os::open_log_file(path_)) file_ = *std::move(fresh);
  written_ = 0;
}

}  // namespace sundog::obs
