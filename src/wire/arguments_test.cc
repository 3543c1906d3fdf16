#include "wire/arguments.h"

#include <gtest/gtest.h>

#include "wire/hostile_bytes.h"
#include "wire/message_cases.h"

namespace sundog::wire {
namespace {

using model::Format;

constexpr size_t kNumRefs = 3;

// What was written, kept apart from the bytes.
struct Written {
  std::string name;
  Format format;
  uint32_t index = 0;
  std::string bytes;
};

// Random arguments into `out`; what they are is the result.
std::vector<Written> write_random(MessageCases* cases, std::vector<std::byte>* out) {
  std::vector<Written> all;
  ArgumentWriter writer(out);
  const uint64_t num_positional = cases->random().below(4);
  const uint64_t num_all = num_positional + cases->random().below(4);
  for (uint64_t i = 0; i < num_all; ++i) {
    const bool keyword = i >= num_positional;
    Written w{keyword ? "k" + std::string(cases->text(20)) : "", Format::kRef, 0, {}};
    if (cases->coin()) {
      w.index = static_cast<uint32_t>(cases->random().below(kNumRefs));
      keyword ? writer.add_keyword_reference(w.name, w.index) : writer.add_reference(w.index);
    } else {
      model::ValueView value = cases->value();
      while (value.in_extent() || value.format == Format::kRef) value = cases->value();
      w.format = value.format;
      w.bytes = to_string(value.bytes);
      keyword ? writer.add_keyword_value(w.name, w.format, value.bytes)
              : writer.add_value(w.format, value.bytes);
    }
    all.push_back(std::move(w));
  }
  out->resize(writer.written().size());
  return all;
}

TEST(Arguments, come_back_in_order_with_names_formats_and_references) {
  MessageCases cases(1);
  std::vector<std::byte> buffer;
  std::vector<ParsedArgument> scratch;
  for (int round = 0; round < 2000; ++round) {
    const std::vector<Written> sent = write_random(&cases, &buffer);
    Tight payload(buffer);
    auto got = parse_arguments(payload.view(), kNumRefs, &scratch);
    ASSERT_TRUE(got.ok()) << got.error();
    ASSERT_EQ(got->positional.size() + got->keyword.size(), sent.size());
    for (size_t i = 0; i < sent.size(); ++i) {
      const bool keyword = i >= got->positional.size();
      const ParsedArgument& a =
          keyword ? got->keyword[i - got->positional.size()] : got->positional[i];
      ASSERT_EQ(a.name, sent[i].name);
      ASSERT_EQ(a.name.empty(), !keyword);
      ASSERT_EQ(a.format, sent[i].format);
      ASSERT_EQ(a.ref_index, sent[i].index);
      ASSERT_EQ(to_string(a.bytes), sent[i].bytes);
    }
    cases.clear();
  }
}

TEST(Arguments, no_bytes_mean_no_arguments) {
  std::vector<ParsedArgument> scratch(3);
  auto got = parse_arguments({}, 0, &scratch);
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(got->positional.empty());
  EXPECT_TRUE(got->keyword.empty());
}

TEST(Arguments, truncated_ones_are_refused_at_every_length) {
  MessageCases cases(2);
  std::vector<std::byte> buffer;
  std::vector<ParsedArgument> scratch;
  for (int round = 0; round < 200; ++round) {
    write_random(&cases, &buffer);
    for_each_truncation(buffer, [&](Bytes cut) {
      const bool accepted = parse_arguments(cut, kNumRefs, &scratch).ok();
      ASSERT_EQ(accepted, cut.empty()) << cut.size();  // no bytes at all: no arguments
    });
    cases.clear();
  }
}

TEST(Arguments, flipped_bits_never_lead_outside) {
  MessageCases cases(3);
  std::vector<std::byte> buffer;
  std::vector<ParsedArgument> scratch;
  int refused = 0, accepted = 0;
  uint64_t read = 0;
  for (int round = 0; round < 60; ++round) {
    write_random(&cases, &buffer);
    for_each_flip(buffer, &cases.random(), buffer.size(), [&](Bytes bent) {
      auto got = parse_arguments(bent, kNumRefs, &scratch);
      if (!got.ok()) {
        ++refused;
        return;
      }
      ++accepted;
      for (const ParsedArgument& a : scratch) {
        ASSERT_LT(a.ref_index, kNumRefs);
        read += sum_of(a.bytes) + sum_of(as_bytes(a.name));
      }
    });
    cases.clear();
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(accepted, 100);
  EXPECT_GT(read, 0u);
}

TEST(Arguments, a_reference_that_did_not_come_along_is_refused) {
  std::vector<std::byte> buffer;
  std::vector<ParsedArgument> scratch;
  ArgumentWriter writer(&buffer);
  writer.add_reference(2);
  EXPECT_TRUE(parse_arguments(writer.written(), 3, &scratch).ok());
  auto got = parse_arguments(writer.written(), 2, &scratch);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error(),
            "Arguments of 16 bytes refused: an argument is a reference that is not there");
}

}  // namespace
}  // namespace sundog::wire
