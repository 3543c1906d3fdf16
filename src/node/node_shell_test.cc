// The daemon in this process, spoken to as clients do: control socket, rings, doorbell, claims.
#include "node/node_shell.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "net/control.h"
#include "node/client_for_test.h"
#include "node/temporary_folder_for_test.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/futex.h"
#include "os/socket.h"
#include "shm/claims.h"
#include "wire/error_layout.h"

namespace sundog::node {
namespace {

class NodeShellTest : public testing::Test {
 protected:
  void SetUp() override {
    os::SocketPair pair = *os::make_socketpair();
    NodeOptions options;
    options.session = "test";
    options.session_dir = folder_.path("sessions/test");
    options.socket_path = folder_.path("run/test.sock");
    options.control_fd = pair.theirs.release();
    options.num_cpus = 2 * model::kResourceUnit;
    options.store_bytes = 64 << 20;
    auto shell = NodeShell::create(options);
    ASSERT_TRUE(shell.ok()) << shell.error();
    shell_ = *std::move(shell);
    thread_ = std::thread([this] { shell_->run(); });
    driver_ = std::make_unique<TestClient>(std::move(pair.ours));
    ASSERT_TRUE(driver_->attach(driver_->hello(model::Role::kDriver)));
  }
  void TearDown() override {
    driver_->hang_up();
    if (thread_.joinable()) thread_.join();
  }
  TestClient by_path() { return TestClient(*os::connect_unix(folder_.path("run/test.sock"))); }

  TemporaryFolder folder_;
  std::unique_ptr<NodeShell> shell_;
  std::thread thread_;
  std::unique_ptr<TestClient> driver_;
};

model::ValueView number_value(const int64_t* number) {
  model::ValueView value;
  value.format = model::Format::kInt64;
  value.bytes = {reinterpret_cast<const std::byte*>(number), sizeof *number};
  return value;
}

model::Done done_with_none(const model::Execute& execute) {
  static const model::ResultView kNothing{0, {model::Format::kNone, {}, {}}, {}};
  model::Done done;
  done.task = execute.task;
  done.attempt = execute.attempt;
  done.slot = execute.slot;
  done.started = done.finished = os::now();
  done.results = {&kNothing, 1};
  return done;
}

TEST_F(NodeShellTest, the_welcome_tells_the_session) {
  const wire::Welcome& welcome = driver_->welcome();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(welcome.session)), "test");
  EXPECT_EQ(welcome.daemon_pid, static_cast<uint32_t>(os::own_pid()));
  EXPECT_EQ(welcome.num_cpus, 2 * model::kResourceUnit);
  EXPECT_EQ(welcome.job, 1u);
  EXPECT_EQ(*os::memory_size(driver_->arena()), welcome.arena_bytes[0]);
  EXPECT_GE(welcome.arena_bytes[0], welcome.store_bytes);
}

TEST_F(NodeShellTest, a_value_that_was_put_can_be_got) {
  ObjectId id{driver_->task(1), ObjectId::kPutBit};
  int64_t number = 42;
  driver_->say(model::Put{id, number_value(&number), {}, false});
  driver_->say(model::Get{7, 1, true, false, {&id, 1}});
  model::Value value = driver_->expect<model::Value>();
  EXPECT_EQ(value.id, id);
  EXPECT_EQ(as_text(value.value.bytes), as_text(number_value(&number).bytes));
  EXPECT_EQ(driver_->expect<model::Waited>().request, 7u);
}

TEST_F(NodeShellTest, a_grant_comes_with_its_pages) {
  driver_->say(model::Allocate{3, 1 << 20});
  model::Grant grant = driver_->expect<model::Grant>();
  EXPECT_EQ(grant.request, 3u);
  EXPECT_GE(*os::memory_resident(driver_->arena()), uint64_t{1} << 20);
  ASSERT_TRUE(net::send_control(driver_->control(), wire::WantWritable{}).ok());
  os::Received answer = os::receive_packet(driver_->control());
  ASSERT_TRUE(wire::parse_control<wire::Descriptor>(answer.data).ok());
  ASSERT_EQ(answer.fds.size(), 1u);
  auto mapping = os::Mapping::map(answer.fds[0].get(), grant.extent.offset, 1 << 20,
                                  os::Access::kReadWrite, os::Sharing::kShared);
  ASSERT_TRUE(mapping.ok());
  mapping->data()[0] = std::byte{9};
  auto read_only = os::Mapping::map(driver_->arena(), grant.extent.offset, 1 << 20,
                                    os::Access::kReadWrite, os::Sharing::kShared);
  EXPECT_FALSE(read_only.ok());
}

