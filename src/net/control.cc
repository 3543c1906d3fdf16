#include "net/control.h"

#include <unistd.h>

#include "os/files.h"

namespace sundog::net {
Result<os::Fd> listen_for_clients(const std::string& path) {
  std::string folder = os::parent_folder(path);
  if (folder.empty()) {
    return Failure{"the socket path " + path + " must name a file in a folder of ours"};
  }
  if (Status s = os::make_folder(folder); !s) return Failure{s.error()};
  // In a folder that somebody else may write to, the socket could be theirs.
  if (Status s = os::check_private_folder(folder); !s) {
    return Failure{"cannot listen on " + path + ": " + s.error() +
                   "; remove it, or set XDG_RUNTIME_DIR to a folder of yours"};
  }
  return os::listen_unix(path);
}

Result<pid_t> check_peer(int socket) {
  auto peer = os::peer_credentials(socket);
  if (!peer) return Failure{peer.error()};
  if (peer->uid != ::getuid()) {
    return Failure{"refused a connection of user " + std::to_string(peer->uid) + " (process " +
                   std::to_string(peer->pid) + "): this session belongs to user " +
                   std::to_string(::getuid())};
  }
  return peer->pid;
}

wire::Goodbye make_goodbye(std::string_view reason) {
  wire::Goodbye goodbye;
  copy_text(goodbye.reason, reason);
  return goodbye;
}

}  // namespace sundog::net
