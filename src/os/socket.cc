#include "os/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sundog::os {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Failure{"cannot use the socket path " + path + ": it has " +
                   std::to_string(path.size()) + " bytes, the system's limit is " +
                   std::to_string(sizeof address.sun_path - 1) + "; use a shorter folder"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Fd> make_socket(int flags) {
  int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) return Failure{system_error("make a unix socket")};
  return Fd(fd);
}

}  // namespace

Result<SocketPair> make_socketpair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
    return Failure{system_error("make a socket pair")};
  }
  return SocketPair{Fd(fds[0]), Fd(fds[1])};
}

Result<Fd> listen_unix(const std::string& path) {
  auto address = address_of(path);
  if (!address) return Failure{address.error()};
  auto socket = make_socket(SOCK_NONBLOCK);
  if (!socket) return socket;
  ::unlink(path.c_str());
  mode_t before = ::umask(0177);
  int rc = ::bind(socket->get(), reinterpret_cast<sockaddr*>(&*address), sizeof(sockaddr_un));
  int error_number = errno;
  ::umask(before);
  if (rc < 0) return Failure{system_error("bind the socket " + path, error_number)};
  if (::listen(socket->get(), SOMAXCONN) < 0) {
    return Failure{system_error("listen on the socket " + path)};
  }
  return socket;
}

Result<Fd> connect_unix(const std::string& path) {
  auto address = address_of(path);
  if (!address) return Failure{address.error()};
  auto socket = make_socket(0);
  if (!socket) return socket;
  if (::connect(socket->get(), reinterpret_cast<sockaddr*>(&*address), sizeof(sockaddr_un)) < 0) {
    return Failure{system_error("connect to the socket " + path)};
  }
  return socket;
}

bool is_dead_unix(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return false;
  if (!S_ISSOCK(info.st_mode) || info.st_uid != ::getuid()) return false;  // files refuse, too
  auto address = address_of(path);
  if (!address) return false;
  auto socket = make_socket(SOCK_NONBLOCK);
  if (!socket) return false;
  return ::connect(socket->get(), reinterpret_cast<sockaddr*>(&*address), sizeof(sockaddr_un)) <
             0 &&
         errno == ECONNREFUSED;
}

Result<Fd> accept_unix(int listener) {
  for (;;) {
    int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return Fd(fd);
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return Fd();
    return Failure{system_error("accept a connection")};
  }
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
    return Failure{system_error("ask who a socket's peer is")};
  }
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

Status send_packet(int socket, Bytes data, std::span<const int> fds, bool wait) {
  iovec part{const_cast<std::byte*>(data.data()), data.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kPacketFdsMax * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds.size() > kPacketFdsMax) return Failure{std::string("too many descriptors in one packet")};
  if (!fds.empty()) {
    std::memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) >= 0) {
      return ok_status();
    }
    if (errno != EINTR) return Failure{system_error("send a packet")};
  }
}

Received receive_packet(int socket, bool wait) {
  // Packets are small; the buffer lives on the stack and only what arrived is kept.
  std::byte buffer[kPacketBytesMax];
  alignas(cmsghdr) char control[CMSG_SPACE(kPacketFdsMax * sizeof(int))];
  iovec part{buffer, sizeof buffer};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  Received received;
  ssize_t n;
  do {
    n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN) return received;
    received.status = errno == ECONNRESET ? ReceiveStatus::kHangUp : ReceiveStatus::kError;
    received.error = system_error("receive a packet");
    return received;
  }
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  if (n == 0 && received.fds.empty()) {
    received.status = ReceiveStatus::kHangUp;
    return received;
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    received.status = ReceiveStatus::kError;
    received.error = "a packet was larger than the limit and was cut";
    return received;
  }
  received.status = ReceiveStatus::kPacket;
  received.data.assign(buffer, buffer + n);
  return received;
}

}  // namespace sundog::os
