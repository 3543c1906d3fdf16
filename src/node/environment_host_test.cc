// Setup processes and zygotes of runtime environments, as far as the daemon handles them: in place
// of Python a script that does what the test needs.
#include "node/environment_host.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <optional>

#include "node/temporary_folder_for_test.h"
#include "os/clock.h"
#include "os/socket.h"

namespace sundog::node {
namespace {

constexpr uint64_t kHash = 0xabc;
constexpr DurationNs kPatience = 20 * kSecond;  // a stuck test fails after this long

class EnvironmentHostTest : public testing::Test {
 protected:
  // What a setup process does, in the language of the shell; a zygote sleeps.
  void start(const std::string& setup) {
    loop_ = *loop::EventLoop::create();
    std::string script = "#!/bin/sh\ncase \"$3\" in\n*_environment_setup.py) " + setup +
                         ";;\n*) exec sleep 1000;;\nesac\n";
    auto file = os::open_log_file(folder_.path("python"));
    ASSERT_TRUE(file.ok() && os::write_all(file->get(), as_bytes(script)).ok());
    ASSERT_EQ(::chmod(folder_.path("python").c_str(), 0700), 0);
    file->reset();
    EnvironmentHost::Listener listener{
        [this](uint64_t, uint32_t attempt) { ready_ = attempt; },
        [this](uint64_t, uint32_t, std::string reason) { failed_ = std::move(reason); },
        [](uint64_t, uint32_t, os::Fd) {},
        [this](uint64_t token, std::string) { not_forked_ = token; }};
    host_ = std::make_unique<EnvironmentHost>(
        loop_.get(),
        EnvironmentHost::Setup{folder_.path("python"), folder_.path("_zygote.py"),
                               folder_.path("base"), folder_.path("environments"),
                               folder_.path("")},
        std::move(listener), &log_);
    host_->prepare({kHash, 1, "{}"});
  }
  void poll_until(const std::function<bool()>& done) {
    const TimeNs deadline = os::now() + kPatience;
    while (!done() && os::now() < deadline) loop_->poll(os::now() + 10 * kMillisecond);
    ASSERT_TRUE(done());
  }
  // The child that ends next; it is reaped.
  static pid_t next_to_end() { return ::waitpid(-1, nullptr, 0); }
  size_t files() const { return os::list_folder(folder_.path("environments")).size(); }

  TemporaryFolder folder_;
  obs::Log log_;
  std::unique_ptr<loop::EventLoop> loop_;
  std::unique_ptr<EnvironmentHost> host_;
  std::optional<uint32_t> ready_;
  std::optional<std::string> failed_;
  std::optional<uint64_t> not_forked_;
};

TEST_F(EnvironmentHostTest, the_deciding_thread_does_not_wait_for_what_it_killed) {
  start("exec sleep 1000");
  host_->abort({kHash, 1});
  const pid_t killed = next_to_end();
  ASSERT_GT(killed, 0) << "abort() waited for it";
  EXPECT_FALSE(host_->knows(killed));
}

TEST_F(EnvironmentHostTest, an_idle_zygote_ends_without_a_wait_and_leaves_no_file) {
  start("touch \"$5.config\"");
  poll_until([this] { return ready_.has_value(); });
  EXPECT_EQ(files(), 2u);  // the request, which this setup did not remove, and the configuration
  const int zygote = host_->zygote(kHash)->pid();
  host_->end({kHash});
  EXPECT_EQ(next_to_end(), zygote) << "end() waited for it";
  EXPECT_EQ(files(), 0u);
}

TEST_F(EnvironmentHostTest, a_fork_that_was_asked_of_a_zygote_that_ends_has_failed) {
  start("exit 0");
  poll_until([this] { return ready_.has_value(); });
  auto control = *os::make_socketpair();
  ForkOrder order;
  order.token = 9;
  order.control = std::move(control.theirs);
  order.out = *order.control.duplicate();
  order.err = *order.control.duplicate();
  host_->zygote(kHash)->fork(std::move(order));
  host_->end({kHash});
  EXPECT_EQ(not_forked_, 9u) << "nobody would start another worker in its place";
  EXPECT_GT(next_to_end(), 0);
}

TEST_F(EnvironmentHostTest, each_attempt_begins_without_the_files_of_the_one_before) {
  start("echo because > \"$5.failure\"; exit 1");
  poll_until([this] { return failed_.has_value(); });
  EXPECT_EQ(*failed_, "because\n");
  failed_.reset();
  host_->prepare({kHash, 2, "{}"});
  poll_until([this] { return failed_.has_value(); });
  EXPECT_EQ(files(), 2u);  // of the second: the request and the failure
}

}  // namespace
}  // namespace sundog::node
