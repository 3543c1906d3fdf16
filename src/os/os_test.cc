#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/fd.h"
#include "os/files.h"
#include "os/poller.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::os {
namespace {

TEST(Fd, a_moved_descriptor_is_closed_once) {
  Pipe pipe = *make_pipe(false);
  int raw = pipe.read.get();
  {
    Fd moved = std::move(pipe.read);
    EXPECT_FALSE(pipe.read);
    EXPECT_EQ(moved.get(), raw);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(Eventfd, signals_add_up_and_one_drain_takes_all) {
  Fd fd = *make_eventfd();
  signal_eventfd(fd.get());
  signal_eventfd(fd.get());
  Poller poller = *Poller::create();
  ASSERT_TRUE(poller.add(fd.get(), 7).ok());
  Readiness ready[4];
  ASSERT_EQ(poller.wait(ready, 0), 1u);
  EXPECT_EQ(ready[0].tag, 7u);
  drain_eventfd(fd.get());
  EXPECT_EQ(poller.wait(ready, 0), 0u);
}

TEST(Timerfd, fires_not_before_its_moment) {
  Fd fd = *make_timerfd();
  Poller poller = *Poller::create();
  ASSERT_TRUE(poller.add(fd.get(), 1).ok());
  TimeNs at = now() + 2 * kMillisecond;
  arm_timerfd(fd.get(), at);
  Readiness ready[1];
  ASSERT_EQ(poller.wait(ready, -1), 1u);
  EXPECT_GE(now(), at);
}

TEST(Socket, a_packet_carries_descriptors_that_close_on_exec) {
  SocketPair pair = *make_socketpair();
  Pipe pipe = *make_pipe(false);
  int fds[] = {pipe.write.get()};
  ASSERT_TRUE(send_packet(pair.ours.get(), as_bytes("hello"), fds).ok());
  Received received = receive_packet(pair.theirs.get());
  ASSERT_EQ(received.status, ReceiveStatus::kPacket);
  EXPECT_EQ(as_text(received.data), "hello");
  ASSERT_EQ(received.fds.size(), 1u);
  EXPECT_NE(::fcntl(received.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(::write(received.fds[0].get(), "x", 1), 1);
  char c = 0;
  ASSERT_EQ(::read(pipe.read.get(), &c, 1), 1);
  EXPECT_EQ(c, 'x');
}

TEST(Socket, an_empty_socket_and_a_hang_up_are_told_apart) {
  SocketPair pair = *make_socketpair();
  EXPECT_EQ(receive_packet(pair.ours.get(), false).status, ReceiveStatus::kNothing);
  pair.theirs.reset();
  EXPECT_EQ(receive_packet(pair.ours.get(), false).status, ReceiveStatus::kHangUp);
}

TEST(Socket, a_path_that_is_too_long_is_refused_with_the_limit) {
  auto listener = listen_unix("/tmp/" + std::string(200, 'x'));
  ASSERT_FALSE(listener.ok());
  EXPECT_NE(listener.error().find("limit is 107"), std::string::npos) << listener.error();
}

TEST(Socket, a_listener_accepts_a_peer_of_our_user) {
  char folder[] = "/tmp/sundog-os-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  std::string path = std::string(folder) + "/s";
  Fd listener = *listen_unix(path);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_FALSE(accept_unix(listener.get())->get() >= 0);
  Fd client = *connect_unix(path);
  Fd server = *accept_unix(listener.get());
  ASSERT_TRUE(server);
  EXPECT_EQ(peer_credentials(server.get())->uid, ::getuid());
  EXPECT_EQ(peer_credentials(server.get())->pid, ::getpid());
  ::unlink(path.c_str());
  ::rmdir(folder);
}

TEST(Process, exit_codes_and_signals_are_told_apart) {
  for (auto [script, exited, code] :
       {std::tuple{"exit 3", true, 3}, std::tuple{"kill -9 $$", false, SIGKILL}}) {
    SpawnRequest request;
    request.path = "/bin/sh";
    request.arguments = {"-c", script};
    pid_t pid = *spawn(request);
    Fd pidfd = *open_pidfd(pid);
    ExitInfo info;
    ASSERT_EQ(wait_pidfd_until(pidfd.get(), now() + 20 * kSecond, &info), WaitResult::kEnded);
    EXPECT_EQ(info.exited, exited);
    EXPECT_EQ(info.code, code);
  }
}

TEST(Process, a_child_begins_in_the_folder_named) {
  for (auto [folder, code] : {std::pair{"/proc", 0}, std::pair{"", 1}}) {
    SpawnRequest request;
    request.path = "/bin/sh";
    request.arguments = {"-c", "[ $(pwd) = /proc ]"};
    request.folder = folder;
    Fd pidfd = *open_pidfd(*spawn(request));
    ExitInfo info;
    ASSERT_EQ(wait_pidfd_until(pidfd.get(), now() + 20 * kSecond, &info), WaitResult::kEnded);
    EXPECT_EQ(info.code, code) << folder;
  }
  SpawnRequest request;
  request.path = "/bin/sh";
  request.folder = "/no/such/folder";
  EXPECT_FALSE(spawn(request).ok());
  EXPECT_TRUE(is_folder("/proc"));
  EXPECT_FALSE(is_folder("/proc/self/exe"));
  EXPECT_FALSE(is_folder("/no/such/folder"));
}

TEST(Process, a_child_gets_exactly_the_descriptors_named_and_a_new_variable) {
  Pipe pipe = *make_pipe(false);
  Fd stray = *make_eventfd();
  ASSERT_EQ(::fcntl(stray.get(), F_SETFD, 0), 0);  // would be inherited
  SpawnRequest request;
  request.path = "/bin/sh";
  request.arguments = {"-c", "echo $COLOUR >&5; exec ls /proc/self/fd >&5"};
  request.fds = {{pipe.write.get(), 5}};
  request.environment = {"COLOUR=green"};
  pid_t pid = *spawn(request);
  pipe.write.reset();
  std::string text;
  char buffer[64];
  for (ssize_t n; (n = ::read(pipe.read.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(text, "green\n0\n1\n2\n3\n5\n");  // 3 is the folder that ls reads
  Fd pidfd = *open_pidfd(pid);
  ExitInfo info;
  EXPECT_EQ(wait_pidfd_until(pidfd.get(), now() + 20 * kSecond, &info), WaitResult::kEnded);
}

TEST(Process, a_missing_program_is_named) {
  SpawnRequest request;
  request.path = "/no/such/program";
  auto pid = spawn(request);
  ASSERT_FALSE(pid.ok());
  EXPECT_NE(pid.error().find("/no/such/program"), std::string::npos);
}

TEST(Process, signal_names_are_the_systems) {
  EXPECT_EQ(signal_name(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(signal_name(200), "signal 200");
}

}  // namespace
}  // namespace sundog::os
