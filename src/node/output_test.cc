#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "node/output_file.h"
#include "node/output_log.h"
#include "node/temporary_folder_for_test.h"

namespace sundog::node {
namespace {

std::string read_file(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// ---------------------------------------------------------------- one stream

TEST(OutputFile, gives_whole_lines_only_until_it_is_finished) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"));
  OutputFile::Batch batch;
  EXPECT_FALSE(file.read_lines(&batch));
  file.append(as_bytes("one\ntwo\nthr"), nullptr);
  ASSERT_TRUE(file.read_lines(&batch));
  EXPECT_EQ(batch.text, "one\ntwo");
  EXPECT_FALSE(file.read_lines(&batch));
  file.append(as_bytes("ee"), nullptr);
  EXPECT_FALSE(file.read_lines(&batch));
  file.finish();
  ASSERT_TRUE(file.read_lines(&batch));
  EXPECT_EQ(batch.text, "three");
  EXPECT_TRUE(file.all_read());
}

TEST(OutputFile, names_the_task_that_wrote_a_line) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"));
  std::string load = "load", train = "train";
  file.append(as_bytes("a\nb\n"), &load);
  file.append(as_bytes("c\n"), &train);
  OutputFile::Batch batch;
  ASSERT_TRUE(file.read_lines(&batch));
  EXPECT_EQ(batch.text, "a\nb");
  EXPECT_EQ(batch.task, &load);
  ASSERT_TRUE(file.read_lines(&batch));
  EXPECT_EQ(batch.text, "c");
  EXPECT_EQ(batch.task, &train);
}

TEST(OutputFile, a_line_longer_than_a_batch_comes_in_parts) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"));
  file.append(as_bytes(std::string(250, 'x') + "\nend\n"), nullptr);
  std::string text;
  OutputFile::Batch batch;
  while (file.read_lines(&batch, 100)) text += batch.text + "|";
  EXPECT_EQ(text, std::string(100, 'x') + "|" + std::string(100, 'x') + "|" + std::string(50, 'x') +
                      "\nend|");
}

TEST(OutputFile, counts_what_is_beyond_its_limit_and_says_so_in_one_line) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"), 10);
  file.append(as_bytes("12345\n"), nullptr);
  file.append(as_bytes("abcdefgh\n"), nullptr);
  file.append(as_bytes("x\n"), nullptr);  // would fit, but not in its place
  EXPECT_EQ(file.gap_bytes(), 7u);
  file.finish();
  std::string text = read_file(folder.path("out"));
  EXPECT_EQ(text.find("12345\nabcd\n[sundog: 7 bytes of output are missing here"), 0u) << text;
  OutputFile::Batch batch;
  std::string forwarded;
  while (file.read_lines(&batch)) forwarded += batch.text + "\n";
  EXPECT_EQ(forwarded, text);
}

TEST(OutputFile, tells_its_gap_when_it_is_asked_and_counts_on) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"), 10);
  file.tell_gap();  // there is none
  for (const char* text : {"12345\n", "abcdefgh\n"}) file.append(as_bytes(text), nullptr);
  file.tell_gap();
  file.append(as_bytes("more\n"), nullptr);
  OutputFile::Batch batch;
  std::string forwarded;
  while (file.read_lines(&batch)) forwarded += batch.text + "\n";
  EXPECT_EQ(forwarded.find("12345\nabcd\n[sundog: 5 bytes of output are missing here"), 0u)
      << forwarded;
  file.finish();
  while (file.read_lines(&batch)) forwarded += batch.text + "\n";
  EXPECT_NE(forwarded.find("\n[sundog: 5 bytes of output are missing here", 20), std::string::npos)
      << forwarded;
  EXPECT_EQ(forwarded, read_file(folder.path("out")));
}

TEST(OutputFile, keeps_the_last_lines_even_beyond_its_limit) {
  TemporaryFolder folder;
  OutputFile file = *OutputFile::open(folder.path("out"), 10);
  for (int i = 0; i < 1000; ++i) file.append(as_bytes("a line of some length\n"), nullptr);
  file.append(as_bytes("last words\n"), nullptr);
  EXPECT_EQ(file.tail().size(), kTailBytes);
  EXPECT_TRUE(file.tail().ends_with("last words\n"));
}

// ---------------------------------------------------------------- the thread

class OutputLogTest : public testing::Test {
 protected:
  struct Writer {
    os::Fd out, err;
    std::shared_ptr<TaskLabel> label = std::make_shared<TaskLabel>();
  };
  void SetUp() override { ASSERT_TRUE(log_.start().ok()); }
  void TearDown() override { log_.stop(); }

