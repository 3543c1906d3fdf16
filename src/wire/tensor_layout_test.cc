#include "wire/tensor_layout.h"

#include <gtest/gtest.h>

#include "wire/hostile_bytes.h"

namespace sundog::wire {
namespace {

std::vector<std::byte> write(const TensorPlan& plan) {
  std::vector<std::byte> out(plan.total, std::byte{0xaa});
  write_tensor_frame(plan, out.data());
  for (uint64_t i = 0; i < plan.data_bytes; ++i) out[plan.data_offset + i] = std::byte(i * 7);
  return out;
}
TensorPlan random_plan(Random* random) {
  const auto dtype = static_cast<DType>(1 + random->below(15));
  std::vector<int64_t> shape(random->below(5)), strides;
  for (int64_t& n : shape) n = static_cast<int64_t>(random->below(5));
  if (random->one_in(2))
    for (size_t i = 0; i < shape.size(); ++i)
      strides.push_back(static_cast<int64_t>(random->below(6) * element_bytes(dtype)));
  return plan_tensor(dtype, shape, strides).value();
}

TEST(TensorLayout, dtype_shape_strides_and_data_come_back) {
  Random random(9);
  for (int round = 0; round < 1000; ++round) {
    const TensorPlan plan = random_plan(&random);
    const std::vector<std::byte> value = write(plan);
    auto got = parse_tensor(value);
    ASSERT_TRUE(got.ok()) << got.error();
    ASSERT_EQ(got->dtype, plan.dtype);
    ASSERT_EQ(got->shape, plan.shape);
    ASSERT_EQ(got->strides, plan.strides);
    ASSERT_EQ(got->data.size(), plan.data_bytes);
    ASSERT_EQ((got->data.data() - value.data()) % 64, 0);
    for (uint64_t i = 0; i < plan.data_bytes; ++i) ASSERT_EQ(got->data[i], std::byte(i * 7));
  }
}

TEST(TensorLayout, data_are_as_long_as_the_shape_says) {
  const int64_t shape[] = {2, 3, 4};
  EXPECT_EQ(plan_tensor(DType::kFloat64, shape, {})->data_bytes, 192u);
  EXPECT_EQ(plan_tensor(DType::kBfloat16, shape, {})->data_bytes, 48u);
  EXPECT_EQ(plan_tensor(DType::kComplex128, {}, {})->data_bytes, 16u);  // a scalar
  const int64_t none[] = {3, 0, 4};
  EXPECT_EQ(plan_tensor(DType::kInt8, none, {})->data_bytes, 0u);
  const int64_t transposed[] = {8, 16, 48};  // of float64 (4, 3, 2) seen from the other side
  EXPECT_EQ(plan_tensor(DType::kFloat64, shape, transposed)->data_bytes, 8u + 8 + 32 + 144);
  const int64_t broadcast[] = {0, 0, 8};
  EXPECT_EQ(plan_tensor(DType::kFloat64, shape, broadcast)->data_bytes, 32u);
}

TEST(TensorLayout, large_data_begin_on_a_page) {
  const int64_t shape[] = {32 * 1024};
  EXPECT_EQ(plan_tensor(DType::kUint8, shape, {})->data_offset, 4096u);
  EXPECT_EQ(plan_tensor(DType::kUint8, std::vector<int64_t>{100}, {})->data_offset, 64u);
}

TEST(TensorLayout, what_cannot_be_sent_is_refused_with_the_reason) {
  const int64_t shape[] = {4};
  EXPECT_FALSE(plan_tensor(DType::kInvalid, shape, {}).ok());
  EXPECT_FALSE(plan_tensor(DType{16}, shape, {}).ok());
  EXPECT_FALSE(plan_tensor(DType::kInt8, std::vector<int64_t>(65, 1), {}).ok());
  EXPECT_FALSE(plan_tensor(DType::kInt8, std::vector<int64_t>{-1}, {}).ok());
  EXPECT_FALSE(plan_tensor(DType::kInt32, shape, std::vector<int64_t>{6}).ok());
  EXPECT_FALSE(plan_tensor(DType::kInt32, shape, std::vector<int64_t>{4, 4}).ok());
  EXPECT_FALSE(plan_tensor(DType::kInt8, std::vector<int64_t>{INT64_MAX, 3}, {}).ok());
  EXPECT_FALSE(
      plan_tensor(DType::kInt8, std::vector<int64_t>{INT64_MAX}, std::vector<int64_t>{INT64_MAX})
          .ok());
  auto got = plan_tensor(DType::kInt32, shape, std::vector<int64_t>{-4});
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error(),
            "a tensor cannot be sent as it is: one of its strides is negative or no multiple of "
            "its element's size");
}

TEST(TensorLayout, truncated_values_are_refused_at_every_length) {
  Random random(10);
  for (int round = 0; round < 100; ++round) {
    const std::vector<std::byte> value = write(random_plan(&random));
    for_each_truncation(value,
                        [&](Bytes cut) { ASSERT_FALSE(parse_tensor(cut).ok()) << cut.size(); });
  }
}

TEST(TensorLayout, flipped_bits_never_lead_outside) {
  Random random(11);
  int refused = 0, accepted = 0;
  uint64_t read = 0;
  for (int round = 0; round < 200; ++round) {
    const std::vector<std::byte> value = write(random_plan(&random));
    for_each_flip(value, &random, 128, [&](Bytes bent) {
      auto got = parse_tensor(bent);
      if (!got.ok()) {
        ++refused;
        return;
      }
      ++accepted;
      read += sum_of(got->data);
      // The last element of the shape lies inside.
      uint64_t last = element_bytes(got->dtype);
      bool has_elements = true;
      for (size_t i = 0; i < got->shape.size(); ++i) {
        has_elements &= got->shape[i] > 0;
        if (!got->strides.empty())
          last += static_cast<uint64_t>(got->shape[i] - 1) * static_cast<uint64_t>(got->strides[i]);
        else
          last *= static_cast<uint64_t>(got->shape[i]);
      }
      ASSERT_LE(has_elements ? last : 0, got->data.size());
    });
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(read, 0u);
}

}  // namespace
}  // namespace sundog::wire
