// Link: this process's ends of the rings and of both bells. Records in, messages out.
//
// Used under the Runtime's lock only. Sending blocks while the outbound ring is full: it then
// drains the inbound one through its Drainer, so that node and client never wait for each other.
#pragma once

#include <vector>

#include "client/session.h"
#include "core/client_core.h"
#include "shm/client_bell.h"
#include "wire/call_records.h"
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
  void send_submit(const model::Submit& message) override;
  // Makes visible what was sent and rings, once for all of it. While messages stream in, the node
  // may let some gather before it looks.
  void publish() {
    if (outbound_.publish()) ring();
  }
  // Before waiting for the node: it is to look now.
  void insist();

  // Gives one message to `take`, or if it is a value of a few bytes, as most are, to `take_value`;
  // valid during the call. False if there is none now. A message that cannot be decoded breaks the
  // link.
  // Before that, `expect` is told whose value follows soon, or what looks like it.
  template <typename Expect, typename TakeValue, typename Take>
  bool receive(Expect&& expect, TakeValue&& take_value, Take&& take) {
    if (broken_) return false;
    constexpr auto kValue = static_cast<uint16_t>(wire::RecordType::kValue);
    constexpr uint32_t kBytes = sizeof(wire::WordValue);
    if (const std::byte* payload = inbound_.peek(kValue, kBytes)) [[likely]] {
      if (const std::byte* coming = inbound_.peek_behind(kValue, kBytes, kExpectedAhead)) {
        expect(wire::WordValue::id_at(coming));
      }
      const auto record = wire::WordValue::read_once(payload);
      model::Value value;
      if (record.to_message(&value)) [[likely]] {
        inbound_.skip(sizeof record);
        take_value(value);
        return true;
      }
    }
    if (!inbound_.next(&record_)) return false;
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
  // Values whose objects are on their way into the cache while one is taken.
  static constexpr uint32_t kExpectedAhead = 4;

  void send_slowly(uint16_t type);
  void ring();

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
