#include "client/link.h"

#include <algorithm>

#include "os/futex.h"

namespace sundog::client {
namespace {

// While the ring is full the node is busy with it; these are the steps in which room is looked for.
constexpr DurationNs kRoomStepMin = 20 * kMicrosecond;
constexpr DurationNs kRoomStepMax = kMillisecond;
// A node that lets messages gather is told after so many.
constexpr int kUnheardMax = 128;

void pause_for(DurationNs duration) {
  std::atomic<uint32_t> nobody_wakes{0};
  os::futex_wait(&nobody_wakes, 0, duration, os::FutexScope::kPrivate);
}

}  // namespace

Link::Link(const Session& session, Drainer* drainer)
    : drainer_(drainer),
      header_(session.channel.header()),
      doorbell_(session.doorbell.map()),
      bell_(session.bell.get()),
      index_(session.client.index()),
      outbound_(session.channel.to_node_writer()),
      inbound_(session.channel.to_client_reader()) {}

void Link::send(const model::ClientMessage& message) {
  if (std::byte* at = outbound_.try_reserve(wire::encoded_size(message))) [[likely]] {
    outbound_.commit(static_cast<uint16_t>(wire::encode_at(message, at)));
    return;
  }
  auto type = static_cast<uint16_t>(wire::encode(message, &payload_));
  if (!outbound_.try_write(type, payload_)) send_slowly(type);
}

void Link::send_submit(const model::Submit& message) {
  std::byte* at = outbound_.try_reserve(wire::submit_size(message));
  if (at == nullptr) [[unlikely]]
    return send(message);
  wire::Writer writer(at);
  wire::write_submit(message, &writer);
  outbound_.commit(static_cast<uint16_t>(wire::RecordType::kSubmit));
}

void Link::send_slowly(uint16_t type) {
  size_t done = 0;
  DurationNs step = kRoomStepMin;
  while (!outbound_.write_some(type, payload_, &done)) {
    if (broken() || drainer_->is_over()) return;
    publish();
    insist();
    drainer_->drain();
    pause_for(step);
    step = std::min(2 * step, kRoomStepMax);
  }
}

void Link::ring() {
  if (shm::ring_doorbell(doorbell_, index_)) {
    os::signal_eventfd(bell_);
    unheard_ = 0;
  } else if (++unheard_ >= kUnheardMax) {
    insist();
  }
}

void Link::insist() {
  unheard_ = 0;
  if (shm::insist(doorbell_, index_)) os::signal_eventfd(bell_);
}

}  // namespace sundog::client
