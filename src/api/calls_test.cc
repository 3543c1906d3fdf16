// Cancelling, several results, streams and keywords of C++ calls, with tests/tools/calls_worker.cc.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <thread>

#include "model/limits.h"
#include "sundog/sundog.h"

namespace sundog {
namespace {

namespace fs = std::filesystem;

std::pair<int64_t, int64_t> halved_here(int64_t x) { return {x / 2, x % 2}; }
SUNDOG_REMOTE(halved_here);

Generator<int64_t> counts_here(int64_t to) {
  for (int64_t i = 0; i < to; ++i) co_yield i;
}
SUNDOG_REMOTE(counts_here);

std::vector<double> rows_here(int64_t count) {
  return std::vector<double>(static_cast<size_t>(count));
}
SUNDOG_REMOTE(rows_here);

class CallsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sundog-calls-XXXXXX";
    home_ = mkdtemp(pattern);
    setenv("SUNDOG_HOME", home_.c_str(), 1);
    InitOptions options;
    options.num_cpus = 2;
    options.store_bytes = 256 << 20;
    options.worker = fs::read_symlink("/proc/self/exe").parent_path() / "calls_worker";
    session_.emplace(init(options));
  }
  void TearDown() override {
    session_->shutdown();
    session_.reset();
    fs::remove_all(home_);
  }
  Session& session() { return *session_; }
  std::string file(const char* name) const { return home_ / name; }
  template <typename T>
  std::vector<T> all_of(Stream<T> stream) {
    std::vector<T> values;
    for (Ref<T> item : stream) values.push_back(session().get(item));
    return values;
  }
  // Their sum, by a coroutine that waits for each.
  static Async<int64_t> sum_of(Stream<int64_t> stream) {
    int64_t sum = 0;
    while (true) {
      std::optional<Ref<int64_t>> item = co_await stream;
      if (!item) break;
      int64_t value = co_await *item;
      sum += value;
    }
    std::optional<Ref<int64_t>> again = co_await stream;
    co_return again ? -1 : sum;
  }
  // The worker's functions tell by files how far they are.
  void wait_for_file(const std::string& name) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!fs::exists(name)) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << name;
      std::this_thread::yield();
    }
  }

 private:
  fs::path home_;
  std::optional<Session> session_;
};

TEST_F(CallsTest, a_task_that_takes_a_token_is_stopped_by_cancel) {
  auto slow = session().task<int64_t>("until_stopped").remote(file("begun"), file("stopped"));
  wait_for_file(file("begun"));
  session().cancel(slow);
  EXPECT_THROW(session().get(slow), TaskCancelledError);
  EXPECT_TRUE(fs::exists(file("stopped")));
}

TEST_F(CallsTest, what_a_cancelled_task_throws_is_a_cancelling) {
  auto slow = session().task<void>("throws_when_stopped").remote(file("begun"));
  wait_for_file(file("begun"));
  session().cancel(slow);
  EXPECT_THROW(session().get(slow), TaskCancelledError);
}

TEST_F(CallsTest, a_cancelled_task_waits_for_nothing_more) {
  auto slow = session().task<int64_t>("waits_for_ever").remote(file("begun"));
  wait_for_file(file("begun"));
  session().cancel(slow, {.recursive = false});
  EXPECT_THROW(session().get(slow), TaskCancelledError);
}

TEST_F(CallsTest, a_task_that_waits_never_runs_once_it_is_cancelled) {
  auto waits = session().task<int64_t>("twice").options({.num_cpus = 100}).remote(1);
  session().cancel(waits);
  EXPECT_THROW(session().get(waits), TaskCancelledError);
}

TEST_F(CallsTest, children_are_cancelled_with_their_task) {
  auto parent = session().task<int64_t>("waits_for_child").remote(file("begun"), file("stopped"));
  wait_for_file(file("begun"));
  session().cancel(parent);
  EXPECT_THROW(session().get(parent), TaskCancelledError);
  wait_for_file(file("stopped"));
}

