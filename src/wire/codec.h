// Messages <-> fixed-layout records (DESIGN sections 6 and 7).
//
// A record is a type number and a payload; the payload is a fixed header followed by variable
// parts, every part at a multiple of 8 bytes. Decoding trusts nothing: each count and length is
// checked against the payload's size before use, enums are checked, reserved bytes are ignored.
// The caller has copied the payload into private memory, aligned to 8; a decoded message views it
// and the scratch, until the next decode with the same scratch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/messages.h"

namespace sundog::wire {

// Numbers are part of the protocol; never reuse one. Client to node from 1, node to client from 64.
enum class RecordType : uint16_t {
  kInvalid = 0,
  kDefineTemplate = 1,
  kSubmit = 2,
  kPut = 3,
  kAllocate = 4,
  kAbandon = 5,
  kGet = 6,
  kEndGet = 7,
  kAddRefs = 8,
  kDropRefs = 9,
  kUnpin = 10,
  kCredit = 11,
  kResults = 12,
  kDone = 13,
  kCancelTask = 14,
  kQuery = 15,
  kKillActor = 16,
  kClaimName = 17,
  kBindName = 18,
  kFindName = 19,
  kStreamTaken = 20,
  kAwaitStream = 21,
  kDefineEnvironment = 22,
  kCreatePlacementGroup = 23,
  kRemovePlacementGroup = 24,
  kExecute = 64,
  kValue = 65,
  kReady = 66,
  kWaited = 67,
  kGrant = 68,
  kRefused = 69,
  kStop = 70,
  kCancelRunning = 71,
  kOutput = 72,
  kNotice = 73,
  kReply = 74,
  kNameReply = 75,
  kStreamCredit = 76,
  kGroupRemoved = 77,
};

// Vectors that decoded messages point into, reused between records.
struct DecodeScratch {
  std::vector<model::ResultView> results;
  std::vector<model::ArgumentView> arguments;
  std::vector<model::NamedAmount> resources, lifetime, groups;
};

// Makes `out` the payload of `message` and returns its type. Reuse `out`: its memory is kept and
// only growth is zero-filled. The payload is at most kMessageBytesMax: whoever builds messages
// splits long lists (Get, AddRefs, Results, Reply) and puts large arguments before.
RecordType encode(const model::ClientMessage& message, std::vector<std::byte>* out);
RecordType encode(const model::NodeMessage& message, std::vector<std::byte>* out);

// The same without a buffer between: size of the payload, a multiple of 8, then the payload
// written to `at`, which has that much room and is aligned to 8.
size_t encoded_size(const model::ClientMessage& message);
size_t encoded_size(const model::NodeMessage& message);
RecordType encode_at(const model::ClientMessage& message, std::byte* at);
RecordType encode_at(const model::NodeMessage& message, std::byte* at);

// The error is a sentence that names the record and what is wrong with it.
Result<model::ClientMessage> decode_client_message(RecordType type, Bytes payload,
                                                   DecodeScratch* scratch);
// The same into a message that the caller keeps for all of them. False: *why is that sentence, and
// *out holds nothing of use.
bool decode_client_message(RecordType type, Bytes payload, DecodeScratch* scratch,
                           model::ClientMessage* out, std::string* why);
Result<model::NodeMessage> decode_node_message(RecordType type, Bytes payload,
                                               DecodeScratch* scratch);
bool decode_node_message(RecordType type, Bytes payload, DecodeScratch* scratch,
                         model::NodeMessage* out, std::string* why);

}  // namespace sundog::wire
