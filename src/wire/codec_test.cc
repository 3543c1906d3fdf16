#include "wire/codec.h"

#include <gtest/gtest.h>

#include "wire/hostile_bytes.h"
#include "wire/message_cases.h"

namespace sundog::wire {
namespace {

using model::ClientMessage;
using model::NodeMessage;

Result<ClientMessage> decode(const ClientMessage&, RecordType type, Bytes payload,
                             DecodeScratch* scratch) {
  return decode_client_message(type, payload, scratch);
}
Result<NodeMessage> decode(const NodeMessage&, RecordType type, Bytes payload,
                           DecodeScratch* scratch) {
  return decode_node_message(type, payload, scratch);
}

// Calls visit(message) for some random messages of every kind, both directions.
template <typename Visit>
void for_messages_of_every_kind(int each, Visit visit) {
  MessageCases cases(20261122);
  for (int round = 0; round < each; ++round) {
    for (size_t kind = 0; kind < std::variant_size_v<ClientMessage>; ++kind)
      visit(cases.client_message(kind), &cases);
    for (size_t kind = 0; kind < std::variant_size_v<NodeMessage>; ++kind)
      visit(cases.node_message(kind), &cases);
    cases.clear();
  }
}

TEST(Codec, every_message_comes_back_as_it_was_sent) {
  std::vector<std::byte> buffer;  // reused: what an earlier record left must not shine through
  DecodeScratch scratch;
  int seen = 0;
  for_messages_of_every_kind(300, [&](const auto& sent, MessageCases*) {
    const RecordType type = encode(sent, &buffer);
    EXPECT_EQ(buffer.size() % 8, 0u);
    Tight payload(buffer);
    auto got = decode(sent, type, payload.view(), &scratch);
    ASSERT_TRUE(got.ok()) << got.error();
    ASSERT_TRUE(same_message(sent, *got)) << "kind " << sent.index();
    ++seen;
  });
  EXPECT_EQ(seen, 300 * 38);
}

TEST(Codec, two_messages_that_differ_are_told_apart) {
  // Guards the tests above: the comparison itself can fail.
  MessageCases cases(7);
  for (size_t kind = 0; kind < std::variant_size_v<ClientMessage>; ++kind) {
    bool differed = false;
    for (int i = 0; i < 50 && !differed; ++i)
      differed = !same_message(cases.client_message(kind), cases.client_message(kind));
    EXPECT_TRUE(differed) << kind;
  }
  for (size_t kind = 0; kind < std::variant_size_v<NodeMessage>; ++kind) {
    bool differed = false;
    for (int i = 0; i < 50 && !differed; ++i)
      differed = !same_message(cases.node_message(kind), cases.node_message(kind));
    EXPECT_TRUE(differed) << kind;
  }
}

TEST(Codec, records_do_not_depend_on_what_the_buffer_held) {
  for_messages_of_every_kind(20, [&](const auto& sent, MessageCases*) {
    std::vector<std::byte> zeros(4096, std::byte{0}), ones(4096, std::byte{0xff});
    EXPECT_EQ(encode(sent, &zeros), encode(sent, &ones));
    ASSERT_TRUE(std::ranges::equal(zeros, ones)) << "kind " << sent.index();
  });
}

TEST(Codec, writing_in_place_gives_the_same_record) {
  for_messages_of_every_kind(20, [&](const auto& sent, MessageCases*) {
    std::vector<std::byte> buffer;
    const RecordType type = encode(sent, &buffer);
    ASSERT_EQ(encoded_size(sent), buffer.size());
    Tight room(buffer);
    std::memset(room.bytes(), 0xee, room.size);
    ASSERT_EQ(encode_at(sent, room.bytes()), type);
    ASSERT_TRUE(std::ranges::equal(room.view(), buffer));
  });
}

TEST(Codec, truncated_records_are_refused_at_every_length) {
  std::vector<std::byte> buffer;
  DecodeScratch scratch;
  for_messages_of_every_kind(20, [&](const auto& sent, MessageCases*) {
    const RecordType type = encode(sent, &buffer);
    for_each_truncation(buffer, [&](Bytes cut) {
      auto got = decode(sent, type, cut, &scratch);
      ASSERT_FALSE(got.ok()) << "kind " << sent.index() << " cut to " << cut.size() << " of "
                             << buffer.size();
      ASSERT_NE(got.error().find("refused"), std::string::npos);
    });
  });
}

TEST(Codec, records_with_bytes_left_over_are_refused) {
  std::vector<std::byte> buffer;
  DecodeScratch scratch;
  for_messages_of_every_kind(5, [&](const auto& sent, MessageCases*) {
    const RecordType type = encode(sent, &buffer);
    buffer.resize(buffer.size() + 8);
    Tight payload(buffer);
    ASSERT_FALSE(decode(sent, type, payload.view(), &scratch).ok()) << "kind " << sent.index();
  });
}

TEST(Codec, flipped_bits_are_refused_or_still_a_well_formed_message) {
  std::vector<std::byte> buffer, again;
  DecodeScratch scratch;
  uint64_t accepted = 0, refused = 0;
  for_messages_of_every_kind(12, [&](const auto& sent, MessageCases* cases) {
    const RecordType type = encode(sent, &buffer);
    for_each_flip(buffer, &cases->random(), buffer.size(), [&](Bytes bent) {
      auto got = decode(sent, type, bent, &scratch);
      if (!got.ok()) {
        ++refused;
        return;
      }
      ++accepted;
      // Reads every byte of every view, and what was accepted survives another journey.
      ASSERT_EQ(encode(*got, &again), type);
      Tight second(again);
      DecodeScratch other;
      auto back = decode(sent, type, second.view(), &other);
      ASSERT_TRUE(back.ok()) << back.error();
      ASSERT_TRUE(same_message(*got, *back));
    });
  });
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

TEST(Codec, a_type_of_the_other_direction_or_of_nobody_is_refused) {
  DecodeScratch scratch;
  auto from_client = decode_client_message(RecordType::kExecute, {}, &scratch);
  ASSERT_FALSE(from_client.ok());
  EXPECT_EQ(from_client.error(), "record of type 64 refused: it is not one of a client's records");
  EXPECT_FALSE(decode_client_message(RecordType::kInvalid, {}, &scratch).ok());
  EXPECT_FALSE(decode_client_message(RecordType{999}, {}, &scratch).ok());
  EXPECT_FALSE(decode_node_message(RecordType::kSubmit, {}, &scratch).ok());
}

TEST(Codec, the_sentence_names_the_record_and_the_part) {
  std::vector<std::byte> buffer;
  const ObjectId ids[3] = {};
  encode(ClientMessage(model::Get{.request = 1, .num_ready = 1, .ids = ids}), &buffer);
  DecodeScratch scratch;
  const uint32_t lie = 0xffffffff;
  std::memcpy(buffer.data() + 8, &lie, 4);  // num_ids
  auto got = decode_client_message(RecordType::kGet, buffer, &scratch);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error(), "Get record of 80 bytes refused: its part 'ids' reaches past the end");
}

TEST(Codec, names_of_actors_and_namespaces_have_a_greatest_length) {
  std::vector<std::byte> buffer;
  DecodeScratch scratch;
  std::string space(model::kNameSpaceBytesMax, 's'), name(model::kActorNameBytesMax, 'n');
  auto accepted = [&](const ClientMessage& message) {
    RecordType type = encode(message, &buffer);
    return decode_client_message(type, buffer, &scratch).ok();
  };
  auto in_all_records = [&] {
    return std::vector<bool>{accepted(model::ClaimName{1, space, name}),
                             accepted(model::FindName{1, space, name}),
                             accepted(model::BindName{space, name, {}, {}})};
  };
  EXPECT_EQ(in_all_records(), std::vector<bool>(3, true));
  name += 'n';
  EXPECT_EQ(in_all_records(), std::vector<bool>(3, false));
  name.pop_back();
  space += 's';
  EXPECT_EQ(in_all_records(), std::vector<bool>(3, false));
}

TEST(Codec, values_of_fixed_size_formats_must_have_that_size) {
  std::vector<std::byte> buffer;
  DecodeScratch scratch;
  model::Put put;
  put.value.format = model::Format::kInt64;
  put.value.bytes = as_bytes("seven.7");
  encode(ClientMessage(put), &buffer);
  auto got = decode_client_message(RecordType::kPut, buffer, &scratch);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().find("wrong size"), std::string::npos) << got.error();
}

TEST(Codec, decoded_bytes_are_views_of_the_payload) {
  std::vector<std::byte> buffer;
  DecodeScratch scratch;
  model::Submit submit;
  const ObjectId ids[2] = {};
  submit.refs = ids;
  submit.arguments = as_bytes("twelve bytes");
  encode(ClientMessage(submit), &buffer);
  auto got = decode_client_message(RecordType::kSubmit, buffer, &scratch);
  ASSERT_TRUE(got.ok());
  const auto& back = std::get<model::Submit>(*got);
  EXPECT_GE(back.arguments.data(), buffer.data());
  EXPECT_LE(back.arguments.data() + back.arguments.size(), buffer.data() + buffer.size());
  EXPECT_EQ(reinterpret_cast<const std::byte*>(back.refs.data()), buffer.data() + 80);
}

}  // namespace
}  // namespace sundog::wire