TEST_F(CallsTest, force_kills_the_worker_of_what_does_not_listen) {
  auto deaf = session().task<int64_t>("until_stopped").remote(file("begun"), file("stopped"));
  wait_for_file(file("begun"));
  session().cancel(deaf, {.force = true});
  EXPECT_THROW(session().get(deaf), TaskCancelledError);
  EXPECT_EQ(session().get(session().task<int64_t>("twice").remote(4)), 8);
}

TEST_F(CallsTest, a_stopped_token_cancels_what_is_tied_to_it) {
  std::stop_source source;
  auto slow = session().task<int64_t>("until_stopped").remote(file("begun"), file("stopped"));
  auto other = session().task<int64_t>("twice").remote(2);
  auto tied = session().cancel_on(source.get_token(), slow);
  auto tied_too = session().cancel_on(source.get_token(), other);
  EXPECT_EQ(session().get(other), 4);
  wait_for_file(file("begun"));
  source.request_stop();
  EXPECT_THROW(session().get(slow), TaskCancelledError);
  EXPECT_EQ(session().get(other), 4);
  auto late = session().task<int64_t>("twice").options({.num_cpus = 100}).remote(1);
  auto tied_late = session().cancel_on(source.get_token(), late);
  EXPECT_THROW(session().get(late), TaskCancelledError);
}

TEST_F(CallsTest, a_stopped_token_ends_a_wait_and_not_the_task) {
  std::stop_source source;
  auto slow = session().task<int64_t>("until_stopped").remote(file("begun"), file("stopped"));
  wait_for_file(file("begun"));
  std::jthread stops([&source] { source.request_stop(); });
  EXPECT_THROW(session().get(slow, source.get_token()), StoppedError);
  EXPECT_THROW(session().wait(std::vector{slow}, 1, source.get_token()), StoppedError);
  EXPECT_FALSE(fs::exists(file("stopped")));
  std::stop_source never;
  EXPECT_THROW(session().get(slow, {Seconds(0.05), never.get_token()}), GetTimeoutError);
  session().cancel(slow);
}

TEST_F(CallsTest, a_call_of_an_actor_can_ask_and_the_actor_lives_on) {
  auto actor = session().actor("Patient").remote();
  auto slow = actor.call<int64_t>("until_stopped").remote(file("begun"));
  wait_for_file(file("begun"));
  EXPECT_THROW(session().cancel(slow, {.force = true}), Error);
  session().cancel(slow);
  EXPECT_THROW(session().get(slow), TaskCancelledError);
  EXPECT_EQ(session().get(actor.call<int64_t>("calls").remote()), 1);
}

TEST_F(CallsTest, a_cancelling_that_makes_no_sense_is_refused) {
  EXPECT_THROW(session().cancel(session().put(int64_t{1})), Error);
  EXPECT_THROW(session().cancel(ObjectRef<int64_t>()), TypeError);
  auto task = session().task<int64_t>("twice").remote(1);
  EXPECT_THROW(session().cancel(task, {.grace = Seconds(1)}), Error);
  EXPECT_THROW(session().cancel(task, {.force = true, .grace = Seconds(-1)}), Error);
  EXPECT_EQ(session().get(task), 2);
  EXPECT_FALSE(session().stop_token().stop_possible());
}

TEST_F(CallsTest, parts_of_a_result_are_references_of_their_own) {
  using Halved = std::tuple<int64_t, std::string>;
  auto halved = session().task<Halved>("halved");
  std::tuple<Ref<int64_t>, Ref<std::string>> parts = halved.num_returns<2>().remote(7);
  EXPECT_EQ(session().get(std::get<0>(parts)), 3);
  EXPECT_EQ(session().get(std::get<1>(parts)), "odd");
  auto [half, word] = halved.options({.name = "again"}).num_returns<2>().remote(std::get<0>(parts));
  EXPECT_EQ(session().get(half), 1);
  EXPECT_EQ(session().get(halved.remote(8)), Halved(4, "even"));
  using Three = std::array<double, 3>;
  auto three = session().task<Three>("numbers").num_returns<3>().remote(3);
  EXPECT_EQ(session().get(three[2]), 1.0);
}