TEST_F(NodeShellTest, a_task_goes_to_a_worker_and_its_result_comes_back) {
  TestClient worker = by_path();
  ASSERT_TRUE(worker.attach(worker.hello(model::Role::kWorker)));
  model::NamedAmount cpu{"CPU", model::kResourceUnit};
  model::DefineTemplate define;
  define.template_id = 0;
  define.language = model::Language::kCpp;
  define.name = "square";
  define.resources = {&cpu, 1};
  driver_->say(define);
  model::Submit submit;
  submit.task = driver_->task(1);
  submit.parent = TaskId::root_of(JobId{1});
  driver_->say(submit);
  model::Execute execute = worker.expect<model::Execute>();
  EXPECT_EQ(execute.task, submit.task);
  EXPECT_EQ(execute.name, "square");
  std::atomic<uint32_t>* claim = worker.header()->claim(execute.slot);
  ASSERT_TRUE(shm::claim(claim, execute.generation));
  int64_t number = 49;
  model::ResultView result{0, number_value(&number), {}};
  model::Done done;
  done.task = execute.task;
  done.attempt = execute.attempt;
  done.slot = execute.slot;
  done.started = done.finished = os::now();
  done.results = {&result, 1};
  worker.say(done);
  ObjectId id{submit.task, 0};
  driver_->say(model::Get{1, 1, true, false, {&id, 1}});
  EXPECT_EQ(driver_->expect<model::Value>().id, id);
  driver_->say(model::Query{2, model::Question::kTimeline, {}});
  std::string trace;
  for (;;) {
    model::Reply reply = driver_->expect<model::Reply>();
    trace += reply.text;
    if (reply.last) break;
  }
  EXPECT_NE(trace.find("\"name\":\"square\""), std::string::npos) << trace;
}

TEST_F(NodeShellTest, a_task_larger_than_the_ring_arrives_and_wakes_its_worker) {
  TestClient worker = by_path();
  ASSERT_TRUE(worker.attach(worker.hello(model::Role::kWorker)));
  model::DefineTemplate define;
  define.language = model::Language::kCpp;
  define.name = "digest";
  driver_->say(define);
  uint64_t number = 0;
  for (size_t size : {300'000, 550'000, 900'000}) {  // a worker's ring has 256 KB
    std::string arguments(size, 'x');
    model::Submit submit;
    submit.task = driver_->task(++number);
    submit.arguments = as_bytes(arguments);
    driver_->say(submit);
    model::Execute execute = worker.expect<model::Execute>();
    EXPECT_EQ(execute.task, submit.task);
    EXPECT_EQ(as_text(execute.arguments), arguments);
    ASSERT_TRUE(shm::claim(worker.header()->claim(execute.slot), execute.generation));
    worker.say(done_with_none(execute));
  }
}

TEST_F(NodeShellTest, a_client_that_talks_nonsense_is_disconnected_and_nobody_else) {
  TestClient tool = by_path();
  ASSERT_TRUE(tool.attach(tool.hello(model::Role::kTool)));
  tool.say_raw(12345, as_bytes("rubbish!"));
  EXPECT_NE(tool.wait_for_goodbye().find("malformed record"), std::string::npos);
  driver_->say(model::Query{1, model::Question::kStatus, {}});
  EXPECT_FALSE(driver_->expect<model::Reply>().text.empty());
}

TEST_F(NodeShellTest, a_driver_that_leaves_others_is_told_that_the_session_goes_on) {
  TestClient other = by_path();
  ASSERT_TRUE(other.attach(other.hello(model::Role::kDriver)));
  ASSERT_EQ(::shutdown(other.control(), SHUT_WR), 0);
  EXPECT_EQ(other.wait_for_goodbye(), "the session goes on: 1 other program uses it");
  driver_->say(model::Query{1, model::Question::kJobs, {}});
  EXPECT_NE(driver_->expect<model::Reply>().text.find("RUNNING"), std::string::npos);
}

TEST_F(NodeShellTest, a_process_that_lies_about_its_pid_is_refused) {
  TestClient liar = by_path();
  wire::Hello hello = liar.hello(model::Role::kTool);
  hello.pid = 1;
  EXPECT_FALSE(liar.attach(hello));
  EXPECT_NE(liar.goodbye().find("kernel says"), std::string::npos) << liar.goodbye();
}

TEST_F(NodeShellTest, another_protocol_is_refused_by_name) {
  TestClient old = by_path();
  wire::Hello hello = old.hello(model::Role::kTool);
  hello.protocol = 999;
  EXPECT_FALSE(old.attach(hello));
  EXPECT_NE(old.goodbye().find("999"), std::string::npos) << old.goodbye();
}

TEST_F(NodeShellTest, what_does_not_fit_into_a_ring_arrives_later_in_order) {
  constexpr uint32_t kQueries = 5000;
  for (uint32_t i = 0; i < kQueries; ++i) {
    driver_->say(model::Query{i, model::Question::kDump, {}});
  }
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < kQueries; ++i) {
    std::string text;
    for (bool last = false; !last;) {
      model::Reply reply = driver_->expect<model::Reply>();
      ASSERT_EQ(reply.request, i);
      last = reply.last;
      bytes += reply.text.size();
    }
  }
  EXPECT_GT(bytes, uint64_t{1} << 20);  // more than the ring holds
}

