// The public C++ API: conversions, and a session with the example worker (examples/cpp/worker.cc).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "api/values.h"
#include "sundog/sundog.h"

namespace sundog {
namespace {

namespace fs = std::filesystem;

template <typename T>
T round_trip(const T& value) {
  detail::Value out = Convert<T>::to(value);
  detail::Outgoing outgoing(out);
  auto bytes = std::make_shared<client::OwnBytes>(outgoing.size());
  outgoing.write(bytes->writable_bytes());
  return Convert<T>::from(detail::incoming(outgoing.format(), bytes->bytes(), bytes));
}

TEST(Values, come_back_as_they_were) {
  EXPECT_EQ(round_trip<int64_t>(-5), -5);
  EXPECT_EQ(round_trip<uint8_t>(200), 200);
  EXPECT_EQ(round_trip(true), true);
  EXPECT_EQ(round_trip(0.25), 0.25);
  EXPECT_EQ(round_trip(std::string("gr\0ße", 6)), std::string("gr\0ße", 6));
  EXPECT_EQ(round_trip(std::string()), "");
  std::vector<float> numbers = {1, 2.5f, -3};
  EXPECT_EQ(round_trip(numbers), numbers);
  EXPECT_EQ(round_trip(std::vector<int64_t>()), std::vector<int64_t>());
}

TEST(Values, tensors_keep_shape_and_type) {
  std::vector<int32_t> elements = {1, 2, 3, 4, 5, 6};
  TensorView back = round_trip(TensorView::of(std::span<const int32_t>(elements), {2, 3}));
  EXPECT_EQ(back.dtype, DType::kInt32);
  EXPECT_EQ(back.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(back.as<int32_t>()[5], 6);
  EXPECT_THROW(back.as<float>(), TypeError);
}

TEST(Values, other_types_are_refused_by_name) {
  detail::Value text = Convert<std::string_view>::to("seven");
  EXPECT_THROW(Convert<int64_t>::from(text), TypeError);
  EXPECT_THROW(Convert<int8_t>::from(Convert<int64_t>::to(1000)), TypeError);
  TensorView wrong = TensorView::of(std::span<const double>(), {3});
  detail::Value tensor = Convert<TensorView>::to(wrong);
  EXPECT_THROW(detail::Outgoing{tensor}, TypeError);
}

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sundog-api-XXXXXX";
    home_ = mkdtemp(pattern);
    setenv("SUNDOG_HOME", home_.c_str(), 1);
    fs::path beside = fs::read_symlink("/proc/self/exe").parent_path();
    InitOptions options;
    options.num_cpus = 2;
    options.store_bytes = 256 << 20;
    options.workers = {beside / "worker", beside / "worker"};
    session_.emplace(init(options));
  }
  void TearDown() override {
    session_->shutdown();
    session_.reset();
    fs::remove_all(home_);
  }
  Session& session() { return *session_; }

 private:
  fs::path home_;
  std::optional<Session> session_;
};

TEST_F(SessionTest, tasks_take_and_return_values) {
  auto sum = session().task<int64_t>("add").remote(40, 1);
  auto more = session().task<int64_t>("add").remote(sum, 1);
  EXPECT_EQ(session().get(more), 42);
  EXPECT_EQ(session().get(session().task<std::string>("greet").remote("you")), "hello, you");
}

TEST_F(SessionTest, tensors_pass_in_shared_memory) {
  std::vector<double> numbers(100'000, 0.5);
  auto stored = session().put(numbers);
  auto scaled = session().get(session().task<TensorView>("scaled").remote(stored, 4.0));
  ASSERT_EQ(scaled.size(), 100'000);
  EXPECT_EQ(scaled.as<double>()[99'999], 2.0);
  auto by_value = session().get(session().task<std::vector<double>>("scaled").remote(numbers, 2.0));
  EXPECT_EQ(by_value, std::vector<double>(100'000, 1.0));
}

TEST_F(SessionTest, tasks_submit_tasks_and_wait_for_them) {
  EXPECT_EQ(session().get(session().task<int64_t>("sum_to").remote(100)), 5050);
}

TEST_F(SessionTest, what_a_function_throws_is_thrown_here) {
  auto refused = session().task<std::string>("greet").remote("");
  try {
    session().get(refused);
    FAIL() << "nothing was thrown";
  } catch (const TaskError& error) {
    EXPECT_EQ(error.type(), "std::invalid_argument");
    EXPECT_EQ(error.message(), "nobody to greet");
  }
  EXPECT_THROW(session().get(session().task<int64_t>("add").remote(1)), TaskError);
  EXPECT_THROW(session().get(session().task<int64_t>("no_such_function").remote()), TaskError);
}

TEST_F(SessionTest, wait_splits_and_get_times_out) {
  auto quick = session().task<int64_t>("add").remote(1, 1);
  EXPECT_EQ(session().get(quick), 2);
  auto never = session().task<int64_t>("add").num_cpus(100).remote(1, 1);
  auto [ready, pending] = session().wait(std::vector{never, quick}, 2, Seconds(0.05));
  EXPECT_EQ(ready.size(), 1u);
  EXPECT_EQ(pending.size(), 1u);
  EXPECT_THROW(session().get(never, Seconds(0.05)), Error);
}

TEST_F(SessionTest, nothing_is_called_after_shutdown) {
  auto ref = session().put(std::string("kept"));
  session().shutdown();
  EXPECT_THROW(session().get(ref), NotConnectedError);
}

}  // namespace
}  // namespace sundog
