#include "wire/pickle_layout.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/hostile_bytes.h"

namespace sundog::wire {
namespace {

struct Case {
  std::string stream;
  std::vector<std::string> buffers;
  std::vector<PickleBufferSpec> specs;
  std::vector<Bytes> views;
};

Case random_case(Random* random, uint64_t buffer_bytes_max) {
  Case c;
  c.stream.resize(random->below(100));
  c.buffers.resize(random->below(4));
  for (std::string& b : c.buffers) {
    b.resize(random->below(buffer_bytes_max + 1));
    for (char& byte : b) byte = static_cast<char>(random->next());
    c.specs.push_back({b.size(), random->one_in(2)});
  }
  for (const std::string& b : c.buffers) c.views.push_back(as_bytes(b));
  for (char& byte : c.stream) byte = static_cast<char>(random->next());
  return c;
}
std::vector<std::byte> write(const Case& c) {
  const PicklePlan plan = plan_pickle(c.stream.size(), c.specs);
  std::vector<std::byte> out(plan.total, std::byte{0xaa});  // recycled memory is not zero
  write_pickle(plan, as_bytes(c.stream), c.views, out.data());
  return out;
}

TEST(PickleLayout, stream_and_buffers_come_back_aligned) {
  Random random(4);
  for (int round = 0; round < 200; ++round) {
    const Case c = random_case(&random, round % 4 == 0 ? 100'000 : 2'000);
    const std::vector<std::byte> value = write(c);
    auto got = parse_pickle(value);
    ASSERT_TRUE(got.ok()) << got.error();
    ASSERT_EQ(to_string(got->stream), c.stream);
    ASSERT_EQ(got->buffers.size(), c.buffers.size());
    for (size_t i = 0; i < c.buffers.size(); ++i) {
      ASSERT_EQ(to_string(got->buffers[i].bytes), c.buffers[i]);
      ASSERT_EQ(got->buffers[i].readonly, c.specs[i].readonly);
      const auto offset = static_cast<uint64_t>(got->buffers[i].bytes.data() - value.data());
      ASSERT_EQ(offset % (c.buffers[i].size() >= 32 * 1024 ? 4096 : 64), 0u);
    }
  }
}

TEST(PickleLayout, gaps_are_zero_whatever_the_memory_held) {
  Random random(5);
  const Case c = random_case(&random, 500);
  const PicklePlan plan = plan_pickle(c.stream.size(), c.specs);
  std::vector<std::byte> a(plan.total, std::byte{0}), b(plan.total, std::byte{0xff});
  write_pickle(plan, as_bytes(c.stream), c.views, a.data());
  write_pickle(plan, as_bytes(c.stream), c.views, b.data());
  EXPECT_EQ(a, b);
}

TEST(PickleLayout, room_behind_the_value_is_ignored) {
  Random random(6);
  const Case c = random_case(&random, 500);
  std::vector<std::byte> value = write(c);
  value.resize(round_up(value.size(), 4096));
  auto got = parse_pickle(value);
  ASSERT_TRUE(got.ok()) << got.error();
  EXPECT_EQ(to_string(got->stream), c.stream);
}

TEST(PickleLayout, truncated_values_are_refused_at_every_length) {
  Random random(7);
  for (int round = 0; round < 30; ++round) {
    const std::vector<std::byte> value = write(random_case(&random, 300));
    for_each_truncation(value,
                        [&](Bytes cut) { ASSERT_FALSE(parse_pickle(cut).ok()) << cut.size(); });
  }
}

TEST(PickleLayout, flipped_bits_never_lead_outside) {
  Random random(8);
  int refused = 0;
  uint64_t read = 0;
  for (int round = 0; round < 40; ++round) {
    const std::vector<std::byte> value = write(random_case(&random, 300));
    for_each_flip(value, &random, 200, [&](Bytes bent) {
      auto got = parse_pickle(bent);
      if (!got.ok()) {
        ++refused;
        return;
      }
      uint64_t inside = got->stream.size();
      for (const PickleView::Buffer& b : got->buffers) {
        inside += b.bytes.size();
        read += sum_of(b.bytes);
      }
      ASSERT_LE(inside, bent.size());  // parts do not overlap
    });
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(read, 0u);
}

TEST(PickleLayout, sums_that_would_wrap_are_refused) {
  const std::vector<PickleBufferSpec> specs = {{64, false}};
  const PicklePlan plan = plan_pickle(8, specs);
  std::vector<std::byte> value(plan.total);
  write_pickle_frame(plan, value.data());
  const uint64_t huge = UINT64_MAX - 63;
  for (const size_t at : {8u, 16u, 24u, 32u}) {  // stream, total, offset, size
    std::vector<std::byte> bent = value;
    std::memcpy(bent.data() + at, &huge, 8);
    EXPECT_FALSE(parse_pickle(bent).ok()) << at;
  }
}

}  // namespace
}  // namespace sundog::wire
