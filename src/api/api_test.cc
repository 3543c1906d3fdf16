// A session of the public C++ API with the example worker (examples/cpp/worker.cc).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "sundog/sundog.h"

namespace sundog {
namespace {

namespace fs = std::filesystem;

struct Place {
  double x = 0, y = 0;
};
SUNDOG_FIELDS(Place, x, y)

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
    options.worker = beside / "worker";
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

TEST_F(SessionTest, structs_and_maps_pass_as_they_are) {
  using Places = std::map<std::string, Place>;
  Places places = {{"here", {1, 2}}, {"there", {3, 4}}};
  auto moved = session().get(session().task<Places>("moved").remote(places, Place{10, 0}));
  EXPECT_EQ(moved.at("there").x, 13);
  EXPECT_EQ(moved.at("there").y, 4);
}

TEST_F(SessionTest, tensors_pass_in_shared_memory) {
  std::vector<double> numbers(100'000, 0.5);
  auto stored = session().put(numbers);
  auto scaled = session().get(session().task<TensorView<double>>("scaled").remote(stored, 4.0));
  ASSERT_EQ(scaled.size(), 100'000);
  EXPECT_EQ(scaled[99'999], 2.0);
  auto by_value = session().get(session().task<std::vector<double>>("scaled").remote(numbers, 2.0));
  EXPECT_EQ(by_value, std::vector<double>(100'000, 1.0));
}

// Two CPUs, and tasks that wait for tasks: the pool of processes grows.
TEST_F(SessionTest, tasks_submit_tasks_and_wait_for_them) {
  std::vector<ObjectRef<int64_t>> sums;
  for (int i = 0; i < 8; ++i) sums.push_back(session().task<int64_t>("sum_to").remote(20));
  EXPECT_EQ(session().get(sums), std::vector<int64_t>(8, 210));
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
  auto never = session().task<int64_t>("add").options({.num_cpus = 100}).remote(1, 1);
  auto [ready, pending] = session().wait(std::vector{never, quick}, 2, Seconds(0.05));
  EXPECT_EQ(ready.size(), 1u);
  EXPECT_EQ(pending.size(), 1u);
  EXPECT_THROW(session().get(never, Seconds(0.05)), GetTimeoutError);
}

TEST_F(SessionTest, actors_keep_what_they_were_told) {
  auto counter = session().actor("Counter").remote(10);
  counter.call<int64_t>("add").remote(5);
  auto by = session().put(int64_t{7});
  EXPECT_EQ(session().get(counter.call<int64_t>("add").remote(by)), 22);
  EXPECT_THROW(session().get(counter.call<void>("fail").remote()), TaskError);
  EXPECT_THROW(session().get(counter.call<void>("no_such_method").remote()), TaskError);
  session().get(counter.call<void>("stop").remote());
  EXPECT_THROW(session().get(counter.call<int64_t>("value").remote()), ActorDiedError);
}

TEST_F(SessionTest, named_actors_are_found_and_killed) {
  auto made = session().actor("Counter").options({.name = "hits"}).remote(1);
  auto found = session().get_actor("hits");
  EXPECT_EQ(session().get(found.call<int64_t>("add").remote(1)), 2);
  EXPECT_THROW(session().actor("Counter").options({.name = "hits"}).remote(1), ActorNameError);
  auto same = session().actor("Counter").options({.name = "hits", .get_if_exists = true}).remote(9);
  EXPECT_EQ(session().get(same.call<int64_t>("value").remote()), 2);
  found.kill();
  EXPECT_THROW(session().get(made.call<int64_t>("value").remote()), ActorDiedError);
  EXPECT_THROW(session().get_actor("nobody"), ActorNameError);
}

TEST_F(SessionTest, a_constructor_that_throws_is_the_cause_of_the_death) {
  auto counter = session().actor("Counter").remote(-1);
  try {
    session().get(counter.call<int64_t>("value").remote());
    FAIL() << "nothing was thrown";
  } catch (const ActorDiedError& error) {
    EXPECT_NE(std::string(error.what()).find("a counter starts at 0 or more"), std::string::npos)
        << error.what();
  }
}

TEST_F(SessionTest, futures_bring_values_and_what_was_thrown) {
  auto sum = future_of(session(), session().task<int64_t>("add").remote(40, 2));
  auto refused = future_of(session(), session().task<std::string>("greet").remote(""));
  EXPECT_EQ(sum.get(), 42);
  EXPECT_THROW(refused.get(), TaskError);
}

Async<int64_t> sum_of(Session session, int64_t from, int64_t to) {
  auto sum = session.put(int64_t{0});
  for (int64_t i = from; i < to; ++i) {
    int64_t before = co_await sum;
    sum = session.task<int64_t>("add").remote(before, i);
  }
  int64_t result = co_await sum;
  co_return result;
}

Async<int64_t> sum_of_two(Session session) {
  int64_t first = co_await sum_of(session, 0, 5);
  int64_t second = co_await sum_of(session, 5, 10);
  co_return first + second;
}

Async<> greets_nobody(Session session) { co_await session.task<std::string>("greet").remote(""); }

TEST_F(SessionTest, coroutines_await_references_and_each_other) {
  EXPECT_EQ(run(session(), sum_of_two(session())), 45);
  std::vector<Async<int64_t>> many;
  for (int i = 0; i < 4; ++i) many.push_back(sum_of(session(), i, i + 3));
  EXPECT_EQ(run(session(), std::move(many)), (std::vector<int64_t>{3, 6, 9, 12}));
  EXPECT_THROW(run(session(), greets_nobody(session())), TaskError);
}

TEST_F(SessionTest, what_is_awaited_at_the_end_is_told) {
  auto never = session().task<int64_t>("add").options({.num_cpus = 100}).remote(1, 1);
  auto future = future_of(session(), never);
  session().shutdown();
  EXPECT_THROW(future.get(), Error);
}

TEST_F(SessionTest, nothing_is_called_after_shutdown) {
  auto ref = session().put(std::string("kept"));
  session().shutdown();
  EXPECT_THROW(session().get(ref), NotConnectedError);
}

}  // namespace
}  // namespace sundog
