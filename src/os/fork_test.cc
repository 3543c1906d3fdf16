#include "os/fork.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/process.h"

namespace sundog::os {
namespace {

#ifdef __SANITIZE_THREAD__  // it makes a plain fork of a vfork
#define SKIP_WITHOUT_VFORK() GTEST_SKIP() << "the thread sanitizer has no vfork"
#else
#define SKIP_WITHOUT_VFORK()
#endif

TEST(OrphanFork, the_subreaper_is_the_new_parent_and_the_report_comes_before_the_end) {
  SKIP_WITHOUT_VFORK();
  ASSERT_TRUE(become_subreaper().ok());
  const pid_t own = own_pid();
  pid_t reported = 0, reporter = 0;
  auto forked = fork_orphan([&](pid_t child) {
    reported = child;
    reporter = own_pid();
    return true;
  });
  ASSERT_TRUE(forked.ok()) << forked.error();
  if (forked->child == 0) ::_exit(await_new_parent(forked->intermediate, own) ? 7 : 1);
  EXPECT_EQ(reported, forked->child) << "it shares our memory";
  EXPECT_EQ(reporter, forked->intermediate);
  auto pidfd = open_pidfd(forked->child);  // ours to reap, so it is still the same process
  ASSERT_TRUE(pidfd.ok());
  ExitInfo info;
  ASSERT_EQ(wait_pidfd_until(pidfd->get(), now() + 10 * kSecond, &info), WaitResult::kEnded);
  EXPECT_TRUE(info.exited);
  EXPECT_EQ(info.code, 7);
}

TEST(OrphanFork, what_the_child_writes_is_its_own) {
  SKIP_WITHOUT_VFORK();
  ASSERT_TRUE(become_subreaper().ok());
  const pid_t own = own_pid();
  volatile int number = 1;
  auto forked = fork_orphan([](pid_t) { return true; });
  ASSERT_TRUE(forked.ok()) << forked.error();
  if (forked->child == 0) {
    number = 2;
    ::_exit(await_new_parent(forked->intermediate, own) ? number : 99);
  }
  auto pidfd = open_pidfd(forked->child);
  ASSERT_TRUE(pidfd.ok());
  ExitInfo info;
  ASSERT_EQ(wait_pidfd_until(pidfd->get(), now() + 10 * kSecond, &info), WaitResult::kEnded);
  EXPECT_EQ(info.code, 2);
  EXPECT_EQ(number, 1);
}

}  // namespace
}  // namespace sundog::os