// A process of its own that serves as an actor's: it is forked while this one has one thread, and
// comes to the session once that has started.
class ActorShellTest : public NodeShellTest {
 protected:
  void SetUp() override {
    os::SocketPair pair = *os::make_socketpair();
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      pair.ours.reset();
      serve(pair.theirs.get());
      _exit(0);
    }
    NodeShellTest::SetUp();
    std::string path = folder_.path("run/test.sock");
    ASSERT_TRUE(os::send_packet(pair.ours.get(), as_bytes(path), {}).ok());
  }

  static void serve(int go) {
    os::Received path = os::receive_packet(go);
    TestClient worker(*os::connect_unix(to_string(path.data)));
    if (!worker.attach(worker.hello(model::Role::kWorker))) _exit(1);
    for (;;) {
      model::Execute execute = worker.expect<model::Execute>();
      if (!shm::claim(worker.header()->claim(execute.slot), execute.generation)) continue;
      if (execute.method == "hang") pause();
      worker.say(done_with_none(execute));
    }
  }
  TaskId call(uint64_t number, uint32_t template_id, const ObjectId& actor) {
    model::Submit submit;
    submit.task = driver_->task(number);
    submit.template_id = template_id;
    submit.actor = actor;
    driver_->say(submit);
    return submit.task;
  }
  void define(uint32_t number, model::CallKind kind, std::string_view method) {
    model::DefineTemplate define;
    define.template_id = number;
    define.language = model::Language::kCpp;
    define.kind = kind;
    define.name = kind == model::CallKind::kCreateActor ? "Counter" : "Counter.method";
    define.method = method;
    driver_->say(define);
  }
  model::Value get(const TaskId& task) {
    ObjectId id{task, 0};
    driver_->say(model::Get{++requests_, 1, true, false, {&id, 1}});
    for (;;) {
      model::Value value = driver_->expect<model::Value>();
      if (value.id == id) return value;
    }
  }

  pid_t pid_ = 0;
  uint32_t requests_ = 0;
};

TEST_F(ActorShellTest, an_actor_is_made_called_and_killed) {
  define(0, model::CallKind::kCreateActor, "");
  define(1, model::CallKind::kMethod, "add");
  define(2, model::CallKind::kMethod, "hang");
  ObjectId actor{call(1, 0, {}), 0};
  EXPECT_EQ(get(call(2, 1, actor)).value.format, model::Format::kNone);
  TaskId hanging = call(3, 2, actor), behind = call(4, 1, actor);
  driver_->say(model::KillActor{actor, true});
  for (const TaskId& task : {hanging, behind, call(5, 1, actor)}) {
    model::Value value = get(task);
    ASSERT_EQ(value.value.format, model::Format::kSystemError);
    auto error = wire::parse_system_error(value.value.bytes);
    ASSERT_TRUE(error.ok()) << error.error();
    EXPECT_EQ(error->kind, model::ErrorKind::kActorDied);
    EXPECT_NE(error->sentence.find("its actor Counter"), std::string::npos) << error->sentence;
    EXPECT_NE(error->sentence.find("kill()"), std::string::npos) << error->sentence;
    EXPECT_NE(error->sentence.find("pid " + std::to_string(pid_)), std::string::npos);
  }
  driver_->say(model::Query{9, model::Question::kActors, {}});
  std::string actors(driver_->expect<model::Reply>().text);
  EXPECT_NE(actors.find("\"state\":\"DEAD\""), std::string::npos) << actors;
  EXPECT_NE(kill(pid_, 0), 0) << "its process is gone, and was reaped";
}

TEST_F(NodeShellTest, it_ends_with_its_last_driver_and_leaves_only_the_logs) {
  driver_->hang_up();
  thread_.join();
  EXPECT_TRUE(os::list_folder(folder_.path("run")).empty());
  auto left = os::list_folder(folder_.path("sessions/test"));
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].name, "logs");
}

TEST_F(NodeShellTest, an_index_is_used_again_with_another_generation) {
  uint32_t first = 0;
  {
    TestClient tool = by_path();
    ASSERT_TRUE(tool.attach(tool.hello(model::Role::kTool)));
    first = tool.welcome().client;
    tool.say_raw(12345, as_bytes("rubbish!"));
    tool.wait_for_goodbye();
  }
  TestClient tool = by_path();
  ASSERT_TRUE(tool.attach(tool.hello(model::Role::kTool)));
  ClientId before{first}, after{tool.welcome().client};
  EXPECT_EQ(before.index(), after.index());
  EXPECT_EQ(before.generation() + 1, after.generation());
}

}  // namespace
}  // namespace sundog::node