  Writer add(uint32_t pid) {
    os::Pipe out = *os::make_pipe(true), err = *os::make_pipe(true);
    Writer writer;
    log_.add_worker(pid, JobId{1}, std::move(out.read), std::move(err.read), writer.label);
    writer.out = std::move(out.write);
    writer.err = std::move(err.write);
    return writer;
  }
  void write(const os::Fd& fd, const std::string& text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Turns the deciding loop until `done`.
  template <typename F>
  void until(F done) {
    while (!done()) loop_->poll(kNever);
  }
  uint64_t delivered_bytes() const {
    uint64_t n = 0;
    for (const OutputBatch& b : delivered_) n += b.text.size();
    return n;
  }

  TemporaryFolder folder_;
  std::unique_ptr<loop::EventLoop> loop_ = *loop::EventLoop::create();
  std::vector<OutputBatch> delivered_;
  OutputLog log_{loop_.get(), folder_.path(""),
                 [this](OutputBatch b) { delivered_.push_back(std::move(b)); }};
};

TEST_F(OutputLogTest, lines_reach_the_driver_and_the_file) {
  Writer w = add(7);
  std::string name = "load";
  w.label->name.store(&name);
  write(w.err, "careful\n");
  until([&] { return !delivered_.empty(); });
  EXPECT_EQ(delivered_[0].text, "careful");
  EXPECT_EQ(delivered_[0].pid, 7u);
  EXPECT_TRUE(delivered_[0].is_stderr);
  EXPECT_EQ(delivered_[0].task, &name);
  EXPECT_EQ(read_file(folder_.path("worker-7.err")), "careful\n");
}

TEST_F(OutputLogTest, the_last_lines_of_stderr_are_told_at_the_end) {
  Writer w = add(7);
  write(w.err, "Traceback\nKeyError: 3\n");
  std::string tail = "not told";
  log_.worker_ended(7, [&](std::string t) { tail = std::move(t); });
  until([&] { return tail != "not told"; });
  EXPECT_EQ(tail, "Traceback\nKeyError: 3\n");
}

TEST_F(OutputLogTest, the_last_lines_are_told_even_if_the_pipes_were_closed_before) {
  Writer w = add(7);
  write(w.err, "no such device\n");
  w.out.reset();
  w.err.reset();
  until([&] { return !delivered_.empty(); });
  std::string tail = "not told";
  log_.mark(JobId{1}, 1);  // behind the hang-ups
  until([&] { return delivered_.back().is_mark; });
  log_.worker_ended(7, [&](std::string t) { tail = std::move(t); });
  until([&] { return tail != "not told"; });
  EXPECT_EQ(tail, "no such device\n");
}

TEST_F(OutputLogTest, a_worker_nobody_knows_has_no_last_lines) {
  std::string tail = "not told";
  log_.worker_ended(99, [&](std::string t) { tail = std::move(t); });
  until([&] { return tail != "not told"; });
  EXPECT_EQ(tail, "");
}

TEST_F(OutputLogTest, a_slow_driver_stops_the_forwarding_but_not_the_writing) {
  Writer w = add(7);
  std::string line(99, 'x');
  uint64_t written = 0;
  while (written < 4 * kOutputInFlightBytesMax) {
    write(w.out, line + "\n");
    written += line.size() + 1;
  }
  std::string tail = "not told";
  w.out.reset();
  w.err.reset();
  log_.worker_ended(7, [&](std::string t) { tail = std::move(t); });
  until([&] { return tail != "not told"; });
  EXPECT_EQ(read_file(folder_.path("worker-7.out")).size(), written);
  EXPECT_LE(delivered_bytes(), kOutputInFlightBytesMax + kOutputBatchBytes);
  // Passing batches on makes room for the next.
  size_t passed = 0;
  uint64_t lines = 0;
  until([&] {
    for (; passed < delivered_.size(); ++passed) {
      const std::string& text = delivered_[passed].text;
      lines += 1 + static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
      log_.passed_on(JobId{1}, text.size());
    }
    return lines == written / 100;
  });
}

TEST_F(OutputLogTest, a_mark_comes_behind_all_lines_written_before_it) {
  Writer w = add(7);
  uint64_t written = 0;
  while (written < 2 * kOutputInFlightBytesMax) {
    write(w.out, std::string(999, 'x') + "\n");
    written += 1000;
  }
  write(w.err, "the last line\n");
  log_.mark(JobId{1}, 5);
  size_t passed = 0;
  until([&] {
    for (; passed < delivered_.size(); ++passed) {
      log_.passed_on(JobId{1}, delivered_[passed].text.size());
    }
    return !delivered_.empty() && delivered_.back().is_mark;
  });
  EXPECT_EQ(delivered_.back().request, 5u);
  EXPECT_EQ(std::count_if(delivered_.begin(), delivered_.end(),
                          [](const OutputBatch& b) { return b.text == "the last line"; }),
            1);
  uint64_t lines = 0;
  for (const OutputBatch& b : delivered_) {
    if (!b.is_stderr && !b.is_mark) {
      lines += 1 + static_cast<uint64_t>(std::count(b.text.begin(), b.text.end(), '\n'));
    }
  }
  EXPECT_EQ(lines, written / 1000);
}

}  // namespace
}  // namespace sundog::node
