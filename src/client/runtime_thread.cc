// The one thread of a Runtime: it notices the daemon's end, drains while nobody waits, sends what
// was dropped by an idle program, and delivers output. See runtime_impl.h.
#include <array>

#include "client/runtime_impl.h"
#include "os/clock.h"
#include "os/socket.h"

namespace sundog::client {
namespace {

// How long after the first drop of an idle program the rest is collected.
constexpr DurationNs kDropDelay = 25 * kMillisecond;
// A dead child is reaped for its cause; waiting calls raise within a second in any case.
constexpr DurationNs kReapTimeout = 300 * kMillisecond;

}  // namespace

void RuntimeImpl::poke(void* runtime) {
  auto* self = static_cast<RuntimeImpl*>(runtime);
  self->drops_poked_.store(true);
  os::signal_eventfd(self->session_.event.get());
}

void RuntimeImpl::run_thread() {
  (void)poller_.add(session_.control.get(), kControlTag, /*readable=*/false);
  (void)poller_.add(session_.event.get(), kEventTag);
  TimeNs flush_at = serve_drops();
  std::array<os::Readiness, 8> ready;
  while (!stop_thread_.load()) {
    int timeout_ms = -1;
    if (flush_at != kNever) {
      DurationNs left = std::max<DurationNs>(flush_at - os::now(), 0);
      timeout_ms = static_cast<int>((left + kMillisecond - 1) / kMillisecond);
    }
    size_t count = poller_.wait(ready, timeout_ms);
    for (const os::Readiness& event : std::span(ready).first(count)) {
      if (event.tag == kControlTag) {
        node_hung_up();
      } else if (event.tag == kEventTag) {
        os::drain_eventfd(session_.event.get());
        serve_event();
      } else {
        drop_fork_hold(event.tag);
      }
    }
    if (drops_poked_.exchange(false)) flush_at = os::now() + kDropDelay;
    if (flush_at <= os::now()) flush_at = serve_drops();
  }
}

// Sends what was dropped; when there was nothing, the next drop pokes. When to look again.
TimeNs RuntimeImpl::serve_drops() {
  Operation operation(this);
  if (is_over()) return kNever;
  flush_drops();
  if (!core_.has_drops() && core_.drops()->go_idle()) return kNever;
  return os::now() + kDropDelay;
}

void RuntimeImpl::serve_event() {
  {
    Operation operation(this);
    if (waiters_.empty()) {
      drain();
      rest();
    }
  }
  deliver();
}

void RuntimeImpl::deliver() {
  deliver_cancels();
  while (true) {
    Delivery next;
    std::function<void(const model::Output&)> on_output;
    std::function<void(const model::Notice&)> on_notice;
    {
      Lock lock(mutex_);
      delivering_ = !deliveries_.empty();
      if (!delivering_) {
        delivered_.notify_all();
        return;
      }
      next = std::move(deliveries_.front());
      deliveries_.pop_front();
      on_output = output_handler_;
      on_notice = notice_handler_;
    }
    if (next.is_output && on_output) {
      on_output({next.pid, next.is_stderr, next.task_name, next.text});
    } else if (!next.is_output && on_notice) {
      on_notice({next.severity, next.text});
    }
  }
}

void RuntimeImpl::node_hung_up() {
  hung_up_.store(true);
  poller_.remove(session_.control.get());
  std::string cause = "closed the connection";
  os::Received last = os::receive_packet(session_.control.get(), /*wait=*/false);
  if (last.status == os::ReceiveStatus::kPacket) {
    if (auto goodbye = wire::parse_control<wire::Goodbye>(last.data)) {
      cause += ": " + std::string(goodbye->reason);
    }
  }
  if (session_.daemon.pid != 0) {
    os::ExitInfo exit;
    TimeNs deadline = os::now() + kReapTimeout;
    if (os::wait_pidfd_until(session_.daemon.pidfd.get(), deadline, &exit) ==
        os::WaitResult::kEnded) {
      cause = describe_exit(exit);
      session_.daemon.pid = 0;
    }
  }
  node_died(std::move(cause));
}

}  // namespace sundog::client