TEST_F(CallsTest, parts_of_registered_functions_and_methods_are_typed) {
  auto typed = session().task(halved_here).num_returns<2>();
  static_assert(std::is_same_v<decltype(typed.remote(1)), std::pair<Ref<int64_t>, Ref<int64_t>>>);
  auto actor = session().actor("Patient").remote();
  auto [count, more] =
      actor.call<std::pair<int64_t, bool>>("counted").num_returns<2>().remote(true);
  EXPECT_EQ(session().get(count), 1);
  EXPECT_TRUE(session().get(more));
}

TEST_F(CallsTest, another_number_of_parts_is_an_error_of_each) {
  using Two = std::array<double, 2>;
  for (const auto& ref : session().task<Two>("numbers").num_returns<2>().remote(3)) {
    try {
      session().get(ref);
      FAIL() << "nothing was thrown";
    } catch (const TaskError& error) {
      EXPECT_EQ(error.message(),
                "numbers has num_returns=2, but it returned 3 values: return a tuple of 2");
    }
  }
  auto [first, second] =
      session().task<std::pair<int64_t, int64_t>>("twice").num_returns<2>().remote(3);
  EXPECT_THROW(session().get(second), TaskError);
}

TEST_F(CallsTest, a_number_of_results_may_be_known_at_run_time_alone) {
  for (size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{5}}) {
    auto given = static_cast<int64_t>(count);
    auto rows = session().task<std::vector<double>>("numbers").num_returns(count).remote(given);
    static_assert(std::is_same_v<decltype(rows), std::vector<Ref<double>>>);
    ASSERT_EQ(rows.size(), count);
    std::vector<double> values = session().get(rows);
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(values[i], 0.5 * static_cast<double>(i));
  }
  auto typed = session().task(rows_here).num_returns(3);
  static_assert(std::is_same_v<decltype(typed.remote(3)), std::vector<Ref<double>>>);
  auto actor = session().actor("Patient").remote();
  auto parts = actor.call<std::vector<int64_t>>("up_to").num_returns(3).options({}).remote(3);
  EXPECT_EQ(session().get(parts), (std::vector<int64_t>{0, 1, 2}));
}

TEST_F(CallsTest, another_number_of_results_than_was_asked_for_at_run_time_is_an_error) {
  auto numbers = session().task<std::vector<double>>("numbers");
  EXPECT_THROW(session().get(numbers.num_returns(2).remote(3)), TaskError);
  EXPECT_THROW(numbers.num_returns(model::kResultsMax + 1), TypeError);
}

TEST_F(CallsTest, one_part_is_an_element_and_not_the_whole) {
  using Numbers = std::vector<double>;
  auto numbers = session().task<Numbers>("numbers").options({.name = "counted"});
  EXPECT_EQ(session().get(numbers.num_returns(1).remote(1)), Numbers{0});
  EXPECT_EQ(session().get(numbers.num_returns(1).options({.name = "again"}).remote(1)), Numbers{0});
  EXPECT_EQ(session().get(numbers.remote(1)), Numbers{0});
  for (int64_t count : {0, 2}) {
    try {
      session().get(numbers.num_returns(1).remote(count));
      FAIL() << "nothing was thrown";
    } catch (const TaskError& error) {
      EXPECT_EQ(error.message(), "counted has num_returns=1, but it returned " +
                                     std::to_string(count) + " values: return a tuple of 1");
    }
  }
  auto no_vector = session().task<std::vector<int64_t>>("twice").num_returns(1);
  EXPECT_THROW(session().get(no_vector.remote(1)), TaskError);
  auto [element] = session().task<std::array<double, 1>>("numbers").num_returns<1>().remote(1);
  EXPECT_EQ(session().get(element), 0);
  auto actor = session().actor("Patient").remote();
  auto up_to = actor.call<std::vector<int64_t>>("up_to");
  EXPECT_EQ(session().get(up_to.num_returns(1).remote(1)), std::vector<int64_t>{0});
  EXPECT_EQ(session().get(up_to.num_returns(1).options({}).remote(1)), std::vector<int64_t>{0});
  EXPECT_EQ(session().get(up_to.remote(1)), std::vector<int64_t>{0});
  static_assert(std::is_same_v<decltype(session().task(rows_here).num_returns(1).remote(1)),
                               std::vector<Ref<double>>>);
}

