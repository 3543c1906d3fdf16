// Runtime against a real daemon: a driver and workers in threads of this process.
#include "client/runtime.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <latch>
#include <thread>

#include "client/entry.h"
#include "os/clock.h"
#include "os/socket.h"
#include "wire/arguments.h"

namespace sundog::client {
namespace {

using model::Format;

Bytes bytes_of(const int64_t& number) {
  return {reinterpret_cast<const std::byte*>(&number), sizeof number};
}
int64_t number_in(Bytes bytes) {
  int64_t number = 0;
  if (bytes.size() == sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// sundogd lies beside the test program.
std::string daemon_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sundogd").string();
}

size_t open_descriptors() {
  size_t count = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

// Tasks by name: "add" sums its numbers, "fill" makes bytes, "size" measures its argument, "exit"
// ends the worker's process, "nap" sleeps.
void run_task(Runtime* worker, const TaskCall& call) {
  std::vector<wire::ParsedArgument> scratch;
  auto arguments = wire::parse_arguments(call.arguments, call.refs.size(), &scratch);
  ASSERT_TRUE(arguments.ok());
  auto value_of = [&](const wire::ParsedArgument& a) {
    return a.is_reference() ? call.refs[a.ref_index].data->bytes() : a.bytes;
  };
  int64_t sum = 0;
  for (const auto& argument : arguments->positional) sum += number_in(value_of(argument));
  if (call.name == "size") {
    sum = static_cast<int64_t>(value_of(arguments->positional[0]).size());
  }
  std::string large;
  OutValue out{Format::kInt64, bytes_of(sum), {}};
  if (call.kind == model::CallKind::kCreateActor) out = {Format::kNone, {}, {}};
  if (call.name == "fill") {
    large.assign(static_cast<size_t>(sum), 'f');
    out = {Format::kRaw, as_bytes(large), {}};
  }
  if (call.name == "nap") usleep(static_cast<useconds_t>(sum));
  TimeNs now = os::now();
  for (uint32_t i = 0; i < call.num_results; ++i) {
    ASSERT_TRUE(worker->add_result(call, i, out, nullptr).ok());
  }
  ASSERT_TRUE(worker->finish(call, false, false, now, now).ok());
}

class RuntimeTest : public ::testing::Test {
 protected:
  void start(int num_workers, std::vector<std::string> more_flags = {}) {
    DriverConfig config;
    config.daemon_path = daemon_path();
    config.daemon_arguments = {"--session",     "test",     "--session-dir", dir_ + "/session",
                               "--socket",      socket(),   "--num-cpus",    "4",
                               "--store-bytes", "268435456"};
    config.daemon_arguments.insert(config.daemon_arguments.end(), more_flags.begin(),
                                   more_flags.end());
    auto connected = Runtime::connect_driver(config);
    ASSERT_TRUE(connected.ok()) << connected.error().text;
    driver = *std::move(connected);
    // A worker that comes after the test is over finds no socket any more.
    std::latch attached(num_workers);
    for (int i = 0; i < num_workers; ++i) {
      workers_.emplace_back([this, &attached] {
        auto control = os::connect_unix(socket());
        EXPECT_TRUE(control.ok()) << control.error();
        auto worker = control ? Runtime::connect_worker(control->release(), JobId{},
                                                        model::Language::kCpp, 0, 0)
                              : Failure{CallError{CallStatus::kNodeDied, control.error()}};
        EXPECT_TRUE(worker.ok()) << worker.error().text;
        attached.count_down();
        if (!worker) return;
        while (auto call = (*worker)->next_task(nullptr)) run_task(worker->get(), *call);
      });
    }
    attached.wait();
  }
  void SetUp() override {
    char pattern[] = "/tmp/sundog-test-XXXXXX";
    dir_ = mkdtemp(pattern);
    descriptors_before_ = open_descriptors();
  }
  void TearDown() override {
    if (driver) driver->shutdown();
    for (auto& worker : workers_) worker.join();
    driver.reset();
    EXPECT_EQ(open_descriptors(), descriptors_before_) << "a descriptor leaked";
    std::filesystem::remove_all(dir_);
  }
  std::string socket() const { return dir_ + "/s.sock"; }

  uint32_t define(std::string name) {
    TaskOptions options;
    options.name = std::move(name);
    options.language = model::Language::kCpp;
    return *driver->define_template(options, ObjectId{});
  }
  RefHandle call(uint32_t definition, std::vector<Argument> arguments) {
    CallSpec call;
    call.template_id = definition;
    call.positional = arguments;
    CallError error;
    RefHandle result = driver->submit_one(call, &error);
    EXPECT_TRUE(result) << error.text;
    return result;
  }
  static Argument number(const int64_t& value) {
    return {Format::kInt64, bytes_of(value), nullptr};
  }
  static Argument reference(const RefHandle& handle) { return {Format::kRef, {}, handle.get()}; }
  CallResult<Fetched> get_one(const RefHandle& handle, TimeNs deadline = kNever,
                              Reading reading = Reading::kKept) {
    Entry* entry = handle.get();
    std::vector<Fetched> values;
    auto got = driver->get(std::span(&entry, 1), deadline, nullptr, &values, reading);
    if (!got) return Failure{got.error()};
    return std::move(values.at(0));
  }
  int64_t number_of(const RefHandle& handle) {
    auto value = get_one(handle);
    EXPECT_TRUE(value.ok()) << value.error().text;
    if (!value) return -1;
    EXPECT_EQ(value->format, Format::kInt64) << to_string(value->data->bytes());
    return number_in(value->data->bytes());
  }
  // A field of the daemon's own account.
  std::string ask(model::Question question) { return *driver->query(question, "", nullptr); }

  std::unique_ptr<Runtime> driver;

 private:
  std::string dir_;
  size_t descriptors_before_ = 0;
  std::vector<std::thread> workers_;
};

const int64_t kOne = 1, kTwo = 2, kForty = 40;

TEST_F(RuntimeTest, task_runs_and_answers) {
  start(1);
  EXPECT_EQ(number_of(call(define("add"), {number(kForty), number(kTwo)})), 42);
  EXPECT_EQ(driver->info().session, "test");
}

TEST_F(RuntimeTest, results_feed_other_tasks) {
  start(2);
  uint32_t add = define("add");
  RefHandle sum = call(add, {number(kOne)});
  for (int i = 0; i < 20; ++i) sum = call(add, {reference(sum), number(kTwo)});
  EXPECT_EQ(number_of(sum), 41);
}

TEST_F(RuntimeTest, thousands_of_tasks_in_flight) {
  start(2);
  uint32_t add = define("add");
  std::vector<RefHandle> sums;
  std::vector<int64_t> numbers(20'000);
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<int64_t>(i);
    sums.push_back(call(add, {number(numbers[i]), number(kOne)}));
  }
  for (size_t i = 0; i < sums.size(); ++i) {
    ASSERT_EQ(number_of(sums[i]), static_cast<int64_t>(i + 1));
  }
}

TEST_F(RuntimeTest, numbers_are_read_where_they_lie_and_larger_values_are_not) {
  start(2);
  uint32_t add = define("add");
  std::vector<RefHandle> sums;
  for (const int64_t& each : {kOne, kTwo, kForty}) sums.push_back(call(add, {number(each)}));
  std::vector<Entry*> entries;
  for (const RefHandle& sum : sums) entries.push_back(sum.get());
  auto all_small = driver->await_small(entries, kNever, nullptr);
  ASSERT_TRUE(all_small.ok()) << all_small.error().text;
  EXPECT_TRUE(*all_small);
  for (size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i]->format, Format::kInt64);
    EXPECT_EQ(number_in(entries[i]->small_value()), number_of(sums[i]));
  }
  const int64_t kMore = 100;  // bytes: they come in the message, and are too many for the entry
  RefHandle text = call(define("fill"), {number(kMore)});
  entries.push_back(text.get());
  all_small = driver->await_small(entries, kNever, nullptr);
  ASSERT_TRUE(all_small.ok()) << all_small.error().text;
  EXPECT_FALSE(*all_small);
  EXPECT_EQ(to_string(get_one(text)->data->bytes()), std::string(100, 'f'));
  const int64_t kLong = 1'000'000;  // us
  RefHandle late = call(define("nap"), {number(kLong)});
  entries.assign(1, late.get());
  all_small = driver->await_small(entries, os::now(), nullptr);
  ASSERT_FALSE(all_small.ok());
  EXPECT_EQ(all_small.error().status, CallStatus::kTimeout);
  EXPECT_EQ(number_of(late), kLong);
}

TEST_F(RuntimeTest, small_values_are_put_and_got) {
  start(0);
  auto handle = driver->put({Format::kText, as_bytes("hello"), {}}, nullptr);
  ASSERT_TRUE(handle.ok());
  auto value = get_one(*handle);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(to_string(value->data->bytes()), "hello");
}

TEST_F(RuntimeTest, large_values_pass_through_shared_memory) {
  start(1);
  std::string large(1'000'000, 'x');
  auto handle = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  ASSERT_TRUE(handle.ok()) << handle.error().text;
  EXPECT_EQ(number_of(call(define("size"), {reference(*handle)})), 1'000'000);
  auto value = get_one(*handle);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(to_string(value->data->bytes()), large);
  const int64_t kMiddle = 20'000;
  auto made = get_one(call(define("fill"), {number(kMiddle)}));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(to_string(made->data->bytes()), std::string(20'000, 'f'));
}

TEST_F(RuntimeTest, large_argument_by_value_becomes_an_object) {
  start(1);
  std::string large(300'000, 'x');
  Argument argument{Format::kRaw, as_bytes(large), nullptr};
  EXPECT_EQ(number_of(call(define("size"), {argument})), 300'000);
}

TEST_F(RuntimeTest, writes_stay_with_whoever_made_them) {
  start(0);
  std::string large(200'000, 'x');
  auto handle = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  auto mine = get_one(*handle, kNever, Reading::kWritten);
  auto shared = get_one(*handle);
  ASSERT_TRUE(mine.ok() && shared.ok());
  mine->data->writable_bytes()[5] = std::byte{'y'};
  EXPECT_EQ(shared->data->bytes()[5], std::byte{'x'});
  auto again = get_one(*handle);
  EXPECT_EQ(again->data->bytes().data(), shared->data->bytes().data()) << "one mapping for all";
}

TEST_F(RuntimeTest, an_own_view_is_the_object_and_nobody_elses) {
  start(0);
  for (size_t size : {100u, 20'000u, 200'000u}) {  // in a message, copied, mapped
    std::string text(size, 'x');
    auto handle = driver->put({Format::kRaw, as_bytes(text), {}}, nullptr);
    auto shared = get_one(*handle);
    ASSERT_TRUE(shared.ok());
    auto own = shared->data->own();
    ASSERT_TRUE(own.ok());
    (*own)->writable_bytes()[5] = std::byte{'y'};
    EXPECT_EQ(to_string(shared->data->bytes()), text);
    EXPECT_EQ(to_string((*shared->data->own())->bytes()), text);
    *shared = Fetched{};  // the own view holds the pin by itself
    handle = RefHandle();
    EXPECT_EQ((*own)->bytes()[5], std::byte{'y'});
    EXPECT_EQ((*own)->bytes()[size - 1], std::byte{'x'});
  }
}

TEST_F(RuntimeTest, wait_tells_what_is_ready) {
  start(1);
  const int64_t kLong = 200'000;
  RefHandle quick = call(define("add"), {number(kOne)});
  EXPECT_EQ(number_of(quick), 1);
  RefHandle slow = call(define("nap"), {number(kLong)});
  Entry* both[] = {slow.get(), quick.get()};
  std::vector<bool> ready;
  ASSERT_TRUE(driver->wait(both, 1, kNever, nullptr, &ready).ok());
  EXPECT_EQ(ready, (std::vector<bool>{false, true}));
  ASSERT_TRUE(driver->wait(both, 2, os::now() + kMillisecond, nullptr, &ready).ok());
  EXPECT_EQ(ready, (std::vector<bool>{false, true})) << "timed out";
  ASSERT_TRUE(driver->wait(both, 2, kNever, nullptr, &ready).ok());
  EXPECT_EQ(ready, (std::vector<bool>{true, true}));
}

TEST_F(RuntimeTest, get_gives_up_at_its_deadline) {
  start(0);
  RefHandle never = call(define("add"), {number(kOne)});
  TimeNs before = os::now();
  auto value = get_one(never, before + 50 * kMillisecond);
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().status, CallStatus::kTimeout);
  EXPECT_LT(os::now() - before, 5 * kSecond);
  EXPECT_EQ(get_one(never, 0).error().status, CallStatus::kTimeout) << "at once";
}

TEST_F(RuntimeTest, get_with_no_time_gives_what_is_there) {
  start(1);
  const int64_t kLarge = 100'000;
  RefHandle made = call(define("fill"), {number(kLarge)});
  Entry* entry = made.get();
  std::vector<bool> ready;
  ASSERT_TRUE(driver->wait(std::span(&entry, 1), 1, kNever, nullptr, &ready).ok());
  EXPECT_TRUE(get_one(made, 0).ok());
}

TEST_F(RuntimeTest, threads_wait_side_by_side) {
  start(2);
  uint32_t add = define("add");
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      int64_t mine = t;
      for (int i = 0; i < 300; ++i) {
        ASSERT_EQ(number_of(call(add, {number(mine), number(kOne)})), mine + 1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_F(RuntimeTest, store_is_empty_once_all_is_dropped) {
  start(1);
  for (int round = 0; round < 60; ++round) {  // several times the store's size
    std::string large(10'000'000 + round * 4096, static_cast<char>('a' + round % 26));
    auto handle = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
    ASSERT_TRUE(handle.ok()) << round << ": " << handle.error().text;
    auto value = get_one(*handle);
    ASSERT_TRUE(value.ok());
    ASSERT_EQ(std::memcmp(value->data->bytes().data(), large.data(), large.size()), 0);
  }
  EXPECT_NE(ask(model::Question::kStatus).find("\"extents\":0,"), std::string::npos)
      << ask(model::Question::kStatus);
}

TEST_F(RuntimeTest, idle_program_gives_back_what_it_drops) {
  start(0);
  DriverConfig config;
  config.address = socket();
  auto other = Runtime::connect_driver(config);
  ASSERT_TRUE(other.ok()) << other.error().text;
  std::string large(100'000, 'x');
  auto handle = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  auto held = get_one(*handle);
  auto extents = [&] {
    std::string status = *(*other)->query(model::Question::kStatus, "", nullptr);
    size_t at = status.find("\"extents\":");
    return at == std::string::npos ? -1 : std::atoi(status.c_str() + at + 10);
  };
  EXPECT_EQ(extents(), 1);
  *handle = RefHandle();
  held = Fetched{};  // from here on this driver calls nothing
  TimeNs deadline = os::now() + 10 * kSecond;
  while (extents() != 0 && os::now() < deadline) {
  }
  EXPECT_EQ(extents(), 0);
}

TEST_F(RuntimeTest, questions_are_answered) {
  start(0);
  EXPECT_EQ(ask(model::Question::kStatus).front(), '{');
}

TEST_F(RuntimeTest, killed_daemon_ends_every_wait_and_names_the_cause) {
  start(0);
  std::string large(100'000, 'x');
  auto put = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  auto held = get_one(*put);
  ASSERT_TRUE(held.ok());
  RefHandle never = call(define("add"), {number(kOne)});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      auto value = get_one(never);
      ASSERT_FALSE(value.ok());
      EXPECT_EQ(value.error().status, CallStatus::kNodeDied);
      EXPECT_NE(value.error().text.find("SIGKILL"), std::string::npos) << value.error().text;
    });
  }
  usleep(20'000);  // let them wait; they must answer in any case
  TimeNs killed = os::now();
  kill(static_cast<pid_t>(driver->info().daemon_pid), SIGKILL);
  for (auto& thread : threads) thread.join();
  EXPECT_LT(os::now() - killed, kSecond);
  EXPECT_EQ(to_string(held->data->bytes()), large) << "arrays already held stay readable";
  EXPECT_EQ(driver->put({Format::kNone, {}, {}}, nullptr).error().status, CallStatus::kNodeDied);
}

TEST_F(RuntimeTest, nothing_works_after_shutdown_but_what_is_held) {
  start(1);
  std::string large(100'000, 'x');
  auto put = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  auto held = get_one(*put);
  RefHandle result = call(define("add"), {number(kOne)});
  EXPECT_EQ(number_of(result), 1);
  auto daemon = static_cast<pid_t>(driver->info().daemon_pid);
  driver->shutdown();
  EXPECT_EQ(kill(daemon, 0), -1) << "the daemon is gone and reaped";
  EXPECT_EQ(get_one(result).error().status, CallStatus::kNotConnected);
  EXPECT_EQ(to_string(held->data->bytes()), large);
}

TEST_F(RuntimeTest, forked_child_is_no_client_but_reads_on) {
  start(0);
  std::string large(5'000'000, 'x');
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  auto put = driver->put({Format::kRaw, as_bytes(large), {}}, nullptr);
  auto held = get_one(*put);
  ASSERT_TRUE(held.ok());
  driver->before_fork();
  pid_t child = fork();
  if (child == 0) {
    driver->after_fork_in_child();
    char byte;
    if (read(go[0], &byte, 1) != 1) _exit(3);
    if (driver->put({Format::kNone, {}, {}}, nullptr).error().status != CallStatus::kForkedChild) {
      _exit(1);
    }
    bool same = std::memcmp(held->data->bytes().data(), large.data(), large.size()) == 0;
    _exit(same ? 0 : 2);
  }
  driver->after_fork_in_parent();
  held = Fetched{};
  *put = RefHandle();
  std::string other(20'000'000, 'y');  // fills the store some times over
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(driver->put({Format::kRaw, as_bytes(other), {}}, nullptr).ok());
  }
  ASSERT_EQ(write(go[1], "g", 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  close(go[0]);
  close(go[1]);
}

TEST_F(RuntimeTest, daemon_that_cannot_start_is_named_with_its_exit) {
  DriverConfig config;
  config.daemon_path = daemon_path();
  config.daemon_arguments = {"--no-such-flag"};
  auto connected = Runtime::connect_driver(config);
  ASSERT_FALSE(connected.ok());
  EXPECT_EQ(connected.error().status, CallStatus::kNotConnected);
  EXPECT_NE(connected.error().text.find("exit code"), std::string::npos) << connected.error().text;
}

TEST_F(RuntimeTest, actor_is_called_named_found_and_ends_with_its_last_handle) {
  start(1);
  TaskOptions options;
  options.name = "Adder";
  options.language = model::Language::kCpp;
  options.kind = model::CallKind::kCreateActor;
  RefHandle actor = call(*driver->define_template(options, ObjectId{}), {});
  options.name = options.method = "add";
  options.kind = model::CallKind::kMethod;
  CallSpec method;
  method.template_id = *driver->define_template(options, ObjectId{});
  method.actor = actor.get();
  const int64_t two = 2;
  const Argument arguments[] = {number(two), number(two)};
  method.positional = arguments;
  std::vector<RefHandle> results;
  ASSERT_TRUE(driver->submit(method, &results).ok());
  EXPECT_EQ(number_in(get_one(results[0])->data->bytes()), 4);

  EXPECT_EQ(driver->find_name("space", "adder", nullptr)->status, model::NameStatus::kUnknown);
  EXPECT_EQ(driver->claim_name("space", "adder", nullptr)->status, model::NameStatus::kReserved);
  RefHandle descriptor = *driver->put({Format::kText, as_bytes("how to call it"), {}}, nullptr);
  ASSERT_TRUE(driver->bind_name("space", "adder", actor.get(), descriptor.get()).ok());
  {
    auto taken = driver->claim_name("space", "adder", nullptr);
    ASSERT_EQ(taken->status, model::NameStatus::kFound);
    EXPECT_EQ(taken->actor.get(), actor.get());
    EXPECT_EQ(taken->descriptor.id(), descriptor.id());
  }
  EXPECT_EQ(driver->claim_name("other", "adder", nullptr)->status, model::NameStatus::kReserved);
  ASSERT_TRUE(driver->bind_name("other", "adder", nullptr, nullptr).ok());
  EXPECT_EQ(driver->find_name("other", "adder", nullptr)->status, model::NameStatus::kUnknown);

  actor = RefHandle();  // the last handle: the actor ends, and its name with it
  auto status = model::NameStatus::kFound;
  for (TimeNs end = os::now() + 10 * kSecond;
       status == model::NameStatus::kFound && os::now() < end;) {
    status = driver->find_name("space", "adder", nullptr)->status;  // what it found is dropped
  }
  EXPECT_EQ(status, model::NameStatus::kUnknown);
}

}  // namespace
}  // namespace sundog::client
