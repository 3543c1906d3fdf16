#include "net/control.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sundog::net {
namespace {

// A folder that somebody else owns or may write to could hold a socket of theirs.
Status make_private_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST) {
    return Failure{os::system_error("make the folder " + folder)};
  }
  struct stat info {};
  if (::lstat(folder.c_str(), &info) < 0) {
    return Failure{os::system_error("look at the folder " + folder)};
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::getuid() || (info.st_mode & 077) != 0) {
    return Failure{"cannot put a socket into " + folder +
                   ": it must be a folder of ours that nobody else may enter; remove it, or set "
                   "XDG_RUNTIME_DIR to a folder of yours"};
  }
  return ok_status();
}

}  // namespace

Result<os::Fd> listen_for_clients(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) {
    return Failure{"the socket path " + path + " must name a file in a folder of ours"};
  }
  if (Status s = make_private_folder(path.substr(0, slash)); !s) return Failure{s.error()};
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
