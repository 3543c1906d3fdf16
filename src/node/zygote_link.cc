#include "node/zygote_link.h"

#include <signal.h>

#include <charconv>

#include "os/clock.h"
#include "os/files.h"
#include "os/process.h"
#include "os/socket.h"

namespace sundog::node {
namespace {

constexpr int kZygoteSocket = 3;  // in the zygote

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> fields;
  for (;;) {
    size_t end = text.find('\n');
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

uint64_t number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

ZygoteLink::ZygoteLink(loop::EventLoop* loop, Program program, Listener listener, obs::Log* log)
    : loop_(loop),
      program_(std::move(program)),
      listener_(std::move(listener)),
      log_(log),
      end_watcher_([this](const os::Readiness&) { on_process_end(); }) {}

ZygoteLink::~ZygoteLink() { stop(); }

Status ZygoteLink::start() {
  auto pair = os::make_socketpair();
  if (!pair) return Failure{pair.error()};
  auto output = os::open_log_file(program_.log_path);
  if (!output) return Failure{output.error()};
  os::SpawnRequest request;
  request.path = program_.python;
  request.arguments = {"-S", "-E", program_.script, program_.config};
  request.fds = {{pair->theirs.get(), kZygoteSocket}, {output->get(), 1}, {output->get(), 2}};
  request.new_session = true;
  auto pid = os::spawn(request);
  if (!pid) return Failure{pid.error()};
  auto pidfd = os::open_pidfd(*pid);
  if (!pidfd) return Failure{pidfd.error()};
  socket_ = std::move(pair->ours);
  pidfd_ = *std::move(pidfd);
  pid_ = *pid;
  if (Status s = loop_->watch(socket_.get(), this); !s) return s;
  return loop_->watch(pidfd_.get(), &end_watcher_);
}

os::Fd ZygoteLink::kill() {
  stopped_ = true;
  if (!pidfd_) return {};
  loop_->unwatch(socket_.get());
  loop_->unwatch(pidfd_.get());
  os::send_signal_pidfd(pidfd_.get(), SIGKILL);
  socket_.reset();
  return std::move(pidfd_);
}

os::Fd ZygoteLink::dismiss(const std::string& reason) {
  catch_up();
  os::Fd killed = kill();
  fail_orders(reason);
  return killed;
}

void ZygoteLink::stop() {
  os::Fd killed = kill();
  if (!killed) return;
  os::ExitInfo ignored;
  os::wait_pidfd_until(killed.get(), os::now() + kSecond, &ignored);
}

// ---------------------------------------------------------------- to the zygote

void ZygoteLink::fork(ForkOrder order) {
  uint64_t token = order.token;
  if (stopped_ || failures_ >= kZygoteFailuresMax) {
    listener_.failed(token, "Python workers cannot be started: " + last_words());
    return;
  }
  orders_.emplace(token, std::move(order));
  unsent_.push_back(token);
  flush();
}

void ZygoteLink::ended(uint32_t pid) {
  groups_.erase(pid);
  notes_.push_back("ended\n" + std::to_string(pid));
  flush();
}

bool ZygoteLink::send_order(const ForkOrder& order) {
  std::string packet = "fork\n" + std::to_string(order.token) + "\n" +
                       std::to_string(order.job.value) + "\n" + std::to_string(order.runtime_env);
  for (const std::string& variable : order.environment) packet += "\n" + variable;
  int fds[] = {order.control.get(), order.out.get(), order.err.get()};
  return os::send_packet(socket_.get(), as_bytes(packet), fds, /*wait=*/false).ok();
}

void ZygoteLink::flush() {
  if (!socket_) return;
  bool full = false;
  while (!full && !notes_.empty()) {
    full = !os::send_packet(socket_.get(), as_bytes(notes_.front()), {}, /*wait=*/false);
    if (!full) notes_.pop_front();
  }
  while (!full && !unsent_.empty()) {
    full = !send_order(orders_.at(unsent_.front()));
    if (!full) unsent_.pop_front();
  }
  loop_->rewatch(socket_.get(), true, full).ok();
}

// ---------------------------------------------------------------- from the zygote

void ZygoteLink::on_ready(const os::Readiness& readiness) {
  catch_up();
  if (readiness.writable) flush();
}

void ZygoteLink::catch_up() {
  while (socket_) {
    os::Received received = os::receive_packet(socket_.get(), /*wait=*/false);
    if (received.status != os::ReceiveStatus::kPacket) {
      // Its end is the pidfd's to tell; a socket that hung up would wake us again and again.
      if (received.status != os::ReceiveStatus::kNothing) loop_->unwatch(socket_.get());
      return;
    }
    on_packet(split_lines(as_text(received.data)), std::move(received.fds));
  }
}

void ZygoteLink::on_packet(const std::vector<std::string_view>& fields, std::vector<os::Fd> fds) {
  if (fields[0] == "stage" && fields.size() == 2) {
    failures_ = 0;
    listener_.stage_done(static_cast<int>(number(fields[1])));
  } else if (fields[0] == "forked" && fields.size() == 3 && fds.size() == 1) {
    uint64_t token = number(fields[1]);
    auto pid = static_cast<uint32_t>(number(fields[2]));
    orders_.erase(token);
    groups_.insert(pid);
    listener_.forked(token, pid, std::move(fds[0]));
  } else if (fields[0] == "failed" && fields.size() >= 3) {
    uint64_t token = number(fields[1]);
    orders_.erase(token);
    listener_.failed(token, std::string(fields[2]));
  } else {
    log_->warning("the zygote sent a packet that nobody knows", {{"name", fields[0]}});
  }
}

void ZygoteLink::on_process_end() {
  catch_up();
  os::ExitInfo info;
  if (os::wait_pidfd(pidfd_.get(), &info) == os::WaitResult::kRunning) return;
  log_->warning("the zygote ended", {{"pid", pid_},
                                     {"exited", info.exited ? "yes" : "no"},
                                     {"code", info.code},
                                     {"workers", groups_.size()}});
  loop_->unwatch(socket_.get());
  loop_->unwatch(pidfd_.get());
  socket_.reset();
  pidfd_.reset();
  if (!stopped_) restart();
}

void ZygoteLink::restart() {
  if (++failures_ >= kZygoteFailuresMax) {
    give_up("Python workers cannot be started: " + last_words());
    return;
  }
  Status started = start();
  if (!started) {
    failures_ = kZygoteFailuresMax;
    give_up(started.error());
    return;
  }
  notes_.clear();
  if (!groups_.empty()) {
    std::string adopt = "adopt";
    for (uint32_t group : groups_) adopt += "\n" + std::to_string(group);
    notes_.push_back(adopt);
  }
  unsent_.clear();
  for (auto& [token, order] : orders_) unsent_.push_back(token);
  flush();
}

void ZygoteLink::give_up(const std::string& reason) {
  log_->error("no Python workers", {{"reason", reason}});
  fail_orders(reason);
  if (listener_.gave_up) listener_.gave_up(reason);
}

void ZygoteLink::fail_orders(const std::string& reason) {
  std::vector<uint64_t> tokens;
  for (auto& [token, order] : orders_) tokens.push_back(token);
  orders_.clear();
  unsent_.clear();
  for (uint64_t token : tokens) listener_.failed(token, reason);
}

std::string ZygoteLink::last_words() const {
  auto text = os::read_text(program_.log_path);
  if (!text || text->empty()) return "its interpreter ended and wrote nothing";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return text->substr(text->rfind('\n') + 1) + " (see " + program_.log_path + ")";
}

}  // namespace sundog::node
