// A client as small as can be: one thread, no table.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "net/control.h"
#include "os/futex.h"
#include "os/process.h"
#include "os/socket.h"
#include "shm/channel.h"
#include "shm/claims.h"
#include "shm/client_bell.h"
#include "shm/doorbell.h"
#include "shm/shared.h"
#include "wire/codec.h"
#include "wire/hello.h"

namespace sundog::node {

inline constexpr DurationNs kPatience = 20 * kSecond;  // a stuck test fails after this long

class TestClient {
 public:
  explicit TestClient(os::Fd control) : control_(std::move(control)) {}

  wire::Hello hello(model::Role role) {
    wire::Hello hello;
    hello.role = static_cast<uint8_t>(role);
    hello.language = static_cast<uint8_t>(model::Language::kCpp);
    hello.pid = static_cast<uint32_t>(os::own_pid());
    return hello;
  }
  // The answer's descriptors are kept; false: it was a Goodbye.
  bool attach(const wire::Hello& hello) {
    EXPECT_TRUE(net::send_control(control_.get(), hello).ok());
    os::Received answer = os::receive_packet(control_.get());
    if (auto goodbye = wire::parse_control<wire::Goodbye>(answer.data)) {
      goodbye_ = goodbye->reason;
      return false;
    }
    welcome_ = *wire::parse_control<wire::Welcome>(answer.data);
    EXPECT_EQ(answer.fds.size(), 5u);
    channel_ = *shm::Channel::attach(answer.fds[0].get());
    doorbell_ = *shm::Doorbell::attach(answer.fds[1].get());
    bell_ = std::move(answer.fds[2]);
    eventfd_ = std::move(answer.fds[3]);
    arena_ = std::move(answer.fds[4]);
    writer_ = channel_.to_node_writer();
    reader_ = channel_.to_client_reader();
    return true;
  }
  void say_raw(uint16_t type, Bytes payload) {
    size_t done = 0;
    while (!writer_.write_some(type, payload, &done)) publish();
    publish();
  }
  void say(const model::ClientMessage& message) {
    std::vector<std::byte> payload;
    auto type = static_cast<uint16_t>(wire::encode(message, &payload));
    say_raw(type, payload);
  }
  // The next message; sleeps as a waiting thread does.
  model::NodeMessage hear() {
    shm::Record record;
    while (!reader_.next(&record)) {
      reader_.release();
      std::atomic<uint32_t>* sleep = &channel_.header()->sleep;
      if (!shm::prepare_sleep(sleep, shm::Sleep::kWaiter, reader_)) continue;
      EXPECT_NE(os::futex_wait(sleep, static_cast<uint32_t>(shm::Sleep::kWaiter), kPatience,
                               os::FutexScope::kShared),
                os::FutexResult::kTimedOut);
    }
    reader_.release();
    auto message = wire::decode_node_message(static_cast<wire::RecordType>(record.type),
                                             record.payload, &scratch_);
    EXPECT_TRUE(message.ok());
    return *std::move(message);
  }
  template <typename T>
  T expect() {
    for (;;) {
      model::NodeMessage message = hear();
      if (auto* m = std::get_if<T>(&message)) return *m;
    }
  }
  std::string wait_for_goodbye() {
    os::Received answer = os::receive_packet(control_.get());
    auto goodbye = wire::parse_control<wire::Goodbye>(answer.data);
    return goodbye ? goodbye->reason : "no Goodbye came";
  }
  void hang_up() { control_.reset(); }

  const wire::Welcome& welcome() const { return welcome_; }
  const std::string& goodbye() const { return goodbye_; }
  shm::ChannelHeader* header() { return channel_.header(); }
  int arena() const { return arena_.get(); }
  int control() const { return control_.get(); }
  TaskId task(uint64_t number) const {
    JobId job{welcome_.job};
    return TaskId::make(job, TaskId::root_of(job), 0, number);
  }

 private:
  void publish() {
    writer_.publish();
    uint32_t index = ClientId{welcome_.client}.index();
    bool asleep = shm::ring_doorbell(doorbell_.map(), index);
    // What a test sends it waits for.
    if (shm::insist(doorbell_.map(), index) || asleep) os::signal_eventfd(bell_.get());
  }

  os::Fd control_, bell_, eventfd_, arena_;
  wire::Welcome welcome_;
  std::string goodbye_;
  shm::Channel channel_;
  shm::Doorbell doorbell_;
  shm::RingWriter writer_;
  shm::RingReader reader_;
  wire::DecodeScratch scratch_;
};

}  // namespace sundog::node
