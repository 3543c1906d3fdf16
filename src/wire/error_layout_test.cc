#include "wire/error_layout.h"

#include <gtest/gtest.h>

#include "wire/hostile_bytes.h"
#include "wire/message_cases.h"

namespace sundog::wire {
namespace {

TaskError random_task_error(MessageCases* cases) {
  return {cases->task(),           cases->word(),          cases->text(), cases->text(),
          cases->text(),           cases->text(),          cases->text(), cases->text(),
          as_bytes(cases->text()), as_bytes(cases->text())};
}
model::SystemError random_system_error(MessageCases* cases) {
  const model::Format formats[] = {model::Format::kInvalid, model::Format::kTaskError,
                                   model::Format::kSystemError};
  return {static_cast<model::ErrorKind>(1 + cases->random().below(10)),
          cases->task(),
          cases->text(),
          cases->text(),
          formats[cases->random().below(3)],
          as_bytes(cases->text())};
}

TEST(ErrorLayout, a_task_error_comes_back_with_every_part) {
  MessageCases cases(12);
  std::vector<std::byte> buffer;
  for (int round = 0; round < 500; ++round) {
    const TaskError sent = random_task_error(&cases);
    encode_task_error(sent, &buffer);
    Tight value(buffer);
    auto got = parse_task_error(value.view());
    ASSERT_TRUE(got.ok()) << got.error();
    EXPECT_EQ(got->task, sent.task);
    EXPECT_EQ(got->pid, sent.pid);
    EXPECT_EQ(got->exception_type, sent.exception_type);
    EXPECT_EQ(got->message, sent.message);
    EXPECT_EQ(got->traceback, sent.traceback);
    EXPECT_EQ(got->task_name, sent.task_name);
    EXPECT_EQ(got->source, sent.source);
    EXPECT_EQ(got->node, sent.node);
    EXPECT_TRUE(same(got->exception, sent.exception));
    EXPECT_TRUE(same(got->cause, sent.cause));
    cases.clear();
  }
}

TEST(ErrorLayout, a_system_error_comes_back_with_every_part) {
  MessageCases cases(13);
  std::vector<std::byte> buffer;
  for (int round = 0; round < 500; ++round) {
    const model::SystemError sent = random_system_error(&cases);
    encode_system_error(sent, &buffer);
    EXPECT_EQ(encode_system_error(sent), to_string(buffer));
    Tight value(buffer);
    auto got = parse_system_error(value.view());
    ASSERT_TRUE(got.ok()) << got.error();
    EXPECT_EQ(got->kind, sent.kind);
    EXPECT_EQ(got->task, sent.task);
    EXPECT_EQ(got->task_name, sent.task_name);
    EXPECT_EQ(got->sentence, sent.sentence);
    EXPECT_EQ(got->cause_format, sent.cause_format);
    EXPECT_TRUE(same(got->cause, sent.cause));
    cases.clear();
  }
}

TEST(ErrorLayout, truncated_errors_are_refused_at_every_length) {
  MessageCases cases(14);
  std::vector<std::byte> buffer;
  for (int round = 0; round < 20; ++round) {
    encode_task_error(random_task_error(&cases), &buffer);
    for_each_truncation(buffer,
                        [&](Bytes cut) { ASSERT_FALSE(parse_task_error(cut).ok()) << cut.size(); });
    encode_system_error(random_system_error(&cases), &buffer);
    for_each_truncation(
        buffer, [&](Bytes cut) { ASSERT_FALSE(parse_system_error(cut).ok()) << cut.size(); });
    cases.clear();
  }
}

TEST(ErrorLayout, flipped_bits_never_lead_outside) {
  MessageCases cases(15);
  std::vector<std::byte> buffer;
  int refused = 0;
  uint64_t read = 0;
  for (int round = 0; round < 40; ++round) {
    encode_task_error(random_task_error(&cases), &buffer);
    for_each_flip(buffer, &cases.random(), 80, [&](Bytes bent) {
      auto got = parse_task_error(bent);
      if (!got.ok()) {
        ++refused;
        return;
      }
      read += sum_of(as_bytes(got->message)) + sum_of(got->exception) + sum_of(got->cause);
    });
    encode_system_error(random_system_error(&cases), &buffer);
    for_each_flip(buffer, &cases.random(), 80, [&](Bytes bent) {
      auto got = parse_system_error(bent);
      if (!got.ok()) {
        ++refused;
        return;
      }
      read += sum_of(as_bytes(got->sentence)) + sum_of(as_bytes(got->task_name));
      read += sum_of(got->cause);
    });
    cases.clear();
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 0u);
}

TEST(ErrorLayout, an_error_of_the_other_kind_or_of_no_kind_is_refused) {
  MessageCases cases(16);
  std::vector<std::byte> task_error, system_error;
  encode_task_error(random_task_error(&cases), &task_error);
  encode_system_error(random_system_error(&cases), &system_error);
  EXPECT_FALSE(parse_task_error(system_error).ok());
  EXPECT_FALSE(parse_system_error(task_error).ok());
  const uint32_t unknown = 99;
  std::memcpy(system_error.data() + 4, &unknown, 4);
  auto got = parse_system_error(system_error);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().find("its kind is unknown"), std::string::npos);
  const uint32_t known = 1, none = static_cast<uint32_t>(model::Format::kNone);
  std::memcpy(system_error.data() + 4, &known, 4);
  std::memcpy(system_error.data() + 32, &none, 4);
  got = parse_system_error(system_error);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().find("its cause is not an error"), std::string::npos);
}

}  // namespace
}  // namespace sundog::wire
