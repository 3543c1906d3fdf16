// OutputFile: one output stream of one worker, in a file up to a limit.
//
// What comes beyond the limit is counted and told in one line at the end. The driver's copy is
// read back from the file, at the driver's pace, in whole lines. Belongs to the log thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "os/fd.h"

namespace sundog::node {

constexpr uint64_t kLogFileBytesMax = 64ull << 20;
constexpr size_t kTailBytes = 4096;  // of stderr, kept for the cause of a death
constexpr size_t kOutputBatchBytes = 32 * 1024;

// Which task a worker runs, for people. The deciding thread writes, the log thread reads; the
// strings live as long as the daemon.
struct TaskLabel {
  std::atomic<const std::string*> name{nullptr};
};

class OutputFile {
 public:
  static Result<OutputFile> open(const std::string& path, uint64_t bytes_max = kLogFileBytesMax);

  // `task` may be null.
  void append(Bytes data, const std::string* task);
  // Says in a line of its own, in its place, how many bytes were not kept since it was told last.
  void tell_gap();
  // No more will come: the last line counts as whole, and the gap is told.
  void finish();

  struct Batch {
    std::string text;  // whole lines, without the last newline
    const std::string* task = nullptr;
  };
  // The next lines that were not read yet, at most about `bytes_max`; false if there is none. A
  // line longer than that comes in parts.
  bool read_lines(Batch* batch, size_t bytes_max = kOutputBatchBytes);
  bool finished() const { return finished_; }
  bool all_read() const { return position_ == written_; }

  uint64_t gap_bytes() const { return gap_; }
  // The last lines, those beyond the limit included.
  std::string tail() const;

 private:
  struct Part {
    uint64_t offset;  // from here on …
    const std::string* task;
  };
  OutputFile(os::Fd file, uint64_t bytes_max) : file_(std::move(file)), bytes_max_(bytes_max) {}

  os::Fd file_;
  uint64_t bytes_max_;
  uint64_t written_ = 0;
  uint64_t position_ = 0;  // read back up to here
  uint64_t gap_ = 0;
  bool finished_ = false;
  std::string tail_;
  std::deque<Part> parts_;
};

}  // namespace sundog::node
