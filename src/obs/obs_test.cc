#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "obs/chrome_trace.h"
#include "obs/event_recorder.h"
#include "obs/log.h"

namespace sundog::obs {
namespace {

TaskId task(uint8_t number) {
  TaskId id;
  id.bytes[0] = 1;  // job 1
  id.bytes[8] = number;
  return id;
}

model::TaskEvent event(uint8_t number, uint32_t pid, std::initializer_list<TaskId> inputs = {}) {
  model::TaskEvent e;
  e.task = task(number);
  e.name = "load";
  e.worker_pid = pid;
  e.submitted = 1'000 * number;
  e.started = 2'000'000 * number;
  e.finished = e.started + 500'000;
  e.inputs = {inputs.begin(), inputs.size()};  // they live as long as the caller's statement
  return e;
}

std::string whole(ChromeTrace* trace, size_t chunk_bytes, int* chunks = nullptr) {
  std::string text, chunk;
  while (trace->next(chunk_bytes, &chunk)) {
    text += chunk;
    if (chunks != nullptr) ++*chunks;
  }
  return text;
}

size_t count(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST(EventRecorder, keeps_names_and_inputs_of_its_own) {
  EventRecorder recorder;
  {
    std::string name = "short lived";
    std::vector<TaskId> inputs = {task(1)};
    model::TaskEvent e = event(2, 10);
    e.name = name;
    e.inputs = inputs;
    recorder.record(e);
    name.assign(name.size(), 'x');
    inputs[0] = task(7);
  }
  EventRecorder::View view = recorder.at(0);
  EXPECT_EQ(view.name, "short lived");
  ASSERT_EQ(view.inputs.size(), 1u);
  EXPECT_EQ(view.inputs[0], task(1));
  EXPECT_EQ(view.worker_pid, 10u);
}

TEST(EventRecorder, drops_whole_segments_and_counts_them) {
  EventRecorder recorder(2);
  for (size_t i = 0; i < 3 * kSegmentEvents; ++i) recorder.record(event(uint8_t(i % 200), 1));
  EXPECT_EQ(recorder.dropped(), kSegmentEvents);
  EXPECT_EQ(recorder.first(), kSegmentEvents);
  EXPECT_EQ(recorder.end(), 3 * kSegmentEvents);
  EXPECT_EQ(recorder.at(recorder.first()).task, task(uint8_t(kSegmentEvents % 200)));
  EXPECT_EQ(recorder.at(recorder.end() - 1).task, task(uint8_t((3 * kSegmentEvents - 1) % 200)));
}

TEST(ChromeTrace, has_one_bar_an_attempt_a_row_a_worker_and_an_arrow_an_input) {
  EventRecorder recorder;
  recorder.record(event(1, 10));
  recorder.record(event(2, 11, {task(1)}));
  recorder.record(event(3, 10, {task(1), task(2), task(9)}));  // 9 was never recorded
  ChromeTrace trace(&recorder, 5, "node \"a\"");
  std::string text = whole(&trace, 1 << 20);
  EXPECT_EQ(count(text, "\"ph\":\"X\""), 3u);
  EXPECT_EQ(count(text, "\"thread_name\""), 2u);
  EXPECT_EQ(count(text, "\"ph\":\"s\""), 3u);
  EXPECT_EQ(count(text, "\"ph\":\"f\""), 3u);
  EXPECT_NE(text.find("node \\\"a\\\""), std::string::npos);
  EXPECT_NE(text.find("\"dur\":500"), std::string::npos) << text;
}

TEST(ChromeTrace, small_chunks_make_the_same_document) {
  EventRecorder recorder;
  for (uint8_t i = 1; i < 100; ++i) recorder.record(event(i, 10u + i % 3, {task(uint8_t(i - 1))}));
  ChromeTrace at_once(&recorder, 5, "n");
  ChromeTrace in_parts(&recorder, 5, "n");
  int chunks = 0;
  EXPECT_EQ(whole(&at_once, 1 << 20), whole(&in_parts, 100, &chunks));
  EXPECT_GT(chunks, 50);
}

TEST(ChromeTrace, goes_on_when_segments_are_dropped_under_it) {
  EventRecorder recorder(2);
  for (size_t i = 0; i < 2 * kSegmentEvents; ++i) recorder.record(event(1, 1));
  ChromeTrace trace(&recorder, 5, "n");
  std::string first, rest;
  ASSERT_TRUE(trace.next(100, &first));
  for (size_t i = 0; i < kSegmentEvents; ++i) recorder.record(event(1, 1));
  std::string text = first + whole(&trace, 1 << 20);
  EXPECT_GE(count(text, "\"ph\":\"X\""), kSegmentEvents);
  EXPECT_LT(count(text, "\"ph\":\"X\""), 2 * kSegmentEvents);
}

TEST(ChromeTrace, of_one_job_leaves_the_others_out) {
  EventRecorder recorder;
  recorder.record(event(1, 10));
  model::TaskEvent other = event(2, 10);
  other.task.bytes[0] = 2;
  recorder.record(other);
  ChromeTrace trace(&recorder, 5, "n", JobId{2});
  EXPECT_EQ(count(whole(&trace, 1 << 20), "\"ph\":\"X\""), 1u);
}

class TemporaryFolder {
 public:
  TemporaryFolder() { EXPECT_NE(::mkdtemp(path_), nullptr); }
  ~TemporaryFolder() {
    for (const char* name : {"/log", "/log.1"}) ::unlink((std::string(path_) + name).c_str());
    ::rmdir(path_);
  }
  std::string file(const char* name) const { return std::string(path_) + "/" + name; }

 private:
  char path_[32] = "/tmp/sundog-obs-test-XXXXXX";
};

std::string read_file(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Log, writes_one_line_with_quoted_values) {
  TemporaryFolder folder;
  Log log;
  ASSERT_TRUE(log.open(folder.file("log")).ok());
  log.warning("client refused", {{"pid", 4711}, {"reason", "wrong \"user\"\nbye"}});
  std::string text = read_file(folder.file("log"));
  EXPECT_NE(text.find("WARN  client refused  pid=4711 reason=\"wrong \\\"user\\\"\\nbye\"\n"),
            std::string::npos)
      << text;
}

TEST(Log, starts_a_new_file_at_its_limit) {
  TemporaryFolder folder;
  Log log;
  ASSERT_TRUE(log.open(folder.file("log"), 200).ok());
  for (int i = 0; i < 10; ++i) log.info("a line of some length", {{"number", i}});
  EXPECT_LE(read_file(folder.file("log")).size(), 200u);
  EXPECT_FALSE(read_file(folder.file("log.1")).empty());
}

}  // namespace
}  // namespace sundog::obs
