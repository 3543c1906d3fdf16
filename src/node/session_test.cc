#include "node/session.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "node/temporary_folder_for_test.h"
#include "os/clock.h"
#include "os/files.h"

namespace sundog::node {
namespace {

TEST(Session, its_folder_is_ours_alone) {
  TemporaryFolder home;
  Session session = *Session::create(home.path("sessions/a"));
  struct stat info {};
  ASSERT_EQ(::stat(session.folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_EQ(session.log_path("x"), home.path("sessions/a/logs/x"));
}

TEST(Session, a_folder_that_others_may_enter_is_refused) {
  TemporaryFolder home;
  ASSERT_TRUE(os::make_folder(home.path("sessions/a")).ok());
  ASSERT_EQ(::chmod(home.path("sessions/a").c_str(), 0755), 0);
  auto session = Session::create(home.path("sessions/a"));
  ASSERT_FALSE(session.ok());
  EXPECT_NE(session.error().find("0700"), std::string::npos) << session.error();
}

TEST(Session, only_the_newest_old_ones_are_kept) {
  TemporaryFolder home;
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(os::make_folder(home.path("sessions/old" + std::to_string(i) + "/logs")).ok());
  }
  Session session = *Session::create(home.path("sessions/own"));
  EXPECT_EQ(session.remove_old_sessions(os::wall_now()), 30 - (kSessionsKept - 1));
  EXPECT_EQ(os::list_folder(home.path("sessions")).size(), kSessionsKept);
  EXPECT_EQ(session.remove_old_sessions(os::wall_now() + kSessionAgeMax + kSecond),
            kSessionsKept - 1);
  EXPECT_EQ(os::list_folder(home.path("sessions")).size(), 1u);
}

TEST(Session, one_whose_daemon_lives_is_kept_whatever_its_age) {
  TemporaryFolder home;
  Session other = *Session::create(home.path("sessions/other"));
  Session session = *Session::create(home.path("sessions/own"));
  EXPECT_EQ(session.remove_old_sessions(os::wall_now() + 2 * kSessionAgeMax), 0u);
  EXPECT_EQ(os::list_folder(home.path("sessions")).size(), 2u);
}

}  // namespace
}  // namespace sundog::node
