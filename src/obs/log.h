// Log: the daemon's own log file, one line an event:
//   2031-05-04 13:07:09.123 WARN  client refused  pid=4711 reason="wrong user"
// Bounded: when the file reaches its limit it becomes <path>.1 and a new one starts. Any thread;
// a line is one write() under a leaf mutex. Never throws, never fails its caller.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/fd.h"

namespace sundog::obs {

enum class Severity : uint8_t { kInfo, kWarning, kError };

// name=value of a line; text with spaces is quoted.
struct LogField {
  std::string_view name;
  std::string value;
  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const char* v) : name(n), value(v) {}
  LogField(std::string_view n, const std::string& v) : name(n), value(v) {}
  template <std::integral T>
  LogField(std::string_view n, T v) : name(n), value(std::to_string(v)) {}
};

class Log {
 public:
  static constexpr uint64_t kFileBytesMax = 16ull << 20;

  // A log without a file: lines go nowhere.
  Log() = default;
  Status open(const std::string& path, uint64_t file_bytes_max = kFileBytesMax);

  void write(Severity severity, std::string_view what, std::initializer_list<LogField> fields = {});
  void info(std::string_view what, std::initializer_list<LogField> fields = {}) {
    write(Severity::kInfo, what, fields);
  }
  void warning(std::string_view what, std::initializer_list<LogField> fields = {}) {
    write(Severity::kWarning, what, fields);
  }
  void error(std::string_view what, std::initializer_list<LogField> fields = {}) {
    write(Severity::kError, what, fields);
  }
  int fd() const { return file_.get(); }  // for children that log into the same file

 private:
  void rotate();

  std::mutex mutex_;  // guards all below
  std::string path_;
  os::Fd file_;
  uint64_t written_ = 0;
  uint64_t file_bytes_max_ = kFileBytesMax;
};

}  // namespace sundog::obs
