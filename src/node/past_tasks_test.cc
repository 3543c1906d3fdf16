#include "node/past_tasks.h"

#include <gtest/gtest.h>

#include "wire/error_layout.h"

namespace sundog::node {
namespace {

constexpr JobId kJob{3};

struct PastTasks : testing::Test {
  core::NodeCore core{{.node = {},
                       .session = "test",
                       .resources = {{"CPU", model::kResourceUnit}},
                       .store_bytes = 1 << 20,
                       .encode_error = [](const model::SystemError&) { return std::string(); }}};
  obs::EventRecorder events;
  FailureNotes failures;

  PastTasks() {
    Random random(1);
    core::Effects effects;
    ClientId driver = ClientId::make(0, 1);
    core.step(1, random,
              core::ClientConnected{driver, model::Role::kDriver, model::Language::kPython, kJob},
              &effects);
    model::DefineTemplate define;
    define.name = "load";
    core.step(1, random, core::FromClient{driver, define}, &effects);
  }
  model::TaskEvent event(uint64_t number, model::Outcome outcome = model::Outcome::kFinished) {
    model::TaskEvent e;
    e.task = TaskId::make(kJob, {}, 0, number);
    e.name = "load";
    e.worker_pid = 9;
    e.outcome = outcome;
    return e;
  }
  void record(const model::TaskEvent& e) {
    failures.note(e, events.end());
    events.record(e);
  }
  std::string page(std::string_view argument) {
    return past_tasks_json(events, failures, core, argument);
  }
};

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST_F(PastTasks, come_newest_first_in_pages_that_are_bounded) {
  for (uint64_t i = 1; i <= 1'100; ++i) record(event(i));
  std::string first = page("before 0");
  EXPECT_EQ(count(first, "\"task\":"), 500u);
  EXPECT_EQ(count(first, "\"name\":\"load\""), 1u);  // the template, once
  EXPECT_NE(first.find("\"next\":600,"), std::string::npos);
  EXPECT_LT(first.find(event(1'100).task.hex()), first.find(event(1'099).task.hex()));
  EXPECT_EQ(count(page("before 600"), "\"task\":"), 500u);
  std::string last = page("before 100");
  EXPECT_EQ(count(last, "\"task\":"), 100u);
  EXPECT_NE(last.find("\"next\":-1"), std::string::npos);
}

TEST_F(PastTasks, of_one_task_are_its_attempts) {
  for (uint64_t i = 1; i <= 50; ++i) record(event(i));
  model::TaskEvent again = event(7);
  again.attempt = 1;
  record(again);
  std::string text = page("before 0 task " + again.task.hex());
  EXPECT_EQ(count(text, "\"task\":"), 2u);
  EXPECT_LT(text.find("\"attempt\":1"), text.find("\"attempt\":0"));
}

TEST_F(PastTasks, that_failed_say_why) {
  std::vector<std::byte> bytes;
  wire::TaskError error;
  error.exception_type = "ValueError";
  error.message = "no such file";
  wire::encode_task_error(error, &bytes);
  model::TaskEvent raised = event(1, model::Outcome::kFailed);
  raised.error.format = model::Format::kTaskError;
  raised.error.bytes = bytes;
  record(raised);
  record(event(2, model::Outcome::kCrashed));
  std::string text = page("before 0");
  EXPECT_NE(text.find("ValueError: no such file"), std::string::npos) << text;
  EXPECT_NE(text.find("TASK_EXECUTION_EXCEPTION"), std::string::npos);
  EXPECT_NE(text.find("WORKER_DIED"), std::string::npos);
  EXPECT_EQ(count(text, "\"state\":\"FAILED\""), 2u);
}

TEST_F(PastTasks, notes_of_failures_are_bounded_and_what_is_no_error_leaves_none) {
  std::string sentence(5'000, 'x');
  model::SystemError error{model::ErrorKind::kOutOfMemory, {}, "load", sentence};
  std::string bytes = wire::encode_system_error(error);
  model::TaskEvent died = event(1, model::Outcome::kFailed);
  died.error.format = model::Format::kSystemError;
  died.error.bytes = as_bytes(bytes);
  for (uint64_t i = 0; i < FailureNotes::kNotesMax + 5; ++i) failures.note(died, i);
  EXPECT_EQ(failures.size(), FailureNotes::kNotesMax);
  EXPECT_EQ(failures.find(0), nullptr);
  ASSERT_NE(failures.find(5), nullptr);
  EXPECT_EQ(failures.find(5)->type, "OUT_OF_MEMORY");
  EXPECT_LT(failures.find(5)->text.size(), FailureNotes::kTextBytesMax + 8);
  died.error.bytes = as_bytes(std::string_view("nonsense"));
  failures.note(died, 9'999);
  EXPECT_EQ(failures.find(9'999), nullptr);
}

}  // namespace
}  // namespace sundog::node
