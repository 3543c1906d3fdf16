// The daemon's end of control sockets: listening, checking who calls, packets of src/wire/hello.h.
// One thread at a time for each socket; sends never block (a peer that does not read its few
// packets is broken).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/fd.h"
#include "os/socket.h"
#include "wire/hello.h"

namespace sundog::net {

// A socket that only processes of our user can open; the parent folder is made with mode 0700.
Result<os::Fd> listen_for_clients(const std::string& path);

// Fails unless the peer's user is ours. Returns the peer's pid (0 if the kernel does not know).
Result<pid_t> check_peer(int socket);

template <typename T>
Status send_control(int socket, const T& packet, std::span<const int> fds = {}) {
  return os::send_packet(socket, {reinterpret_cast<const std::byte*>(&packet), sizeof packet}, fds,
                         /*wait=*/false);
}

// A refusal, cut to what fits.
wire::Goodbye make_goodbye(std::string_view reason);

// Copies text with its final zero, cut to what fits.
template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  size_t n = from.size() < N - 1 ? from.size() : N - 1;
  from.copy(to, n);
  to[n] = 0;
}

}  // namespace sundog::net
