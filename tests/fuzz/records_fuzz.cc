// Payloads of every record type in both directions: never a read outside, and what is accepted
// says the same after another journey through the codec.
#include "fuzz.h"
#include "wire/codec.h"
#include "wire/message_cases.h"

namespace sundog::fuzz {
namespace {

template <typename Message, typename Decode>
void check(Decode decode, wire::RecordType type, Bytes payload) {
  wire::DecodeScratch scratch, second_scratch;
  Result<Message> got = decode(type, payload, &scratch);
  if (!got.ok()) {
    require(!got.error().empty(), "a sentence");
    return;
  }
  std::vector<std::byte> again;
  require(wire::encode(*got, &again) == type, "of the same type again");
  require(again.size() == payload.size(), "of the same size again");
  const wire::Tight second(again);
  Result<Message> back = decode(type, second.view(), &second_scratch);
  require(back.ok(), "accepted again");
  require(wire::same_message(*got, *back), "the same message again");
}

}  // namespace
}  // namespace sundog::fuzz

// Input: the record type's low byte, then the payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sundog;  // NOLINT
  if (size == 0) return 0;
  const auto type = static_cast<wire::RecordType>(data[0]);
  const wire::Tight payload({reinterpret_cast<const std::byte*>(data + 1), size - 1});
  // As the rings are read: each message where the one before lay.
  static model::ClientMessage from_client;
  static model::NodeMessage from_node;
  fuzz::check<model::ClientMessage>(
      [](wire::RecordType its_type, Bytes bytes,
         wire::DecodeScratch* scratch) -> Result<model::ClientMessage> {
        std::string why;
        if (wire::decode_client_message(its_type, bytes, scratch, &from_client, &why)) {
          return from_client;
        }
        return Failure{why};
      },
      type, payload.view());
  fuzz::check<model::NodeMessage>(
      [](wire::RecordType its_type, Bytes bytes,
         wire::DecodeScratch* scratch) -> Result<model::NodeMessage> {
        std::string why;
        if (wire::decode_node_message(its_type, bytes, scratch, &from_node, &why)) return from_node;
        return Failure{why};
      },
      type, payload.view());
  return 0;
}
