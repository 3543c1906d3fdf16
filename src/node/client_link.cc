#include "node/client_link.h"

namespace sundog::node {

bool ClientLink::write(const model::NodeMessage& message, std::vector<std::byte>* scratch) {
  raise(shm::urgency_of(message));
  if (overflow_.empty()) {
    if (std::byte* at = writer.try_reserve(wire::encoded_size(message))) {
      writer.commit(static_cast<uint16_t>(wire::encode_at(message, at)));
      return true;
    }
  }
  auto type = static_cast<uint16_t>(wire::encode(message, scratch));
  if (overflow_.empty() && writer.try_write(type, *scratch)) return true;
  if (overflow_bytes_ + scratch->size() > kOverflowBytesMax) return false;
  overflow_bytes_ += scratch->size();
  overflow_.push_back({type, std::vector<std::byte>(scratch->begin(), scratch->end())});
  return true;
}

bool ClientLink::flush() {
  bool moved = false;
  while (!overflow_.empty()) {
    Waiting& w = overflow_.front();
    size_t before = w.done;
    bool whole = writer.write_some(w.type, w.payload, &w.done);
    moved |= whole || w.done > before;
    if (!whole) break;
    overflow_bytes_ -= w.payload.size();
    overflow_.pop_front();
  }
  // Its urgency was told while it had to wait; what lands now may end a sleep.
  if (moved) raise(shm::Urgency::kAnyone);
  return moved;
}

void ClientLink::publish() {
  writer.publish();
  // Nobody but the client itself can make room: a full ring wakes it whatever is inside.
  if (has_overflow() || writer.used() > writer.capacity() / 2) raise(shm::Urgency::kAnyone);
  if (urgency_ != shm::Urgency::kLater) {
    shm::wake_client(channel.header(), eventfd.get(), urgency_);
  }
  urgency_ = shm::Urgency::kLater;
}

}  // namespace sundog::node