TEST_F(CallsTest, names_of_arguments_are_for_python) {
  EXPECT_THROW(session().task<int64_t>("twice").remote(named("x", 1)), TypeError);
  EXPECT_THROW(session().actor("Patient").remote(named("x", 1)), TypeError);
  auto actor = session().actor("Patient").remote();
  EXPECT_THROW(session().get(actor.call<int64_t>("counted").remote(named("more", true))),
               TaskError);
}

TEST(Generator, runs_as_far_as_it_is_asked) {
  std::vector<int64_t> values;
  for (int64_t value : counts_here(3)) values.push_back(value);
  EXPECT_EQ(values, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_FALSE(counts_here(0).next());
}

TEST_F(CallsTest, what_a_generator_yields_comes_in_order) {
  auto count_up = session().task<Generator<int64_t>>("count_up");
  std::vector<int64_t> thousand(1000);
  std::iota(thousand.begin(), thousand.end(), 5);
  EXPECT_EQ(all_of(count_up.remote(5, 1005)), thousand);
  EXPECT_TRUE(all_of(count_up.remote(5, 5)).empty());
  auto words = session().task<Generator<std::string>>("words").remote("as they come");
  EXPECT_EQ(all_of(std::move(words)), (std::vector<std::string>{"as", "they", "come"}));
  auto rows = session().task<Generator<std::vector<double>>>("rows").remote(3, 50'000);
  EXPECT_EQ(all_of(std::move(rows)).at(2), std::vector<double>(50'000, 2.0));
  EXPECT_EQ(all_of(session().task<Generator<int64_t>>("doubled").remote(3)),
            (std::vector<int64_t>{0, 2, 4}));
}

TEST_F(CallsTest, a_stream_ends_once_and_tells_its_end) {
  auto stream = session().task<Generator<int64_t>>("count_up").remote(0, 1);
  EXPECT_EQ(session().get(*stream.next()), 0);
  EXPECT_FALSE(stream.next());
  EXPECT_FALSE(stream.next());
  session().get(stream.completed());
}

TEST_F(CallsTest, what_a_generator_throws_is_its_last_item) {
  auto stream = session().task<Generator<int64_t>>("breaks_after").remote(2);
  EXPECT_EQ(session().get(*stream.next()), 0);
  EXPECT_EQ(session().get(*stream.next()), 1);
  auto last = stream.next();
  ASSERT_TRUE(last);
  EXPECT_THROW(session().get(*last), TaskError);
  EXPECT_FALSE(stream.next());
  EXPECT_THROW(session().get(stream.completed()), TaskError);
}

TEST_F(CallsTest, a_generator_waits_for_its_consumer_and_ends_when_it_is_closed) {
  fs::create_directory(file("items"));
  auto numbered = session().task<Generator<int64_t>>("numbered").options({.stream_items = 3});
  auto stream = numbered.remote(file("items"), file("closed"));
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(session().get(*stream.next()), i);
    EXPECT_FALSE(fs::exists(file("items") + "/" + std::to_string(i + 5)));
  }
  EXPECT_FALSE(fs::exists(file("closed")));
  stream.close();
  wait_for_file(file("closed"));
  EXPECT_FALSE(stream.next());
}

TEST_F(CallsTest, a_stream_that_goes_out_of_scope_ends_its_generator) {
  fs::create_directory(file("items"));
  for (Ref<int64_t> item :
       session().task<Generator<int64_t>>("numbered").remote(file("items"), file("closed"))) {
    if (session().get(item) == 2) break;
  }
  wait_for_file(file("closed"));
}

TEST_F(CallsTest, a_cancelled_generator_ends_with_that) {
  fs::create_directory(file("items"));
  auto numbered = session().task<Generator<int64_t>>("numbered").options({.stream_items = 2});
  auto stream = numbered.remote(file("items"), file("closed"));
  wait_for_file(file("items") + "/1");  // and from there on it waits
  session().cancel(stream.completed());
  EXPECT_THROW(session().get(stream.completed()), TaskCancelledError);
  EXPECT_TRUE(fs::exists(file("closed")));
}

TEST_F(CallsTest, the_wait_for_an_item_ends_with_its_token_and_time) {
  auto never = session().task<Generator<int64_t>>("count_up").options({.num_cpus = 100});
  auto stream = never.remote(0, 1);
  EXPECT_THROW(stream.next(Seconds(0.02)), GetTimeoutError);
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(stream.next(source.get_token()), StoppedError);
}

TEST_F(CallsTest, methods_of_actors_stream) {
  auto actor = session().actor("Patient").remote();
  EXPECT_EQ(all_of(actor.call<Generator<int64_t>>("each_call").remote(3)),
            (std::vector<int64_t>{1, 2, 3}));
  auto stream = actor.call<Generator<int64_t>>("until_cancelled").remote(file("begun"));
  EXPECT_EQ(session().get(*stream.next()), 1);
  wait_for_file(file("begun"));
  session().cancel(stream.completed());
  EXPECT_THROW(session().get(stream.completed()), TaskCancelledError);
  EXPECT_EQ(session().get(actor.call<int64_t>("calls").remote()), 3);
}

TEST_F(CallsTest, coroutines_take_from_streams_beside_each_other) {
  auto count_up = session().task<Generator<int64_t>>("count_up");
  std::vector<Async<int64_t>> several;
  several.push_back(sum_of(count_up.remote(0, 200)));
  several.push_back(sum_of(count_up.options({.stream_items = 2}).remote(0, 50)));
  several.push_back(sum_of(count_up.remote(5, 5)));
  EXPECT_EQ(run(session(), std::move(several)), (std::vector<int64_t>{19900, 1225, 0}));
  EXPECT_THROW(run(session(), sum_of(session().task<Generator<int64_t>>("breaks_after").remote(2))),
               TaskError);
}

TEST_F(CallsTest, a_coroutine_goes_on_while_another_waits_for_a_stream) {
  auto stream = session().task<Generator<int64_t>>("waits_between").remote(file("go_on"));
  auto gives_way = [](std::string name) -> Async<int64_t> {
    std::ofstream(name) << "go on\n";
    co_return 0;
  };
  std::vector<Async<int64_t>> both;
  both.push_back(sum_of(std::move(stream)));
  both.push_back(gives_way(file("go_on")));
  EXPECT_EQ(run(session(), std::move(both)), (std::vector<int64_t>{3, 0}));
}

TEST_F(CallsTest, a_coroutine_that_waits_for_a_stream_is_told_of_the_sessions_end) {
  auto never = session().task<Generator<int64_t>>("count_up").options({.num_cpus = 100});
  auto waits = sum_of(never.remote(0, 1));
  std::jthread ends([this] { session().shutdown(); });
  EXPECT_THROW(run(session(), std::move(waits)), NotConnectedError);
}

TEST_F(CallsTest, wait_takes_streams_and_references_in_any_mixture) {
  auto never = session().task<int64_t>("twice").options({.num_cpus = 100}).remote(1);
  std::vector<Stream<int64_t>> streams;
  streams.push_back(session().task<Generator<int64_t>>("waits_between").remote(file("go_on")));
  streams.push_back(session().task<Generator<int64_t>>("waits_between").remote(file("never")));
  EXPECT_EQ(session().wait(streams, 2), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(session().wait(streams, 1).size(), 1u);
  for (auto& stream : streams) EXPECT_EQ(session().get(*stream.next()), 1);
  EXPECT_TRUE(session().wait(streams, 1, Seconds(0)).empty());
  std::ofstream(file("go_on")) << "go on\n";
  EXPECT_EQ(session().wait({never, streams[1], streams[0]}, 1), std::vector<size_t>{2});
  EXPECT_EQ(session().get(*streams[0].next()), 2);
  EXPECT_FALSE(streams[0].next());
  auto there = session().put(int64_t{1});
  EXPECT_EQ(session().wait({never, streams[0], there}, 3, Seconds(0)), (std::vector<size_t>{1, 2}));
  EXPECT_EQ(session().wait({there, streams[0], never}, 1).size(), 1u);
  EXPECT_THROW(session().wait({ObjectRef<int64_t>(), streams[0]}), TypeError);
  session().cancel(never);
  std::ofstream(file("never")) << "go on\n";
}

TEST_F(CallsTest, options_of_a_method_hold_its_generator_back) {
  fs::create_directory(file("items"));
  auto actor = session().actor("Patient").remote();
  auto numbered = actor.call<Generator<int64_t>>("numbered").options({.stream_items = 3});
  auto stream = numbered.remote(file("items"), file("closed"));
  for (int64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(session().get(*stream.next()), i);
    EXPECT_FALSE(fs::exists(file("items") + "/" + std::to_string(i + 5)));
  }
  stream.close();
  wait_for_file(file("closed"));
  EXPECT_THROW(actor.call<int64_t>("calls").options({.stream_items = 1}), TypeError);
  EXPECT_EQ(session().get(actor.call<int64_t>("calls").options({.name = "asked"}).remote()), 0);
}

TEST_F(CallsTest, streams_and_single_results_are_not_taken_for_each_other) {
  EXPECT_THROW(session().get(session().task<int64_t>("count_up").remote(0, 1)), TaskError);
  auto stream = session().task<Generator<int64_t>>("twice").remote(1);
  EXPECT_THROW(session().get(*stream.next()), TaskError);
  EXPECT_FALSE(stream.next());
  EXPECT_THROW(session().task<int64_t>("twice").options({.stream_items = 2}), TypeError);
  static_assert(std::is_same_v<decltype(session().task(counts_here).remote(1)), Stream<int64_t>>);
}

TEST_F(CallsTest, equal_options_are_one_template) {
  detail::SessionCore* core = session().core().get();
  auto number = [&](TaskOptions options) {
    auto checked = detail::checked_options("add", false, std::move(options));
    return detail::template_of(core, {"add", false, std::move(checked)});
  };
  EXPECT_EQ(number({.num_cpus = 2}), number({.num_cpus = 2}));
  EXPECT_NE(number({.num_cpus = 2}), number({.num_cpus = 1}));
  EXPECT_EQ(number({}), detail::template_of(core, {"add"}));
  const RuntimeEnv red{.env_vars = {{"COLOUR", "red"}}}, blue{.env_vars = {{"COLOUR", "blue"}}};
  EXPECT_EQ(number({.runtime_env = red}), number({.runtime_env = red}));
  EXPECT_NE(number({.runtime_env = red}), number({.runtime_env = blue}));
}

TEST_F(CallsTest, a_part_is_a_template_beside_that_of_the_whole) {
  detail::SessionCore* core = session().core().get();
  const uint32_t whole = detail::template_of(core, {"rows"});
  const uint32_t part = detail::template_of_parts(core, whole, 1);
  EXPECT_NE(part, whole);
  EXPECT_EQ(detail::template_of_parts(core, whole, 1), part);
  EXPECT_EQ(detail::template_of_parts(core, part, 1), part);
  EXPECT_EQ(detail::template_of_parts(core, whole, 2), whole);
  EXPECT_THROW(detail::template_of_parts(core, 1'000'000, 1), TypeError);
}

}  // namespace
}  // namespace sundog
