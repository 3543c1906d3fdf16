#include "core/node_for_test.h"

namespace sundog::core {
namespace {

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

TEST(NodeLists, tasks_that_live_have_states_and_their_template) {
  Node n(1);
  n.define(0);
  TaskId runs = n.submit(0);
  TaskId waits = n.submit(0);
  ObjectId missing{runs, 0};
  TaskId behind = n.submit(0, {&missing, 1});
  n.start_workers();
  std::string text = n.ask(model::Question::kTasks, "from 0");
  auto row = [&](const TaskId& id) {
    std::string one = n.ask(model::Question::kTasks, "task " + id.hex());
    EXPECT_EQ(count(one, "\"task\":"), 1u) << one;
    return one;
  };
  EXPECT_EQ(count(text, "\"task\":"), 3u) << text;
  EXPECT_NE(text.find("\"name\":\"f\""), std::string::npos);
  EXPECT_NE(text.find("\"next\":-1"), std::string::npos);
  EXPECT_NE(row(runs).find("\"RUNNING\""), std::string::npos);
  EXPECT_NE(row(waits).find("\"PENDING_NODE_ASSIGNMENT\""), std::string::npos) << row(waits);
  EXPECT_NE(row(behind).find("\"PENDING_ARGS_AVAIL\""), std::string::npos);
  EXPECT_EQ(count(n.ask(model::Question::kTasks, "task nonsense"), "\"task\":"), 0u);
}

TEST(NodeLists, a_page_is_bounded_and_the_next_one_goes_on) {
  Node n(1);
  n.define(0);
  for (int i = 0; i < 1200; ++i) n.submit(0);
  size_t rows = 0, pages = 0;
  std::string argument = "from 0";
  while (pages < 100) {
    std::string text = n.ask(model::Question::kTasks, argument);
    ++pages;
    rows += count(text, "\"task\":");
    size_t at = text.find("\"next\":") + 7;
    if (text[at] == '-') break;
    argument = "from " + text.substr(at, text.find(',', at) - at);
  }
  EXPECT_EQ(rows, 1200u);
  EXPECT_GE(pages, 3u);
}

TEST(NodeLists, each_attempt_leaves_one_record_also_if_it_never_began) {
  Node n(1);
  n.define(0, 1, 1);
  TaskId runs = n.submit(0);
  TaskId waits = n.submit(0);
  n.start_workers();
  model::CancelTask cancel;
  cancel.task = waits;
  n.say(Node::driver, cancel);
  ASSERT_EQ(n.records.size(), 1u);
  EXPECT_EQ(n.records[0].task, waits);
  EXPECT_EQ(n.records[0].outcome, model::Outcome::kCancelled);
  EXPECT_EQ(n.records[0].started, 0);
  n.die(n.run_of(runs).worker, {runs});
  n.start_workers();
  n.die(n.run_of(runs).worker, {runs});
  ASSERT_EQ(n.records.size(), 3u);  // two attempts, and no third record of its failure
  EXPECT_EQ(n.records[1].attempt, 0u);
  EXPECT_EQ(n.records[2].attempt, 1u);
}

TEST(NodeLists, calls_are_recorded_with_their_actor) {
  Node n;
  ObjectId actor = n.living_actor();
  TaskId call = n.call(actor);
  n.finish(n.run_of(call));
  ASSERT_EQ(n.records.size(), 2u);
  EXPECT_EQ(n.records[1].actor, actor.task);
  EXPECT_TRUE(n.records[0].actor.is_nil());
}

TEST(NodeLists, what_is_to_leave_no_record_says_so_and_leaves_none) {
  Node n(1);
  model::NamedAmount need{"CPU", model::kResourceUnit};
  model::DefineTemplate t;
  t.name = "silent";
  t.resources = {&need, 1};
  t.unrecorded = true;
  n.say(Node::driver, t);
  TaskId task = n.submit(0);
  n.start_workers();
  EXPECT_EQ(count(n.ask(model::Question::kTasks, "from 0"), "\"unrecorded\":true"), 1u);
  n.finish(n.run_of(task));
  EXPECT_TRUE(n.records.empty());
  EXPECT_EQ(n.value_of(ObjectId{task, 0}), "ok");
}

TEST(NodeLists, processes_are_the_program_and_its_workers) {
  Node n(1);
  n.define(0);
  n.submit(0);
  n.start_workers();
  std::string text = n.ask(model::Question::kProcesses);
  EXPECT_EQ(count(text, "\"pid\":"), 2u);
  EXPECT_EQ(count(text, "\"driver\":true"), 1u);
  EXPECT_EQ(count(text, "\"runs\":\"f\""), 1u) << text;
}

}  // namespace
}  // namespace sundog::core
