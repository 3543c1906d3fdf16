#include "node/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "node/temporary_folder_for_test.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/socket.h"

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

TEST(Session, a_socket_on_which_nobody_listens_goes_with_what_lies_beside_it) {
  TemporaryFolder home;
  ASSERT_TRUE(os::make_folder(home.path("run")).ok());
  Session session = *Session::create(home.path("sessions/own"));
  Session living = *Session::create(home.path("sessions/1234"));
  auto listener = os::listen_unix(home.path("run/11aa.sock"));
  ASSERT_TRUE(listener.ok()) << listener.error();
  for (const char* name : {"abcd", "1234", "theirs"}) {  // their listeners are closed at once
    ASSERT_TRUE(os::listen_unix(home.path("run/" + std::string(name) + ".sock")).ok());
  }
  for (const char* name : {"abcd.sock.job-1", "abcd.sock.77", "abcd.sock.lock", "11aa.sock.job-1",
                           "abcd.txt", "beef.sock"}) {
    const std::string path = home.path("run/" + std::string(name));
    ASSERT_GE(os::Fd(::open(path.c_str(), O_CREAT | O_WRONLY, 0600)).get(), 0);
  }
  const TimeNs now = os::wall_now();
  EXPECT_EQ(session.remove_dead_sockets(home.path("run"), now), 0u);  // they may be about to listen
  EXPECT_EQ(session.remove_dead_sockets(home.path("run"), now + 2 * kDeadSocketAge), 1u);
  std::vector<std::string> left;
  for (const os::FolderEntry& entry : os::list_folder(home.path("run"))) left.push_back(entry.name);
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left,
            (std::vector<std::string>{"11aa.sock", "11aa.sock.job-1", "1234.sock", "abcd.sock.lock",
                                      "abcd.txt", "beef.sock", "theirs.sock"}));
}

}  // namespace
}  // namespace sundog::node
