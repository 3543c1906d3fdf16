#include "node/output_file.h"

#include <algorithm>
#include <vector>

#include "os/files.h"

namespace sundog::node {

Result<OutputFile> OutputFile::open(const std::string& path, uint64_t bytes_max) {
  auto file = os::open_log_file(path);
  if (!file) return Failure{file.error()};
  auto size = os::file_size(file->get());
  if (!size) return Failure{size.error()};
  OutputFile output(*std::move(file), bytes_max);
  // A reused pid appends to its predecessor's file, whose lines are nobody's any more.
  output.written_ = output.position_ = *size;
  return output;
}

void OutputFile::append(Bytes data, const std::string* task) {
  tail_.append(as_text(data));
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  if (parts_.empty() || parts_.back().task != task) parts_.push_back({written_, task});
  uint64_t room = bytes_max_ > written_ ? bytes_max_ - written_ : 0;
  Bytes kept = data.first(std::min<uint64_t>(room, data.size()));
  if (gap_ > 0) kept = {};  // nothing after a gap that is not told: it would be in the wrong place
  if (!kept.empty() && os::write_all(file_.get(), kept)) {
    written_ += kept.size();
  } else {
    kept = {};
  }
  gap_ += data.size() - kept.size();
}

void OutputFile::finish() {
  if (finished_) return;
  finished_ = true;
  tell_gap();
}

void OutputFile::tell_gap() {
  if (gap_ == 0) return;
  std::string line = "\n[sundog: " + std::to_string(gap_) +
                     " bytes of output are missing here: a stream is kept up to " +
                     std::to_string(bytes_max_ >> 20) + " MB, and only while the disk has room]\n";
  if (!os::write_all(file_.get(), as_bytes(line))) return;
  written_ += line.size();
  gap_ = 0;
}

bool OutputFile::read_lines(Batch* batch, size_t bytes_max) {
  if (position_ == written_) return false;
  while (parts_.size() > 1 && parts_[1].offset <= position_) parts_.pop_front();
  size_t want = std::min<uint64_t>(bytes_max, written_ - position_);
  std::vector<std::byte> buffer(want);
  auto n = os::read_at(file_.get(), position_, buffer);
  if (!n || *n == 0) {  // the file was cut by somebody: what is gone is gone
    position_ = written_;
    return false;
  }
  std::string_view text = as_text(Bytes(buffer).first(*n));
  size_t end = std::string_view::npos;
  if (parts_.size() > 1) {  // another task's lines begin here; cut there if a line ends before
    uint64_t limit = parts_[1].offset - position_;
    if (limit < text.size()) end = text.rfind('\n', limit - 1);
  }
  if (end == std::string_view::npos) end = text.rfind('\n');
  bool whole = end != std::string_view::npos;
  bool last_part = finished_ && position_ + text.size() == written_;
  if (!whole && !last_part && text.size() < bytes_max) return false;  // the line is not there yet
  batch->text.assign(text.substr(0, whole ? end : text.size()));
  batch->task = parts_.empty() ? nullptr : parts_.front().task;
  position_ += whole ? end + 1 : text.size();
  return true;
}

std::string OutputFile::tail() const {
  if (tail_.size() <= kTailBytes) return tail_;
  return tail_.substr(tail_.size() - kTailBytes);
}

}  // namespace sundog::node
