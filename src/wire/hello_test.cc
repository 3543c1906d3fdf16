#include "wire/hello.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"

namespace sundog::wire {
namespace {

template <typename T>
Bytes bytes_of(const T& packet) {
  return {reinterpret_cast<const std::byte*>(&packet), sizeof(packet)};
}

Hello sample_hello() {
  Hello hello;
  hello.role = static_cast<uint8_t>(model::Role::kWorker);
  hello.language = static_cast<uint8_t>(model::Language::kPython);
  hello.pid = 4711;
  hello.job = 3;
  hello.runtime_env = 99;
  hello.spawn_token = 12345678901;
  std::strcpy(hello.entry_point, "hello.py");
  std::strcpy(hello.name_space, "prod");
  return hello;
}
Welcome sample_welcome() {
  Welcome welcome;
  welcome.client = ClientId::make(5, 2).value;
  welcome.arena_bytes[0] = 64ull << 30;
  std::memcpy(welcome.session, "a1b2c3d4", 9);
  std::strcpy(welcome.session_dir, "/home/x/.sundog/sessions/a1b2c3d4");
  std::strcpy(welcome.name_space, "prod");
  return welcome;
}

template <typename T>
void expect_round_trip(const T& packet) {
  auto got = parse_control<T>(bytes_of(packet));
  ASSERT_TRUE(got.ok()) << got.error();
  EXPECT_EQ(std::memcmp(&*got, &packet, sizeof(T)), 0);
  auto type = control_type(bytes_of(packet));
  ASSERT_TRUE(type.ok());
  EXPECT_EQ(static_cast<uint32_t>(*type), packet.type);
  for (size_t length = 0; length < sizeof(T); ++length)
    ASSERT_FALSE(parse_control<T>(bytes_of(packet).first(length)).ok()) << length;
}

TEST(Control, packets_come_back_and_are_refused_at_every_other_length) {
  expect_round_trip(sample_hello());
  expect_round_trip(sample_welcome());
  Goodbye goodbye;
  std::strcpy(goodbye.reason, "the session is shutting down");
  expect_round_trip(goodbye);
  WantWritable want;
  want.arena = 1;
  expect_round_trip(want);
  Descriptor descriptor;
  descriptor.arena = 1;
  expect_round_trip(descriptor);
}

TEST(Control, another_protocol_version_is_named) {
  Hello hello = sample_hello();
  hello.protocol = 7;
  auto got = parse_control<Hello>(bytes_of(hello));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error(),
            "Hello packet refused: the peer speaks protocol 7, this process 1; use the same "
            "version of sundog on both sides");
}

TEST(Control, text_without_end_is_refused) {
  Hello hello = sample_hello();
  std::memset(hello.entry_point, 'x', sizeof(hello.entry_point));
  EXPECT_FALSE(parse_control<Hello>(bytes_of(hello)).ok());
  hello = sample_hello();
  std::memset(hello.name_space, 'x', sizeof(hello.name_space));
  EXPECT_FALSE(parse_control<Hello>(bytes_of(hello)).ok());
  Welcome welcome = sample_welcome();
  std::memset(welcome.session, 'x', sizeof(welcome.session));
  EXPECT_FALSE(parse_control<Welcome>(bytes_of(welcome)).ok());
  welcome = sample_welcome();
  std::memset(welcome.session_dir, 'x', sizeof(welcome.session_dir));
  EXPECT_FALSE(parse_control<Welcome>(bytes_of(welcome)).ok());
  Goodbye goodbye;
  std::memset(goodbye.reason, 'x', sizeof(goodbye.reason));
  EXPECT_FALSE(parse_control<Goodbye>(bytes_of(goodbye)).ok());
}

TEST(Control, unknown_enums_and_counts_are_refused) {
  Hello hello = sample_hello();
  hello.role = 9;
  EXPECT_FALSE(parse_control<Hello>(bytes_of(hello)).ok());
  hello = sample_hello();
  hello.language = 0;
  EXPECT_FALSE(parse_control<Hello>(bytes_of(hello)).ok());
  Welcome welcome = sample_welcome();
  welcome.num_arenas = 5;
  EXPECT_FALSE(parse_control<Welcome>(bytes_of(welcome)).ok());
}

TEST(Control, a_packet_of_another_kind_is_refused_with_both_types) {
  Goodbye goodbye;
  auto got = parse_control<Welcome>(bytes_of(goodbye));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error(), "Welcome packet refused: it is of type 3");
  goodbye.magic = 0;
  EXPECT_FALSE(control_type(bytes_of(goodbye)).ok());
  goodbye.magic = kHelloMagic;
  goodbye.type = 6;
  EXPECT_FALSE(control_type(bytes_of(goodbye)).ok());
}

}  // namespace
}  // namespace sundog::wire
