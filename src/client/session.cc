#include "client/session.h"

#include <poll.h>
#include <unistd.h>

#include <cstring>

#include "os/clock.h"
#include "os/socket.h"

namespace sundog::client {
namespace {

constexpr int kControlFdInDaemon = 3;
constexpr size_t kDescriptorsBeforeArenas = 4;

wire::Hello driver_hello(const DriverConfig& config) {
  wire::Hello hello;
  hello.role = static_cast<uint8_t>(config.only_asks ? model::Role::kTool : model::Role::kDriver);
  hello.language = static_cast<uint8_t>(model::Language::kPython);
  hello.prestart = config.prestart;
  hello.job_weight = config.job_weight;
  config.entry_point.copy(hello.entry_point, sizeof hello.entry_point - 1);
  config.name_space.copy(hello.name_space, sizeof hello.name_space - 1);
  return hello;
}

// The daemon's first packet, or why there is none.
Result<os::Received> first_packet(int control) {
  pollfd ready{control, POLLIN, 0};
  TimeNs deadline = os::now() + kHandshakeTimeout;
  int rc;
  do {
    rc = poll(&ready, 1, static_cast<int>((deadline - os::now()) / kMillisecond) + 1);
  } while (rc < 0 && errno == EINTR && os::now() < deadline);
  if (rc <= 0) {
    return Failure{"the daemon did not answer within " +
                   std::to_string(kHandshakeTimeout / kSecond) +
                   " s; see its log in the session's directory"};
  }
  os::Received packet = os::receive_packet(control);
  if (packet.status == os::ReceiveStatus::kHangUp) {
    return Failure{std::string("the daemon closed the connection before it answered")};
  }
  if (packet.status != os::ReceiveStatus::kPacket) return Failure{packet.error};
  if (auto refused = wire::parse_control<wire::Goodbye>(packet.data)) {
    return Failure{"the daemon refused this process: " + std::string(refused->reason)};
  }
  return packet;
}

SessionInfo info_of(const wire::Welcome& welcome) {
  SessionInfo info;
  info.session = reinterpret_cast<const char*>(welcome.session);
  info.session_dir = welcome.session_dir;
  std::memcpy(info.node.bytes.data(), welcome.node, sizeof welcome.node);
  info.job = JobId{welcome.job};
  info.name_space = welcome.name_space;
  if (info.name_space.empty()) info.name_space = "job-" + std::to_string(welcome.job);
  info.daemon_pid = welcome.daemon_pid;
  info.store_bytes = welcome.store_bytes;
  info.total_memory_bytes = welcome.total_memory_bytes;
  info.num_cpus = welcome.num_cpus;
  info.num_gpus = welcome.num_gpus;
  return info;
}

Status take_arenas(const wire::Welcome& welcome, std::vector<os::Fd>* fds, Session* session) {
  if (welcome.num_arenas > std::size(welcome.arena_bytes) ||
      fds->size() != kDescriptorsBeforeArenas + welcome.num_arenas) {
    return Failure{"the daemon handed over " + std::to_string(fds->size()) + " descriptors where " +
                   std::to_string(kDescriptorsBeforeArenas + welcome.num_arenas) +
                   " were expected; use one version of sundog for all processes of a session"};
  }
  for (uint32_t i = 0; i < welcome.num_arenas; ++i) {
    os::Fd fd = std::move((*fds)[kDescriptorsBeforeArenas + i]);
    auto size = os::memory_size(fd.get());
    if (!size) return Failure{size.error()};
    session->arenas.push_back(std::move(fd));
    session->arena_bytes.push_back(std::min(*size, welcome.arena_bytes[i]));
  }
  return ok_status();
}

}  // namespace

std::string describe_exit(const os::ExitInfo& info) {
  if (info.exited) return "ended with exit code " + std::to_string(info.code);
  return "was killed by signal " + std::to_string(info.code) + " (" + os::signal_name(info.code) +
         ")";
}

Result<Session> greet(os::Fd control, wire::Hello hello, const std::function<void()>& meanwhile) {
  hello.pid = static_cast<uint32_t>(getpid());
  Status sent =
      os::send_packet(control.get(), {reinterpret_cast<const std::byte*>(&hello), sizeof hello});
  if (!sent) return Failure{sent.error()};
  if (meanwhile) meanwhile();
  auto packet = first_packet(control.get());
  if (!packet) return Failure{packet.error()};
  auto welcome = wire::parse_control<wire::Welcome>(packet->data);
  if (!welcome) return Failure{welcome.error()};
  Session session;
  if (Status arenas = take_arenas(*welcome, &packet->fds, &session); !arenas) {
    return Failure{arenas.error()};
  }
  auto channel = shm::Channel::attach(packet->fds[0].get());
  if (!channel) return Failure{channel.error()};
  auto doorbell = shm::Doorbell::attach(packet->fds[1].get());
  if (!doorbell) return Failure{doorbell.error()};
  session.channel = std::move(*channel);
  session.doorbell = std::move(*doorbell);
  session.bell = std::move(packet->fds[2]);
  session.event = std::move(packet->fds[3]);
  session.client = ClientId{welcome->client};
  session.role = static_cast<model::Role>(hello.role);
  session.info = info_of(*welcome);
  session.control = std::move(control);
  return session;
}

Result<Session> start_daemon(const DriverConfig& config) {
  auto pair = os::make_socketpair();
  if (!pair) return Failure{pair.error()};
  os::SpawnRequest request;
  request.path = config.daemon_path;
  request.arguments = config.daemon_arguments;
  request.arguments.insert(request.arguments.end(),
                           {"--control-fd", std::to_string(kControlFdInDaemon)});
  request.fds = {{pair->theirs.get(), kControlFdInDaemon}};
  request.new_session = true;  // Ctrl-C reaches the driver alone
  auto pid = os::spawn(request);
  if (!pid) return Failure{pid.error()};
  pair->theirs.reset();
  Daemon daemon;
  daemon.pid = *pid;
  if (auto pidfd = os::open_pidfd(*pid)) daemon.pidfd = std::move(*pidfd);
  auto session = greet(std::move(pair->ours), driver_hello(config), config.meanwhile);
  if (session) {
    session->daemon = std::move(daemon);
    return session;
  }
  os::ExitInfo exit;
  TimeNs soon = os::now() + kSecond;
  if (os::wait_pidfd_until(daemon.pidfd.get(), soon, &exit) != os::WaitResult::kEnded) {
    os::send_signal_pidfd(daemon.pidfd.get(), 9);
    os::wait_pidfd_until(daemon.pidfd.get(), kNever, &exit);
  }
  return Failure{"cannot start a session: " + config.daemon_path + " " + describe_exit(exit) +
                 " (" + session.error() + ")"};
}

Result<Session> join_daemon(const DriverConfig& config) {
  auto control = os::connect_unix(config.address);
  if (!control) {
    return Failure{control.error() +
                   "; is the session still running? Call init() without an address to start one"};
  }
  return greet(std::move(*control), driver_hello(config));
}

}  // namespace sundog::client
