// Unix SOCK_SEQPACKET sockets: whole packets with descriptors, and who the peer is.
// Any thread; nothing here blocks unless the descriptor is blocking.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "os/fd.h"

namespace sundog::os {

constexpr size_t kPacketBytesMax = 64 * 1024;
constexpr size_t kPacketFdsMax = 16;

struct SocketPair {
  Fd ours, theirs;
};
Result<SocketPair> make_socketpair();  // blocking, close-on-exec

// The path must be shorter than sun_path; an existing file there is replaced.
Result<Fd> listen_unix(const std::string& path);   // non-blocking, mode 0600
Result<Fd> connect_unix(const std::string& path);  // blocking
// Whether it is a socket of ours on which nobody listens any more; a full queue is no sign of
// that. One that is bound and about to listen looks the same. Never waits.
bool is_dead_unix(const std::string& path);
// No descriptor and no error when nobody is waiting (non-blocking listener).
Result<Fd> accept_unix(int listener);  // the accepted socket is blocking

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(int socket);

// Sends one packet with copies of `fds`; never raises SIGPIPE. Without `wait`, a full socket is
// an error.
Status send_packet(int socket, Bytes data, std::span<const int> fds = {}, bool wait = true);

enum class ReceiveStatus : uint8_t { kPacket, kNothing, kHangUp, kError };
struct Received {
  ReceiveStatus status = ReceiveStatus::kNothing;
  std::vector<std::byte> data;
  std::vector<Fd> fds;  // close-on-exec
  std::string error;    // kError: a truncated packet or a failed call
};
// One packet. kNothing only if the socket is non-blocking or `wait` is false.
Received receive_packet(int socket, bool wait = true);

}  // namespace sundog::os
