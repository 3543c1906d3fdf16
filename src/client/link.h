// Link: this process's ends of the rings and of both bells. Records in, messages out.
//
// Used under the Runtime's lock only. Sending blocks while the outbound ring is full: it then
// drains the inbound one through its Drainer, so that node and client never wait for each other.
#pragma once

#include <vector>

#include "client/session.h"
#include "core/client_core.h"
#include "shm/client_bell.h"
#include "wire/codec.h"

namespace sundog::client {

class Link final : public core::ClientOutbox {
 public:
  class Drainer {
   public:
    virtual ~Drainer() = default;
    // Takes what has come in. Sends nothing.
    virtual void drain() = 0;
    // Nothing will be read any more: give up waiting for room.
    virtual bool is_over() const = 0;
  };

  // Descriptors of `session` are borrowed; it outlives the link.
  Link(const Session& session, Drainer* drainer);

  // Written, visible to the node at the next publish().
  void send(const model::ClientMessage& message) override;
  // Makes visible what was sent and rings, once for all of it. While messages stream in, the node
  // may let some gather before it looks.
  void publish();
  // Before waiting for the node: it is to look now.
  void insist();

  // Gives one message to `take`, valid during the call; false if there is none now. A message that
  // cannot be decoded breaks the link.
  template <typename Take>
  bool receive(Take&& take) {
    if (broken_ || !inbound_.next(&record_)) return false;
    if (!wire::decode_node_message(static_cast<wire::RecordType>(record_.type), record_.payload,
                                   &scratch_, &message_, &why_broken_)) [[unlikely]] {
      broken_ = true;
      return false;
    }
    take(message_);
    return true;
  }
  // The payload that receive() decoded last, for whoever keeps the message.
  const shm::Record& last_record() const { return record_; }
  void release() { inbound_.release(); }
  bool has_more() const { return inbound_.has_more(); }

  std::atomic<uint32_t>* sleep_word() { return &header_->sleep; }
  bool prepare_sleep(shm::Sleep where) {
    return shm::prepare_sleep(&header_->sleep, where, inbound_);
  }
  void stay_awake() {
    header_->sleep.store(static_cast<uint32_t>(shm::Sleep::kAwake), std::memory_order_seq_cst);
  }
  std::atomic<uint32_t>* claim_word(uint32_t slot) { return header_->claim(slot); }

  bool broken() const { return broken_ || inbound_.broken() || outbound_.broken(); }
  const std::string& why_broken() const { return why_broken_; }

 private:
  void send_slowly(uint16_t type);

  Drainer* const drainer_;
  shm::ChannelHeader* const header_;
  shm::DoorbellMap* const doorbell_;
  const int bell_;
  const uint32_t index_;
  shm::RingWriter outbound_;
  shm::RingReader inbound_;
  int unheard_ = 0;                 // times published since the node was last rung for sure
  std::vector<std::byte> payload_;  // of a message that is sent in pieces
  shm::Record record_;
  model::NodeMessage message_;  // decoded from it
  wire::DecodeScratch scratch_;
  bool broken_ = false;
  std::string why_broken_ = "a position or size in the shared ring is impossible";
};

}  // namespace sundog::client
