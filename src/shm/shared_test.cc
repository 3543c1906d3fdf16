// Channels and doorbells as two sides see them: attach checks, and two threads over one mapping
// (each side through a mapping of its own; clean under TSan).
#include "shm/shared.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <thread>

#include "os/futex.h"
#include "shm/claims.h"
#include "shm/client_bell.h"

namespace sundog::shm {
namespace {

constexpr ChannelSizes kSmall{4096, 4096};

TEST(Channel, both_sides_exchange_records) {
  os::Fd memory;
  Channel node = *Channel::create(kSmall, &memory);
  Channel client = *Channel::attach(memory.get());
  RingWriter out = client.to_node_writer();
  RingReader in = node.to_node_reader();
  ASSERT_TRUE(out.try_write(7, as_bytes("submit")));
  out.publish();
  Record record;
  ASSERT_TRUE(in.next(&record));
  EXPECT_EQ(to_string(record.payload), "submit");
  RingWriter back = node.to_client_writer();
  RingReader inbound = client.to_client_reader();
  ASSERT_TRUE(back.try_write(70, as_bytes("value")));
  back.publish();
  ASSERT_TRUE(inbound.next(&record));
  EXPECT_EQ(record.type, 70);
}

TEST(Channel, attach_refuses_header_words_that_lie) {
  struct Case {
    const char* what;
    void (*spoil)(ChannelHeader*);
  };
  for (Case c : {
           Case{"magic", [](ChannelHeader* h) { h->magic = 1; }},
           Case{"protocol", [](ChannelHeader* h) { h->protocol = 99; }},
           Case{"not a power of two", [](ChannelHeader* h) { h->to_node_bytes = 4097; }},
           Case{"beyond the end", [](ChannelHeader* h) { h->to_client_bytes = 1 << 20; }},
           Case{"wrapping offset", [](ChannelHeader* h) { h->to_client_offset = UINT64_MAX - 63; }},
           Case{"odd offset", [](ChannelHeader* h) { h->to_node_offset += 8; }},
           Case{"in the header", [](ChannelHeader* h) { h->to_node_offset = 64; }},
           Case{"overlap", [](ChannelHeader* h) { h->to_client_offset = h->to_node_offset; }},
       }) {
    os::Fd memory;
    Channel node = *Channel::create(kSmall, &memory);
    c.spoil(node.header());
    EXPECT_FALSE(Channel::attach(memory.get())) << c.what;
  }
}

TEST(Channel, attach_refuses_memory_that_is_too_small) {
  os::Fd memory = *os::create_sealed_memory("test", 512);
  EXPECT_FALSE(Channel::attach(memory.get()));
  EXPECT_FALSE(Doorbell::attach(memory.get()));
}

TEST(Doorbell, asks_for_the_eventfd_only_while_the_daemon_sleeps) {
  os::Fd memory;
  Doorbell bell = *Doorbell::create(&memory);
  EXPECT_FALSE(ring_doorbell(bell.map(), 5)) << "the daemon is awake";
  EXPECT_FALSE(prepare_sleep(bell.map())) << "somebody rang";
  std::vector<uint32_t> rung;
  take_rung(bell.map(), [&](uint32_t index) { rung.push_back(index); });
  EXPECT_EQ(rung, std::vector<uint32_t>{5});
  EXPECT_TRUE(prepare_sleep(bell.map()));
  EXPECT_TRUE(ring_doorbell(bell.map(), 4095));
  EXPECT_FALSE(ring_doorbell(bell.map(), 4095)) << "its bit is set already";
  EXPECT_TRUE(ring_doorbell(bell.map(), 64));
  end_sleep(bell.map());
  rung.clear();
  take_rung(bell.map(), [&](uint32_t index) { rung.push_back(index); });
  EXPECT_EQ(rung, (std::vector<uint32_t>{64, 4095}));
}

TEST(Doorbell, bit_left_by_a_killed_predecessor_swallows_nothing) {
  os::Fd memory;
  Doorbell bell = *Doorbell::create(&memory);
  bell.map()->words[0].store(1u << 9);  // killed between its bit and the summary's
  ring_doorbell(bell.map(), 9);
  std::vector<uint32_t> rung;
  take_rung(bell.map(), [&](uint32_t index) { rung.push_back(index); });
  EXPECT_EQ(rung, std::vector<uint32_t>{9});
}

TEST(Doorbell, a_doze_is_ended_only_by_whoever_insists) {
  os::Fd memory;
  Doorbell bell = *Doorbell::create(&memory);
  ASSERT_TRUE(prepare_doze(bell.map()));
  EXPECT_FALSE(ring_doorbell(bell.map(), 7)) << "a message may wait for others";
  EXPECT_FALSE(insist(bell.map(), 8)) << "it rang for nothing";
  EXPECT_TRUE(insist(bell.map(), 7));
  end_sleep(bell.map());
  EXPECT_FALSE(insist(bell.map(), 7)) << "the daemon is awake";
  EXPECT_FALSE(prepare_doze(bell.map())) << "somebody insisted";
  std::vector<uint32_t> rung;
  take_rung(bell.map(), [&](uint32_t index) { rung.push_back(index); });
  EXPECT_EQ(rung, std::vector<uint32_t>{7});
  EXPECT_TRUE(prepare_doze(bell.map())) << "who insisted was heard";
  EXPECT_FALSE(insist(bell.map(), 7)) << "its bit was taken";
  end_sleep(bell.map());
  EXPECT_TRUE(prepare_sleep(bell.map()));
  EXPECT_TRUE(ring_doorbell(bell.map(), 7)) << "asleep, not dozing";
}

TEST(ClientBell, wakes_whom_the_urgency_names) {
  std::atomic<uint32_t> sleep{static_cast<uint32_t>(Sleep::kAwake)};
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kAnyone), Wake::kNobody);
  sleep = static_cast<uint32_t>(Sleep::kRuntime);
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kLater), Wake::kNobody);
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kWaiter), Wake::kNobody) << "a busy worker";
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kAnyone), Wake::kEventFd);
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kAnyone), Wake::kNobody) << "woken once";
  sleep = static_cast<uint32_t>(Sleep::kTasks);
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kWaiter), Wake::kEventFd) << "an event loop";
  sleep = static_cast<uint32_t>(Sleep::kWaiter);
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kWaiter), Wake::kFutex);
  EXPECT_EQ(sleep, static_cast<uint32_t>(Sleep::kAwake));
}

TEST(ClientBell, garbage_in_the_sleep_word_wakes_nobody) {
  std::atomic<uint32_t> sleep{77};
  EXPECT_EQ(take_sleeper(&sleep, Urgency::kAnyone), Wake::kNobody);
}

// A client thread sends numbers, the daemon thread sends each back; both really sleep whenever the
// protocol allows it. A lost wake-up would hang; both give up after kHangMs and fail.
class TwoThreads : public ::testing::Test {
 protected:
  static constexpr uint64_t kNumbers = 20'000;
  static constexpr uint32_t kIndex = 70;
  static constexpr int kHangMs = 20'000;  // longer than any run: a wake-up was lost

  // Sleeps, dozes, or both in turn.
  void daemon(bool may_sleep, bool may_doze) {
    bool doze = false;
    RingReader in = node.to_node_reader();
    RingWriter out = node.to_client_writer();
    uint64_t echoed = 0;
    while (echoed < kNumbers && !lost) {
      doze = may_doze && (!may_sleep || !doze);
      if (doze ? prepare_doze(node_bell.map()) : prepare_sleep(node_bell.map())) {
        pollfd bell{eventfd.get(), POLLIN, 0};
        if (poll(&bell, 1, kHangMs) == 0) lost = true;
        os::drain_eventfd(eventfd.get());
        end_sleep(node_bell.map());
      }
      take_rung(node_bell.map(), [&](uint32_t index) {
        EXPECT_EQ(index, kIndex);
        Record record;
        while (in.next(&record)) {
          while (!out.try_write(record.type, record.payload)) std::this_thread::yield();
          ++echoed;
        }
        in.release();
        out.publish();
        if (take_sleeper(&node.header()->sleep, Urgency::kAnyone) == Wake::kFutex) {
          os::futex_wake(&node.header()->sleep, 1, os::FutexScope::kShared);
        }
      });
    }
  }

  void send(RingWriter* out, uint64_t number) {
    while (!out->try_write(1, Bytes(reinterpret_cast<std::byte*>(&number), 8))) {
      std::this_thread::yield();
    }
    out->publish();
    if (ring_doorbell(client_bell.map(), kIndex)) os::signal_eventfd(eventfd.get());
  }

  void client(uint64_t in_flight_max) {
    RingWriter out = client_side.to_node_writer();
    RingReader in = client_side.to_client_reader();
    auto* sleep = &client_side.header()->sleep;
    uint64_t sent = 0, received = 0;
    while (received < kNumbers && !lost) {
      while (sent < kNumbers && sent - received < in_flight_max) send(&out, sent++);
      Record record;
      bool any = false;
      while (in.next(&record)) {
        uint64_t number;
        std::memcpy(&number, record.payload.data(), 8);
        ASSERT_EQ(number, received++);
        any = true;
      }
      in.release();
      if (any) continue;
      if (insist(client_bell.map(), kIndex)) os::signal_eventfd(eventfd.get());
      if (!prepare_sleep(sleep, Sleep::kWaiter, in)) continue;
      if (os::futex_wait(sleep, static_cast<uint32_t>(Sleep::kWaiter), kHangMs * kMillisecond,
                         os::FutexScope::kShared) == os::FutexResult::kTimedOut) {
        lost = true;
      }
      sleep->store(static_cast<uint32_t>(Sleep::kAwake));
    }
    EXPECT_EQ(received, kNumbers);
  }

  os::Fd channel_memory, bell_memory;
  Channel node = *Channel::create(kSmall, &channel_memory);
  Channel client_side = *Channel::attach(channel_memory.get());
  Doorbell node_bell = *Doorbell::create(&bell_memory);
  Doorbell client_bell = *Doorbell::attach(bell_memory.get());
  os::Fd eventfd = *os::make_eventfd();
  std::atomic<bool> lost{false};
};

TEST_F(TwoThreads, one_message_at_a_time_loses_no_wake_up) {
  std::thread other([this] { daemon(true, false); });
  client(1);
  other.join();
  EXPECT_FALSE(lost);
}

TEST_F(TwoThreads, many_messages_in_flight_lose_no_wake_up) {
  std::thread other([this] { daemon(true, false); });
  client(64);
  other.join();
  EXPECT_FALSE(lost);
}

TEST_F(TwoThreads, a_daemon_that_dozes_is_woken_by_whoever_waits) {
  std::thread other([this] { daemon(false, true); });
  client(16);
  other.join();
  EXPECT_FALSE(lost);
}

TEST_F(TwoThreads, sleeps_and_dozes_in_turn_lose_no_wake_up) {
  std::thread other([this] { daemon(true, true); });
  client(3);
  other.join();
  EXPECT_FALSE(lost);
}

TEST(Claims, each_generation_goes_to_exactly_one_side) {
  constexpr uint32_t kRounds = 50'000;
  std::atomic<uint32_t> word{0};
  std::atomic<uint32_t> offered{0}, answered{0};
  std::vector<uint8_t> claimed(kRounds + 1), revoked(kRounds + 1);
  std::vector<uint64_t> payload(kRounds + 1);  // written before the offer, read after the claim
  std::thread worker([&] {
    for (uint32_t g = 1; g <= kRounds; ++g) {
      while (offered.load(std::memory_order_acquire) < g) std::this_thread::yield();
      claimed[g] = claim(&word, g);
      if (claimed[g]) {
        EXPECT_EQ(payload[g], g * 3);
      }
      answered.store(g, std::memory_order_release);
    }
  });
  for (uint32_t g = 1; g <= kRounds; ++g) {
    payload[g] = g * 3;
    offer(&word, g);
    offered.store(g, std::memory_order_release);
    revoked[g] = revoke(&word, g);
    while (answered.load(std::memory_order_acquire) < g) std::this_thread::yield();
  }
  worker.join();
  for (uint32_t g = 1; g <= kRounds; ++g) ASSERT_EQ(claimed[g] + revoked[g], 1) << g;
}

TEST(Claims, an_old_generation_is_never_claimed) {
  std::atomic<uint32_t> word{0};
  offer(&word, 1);
  offer(&word, 2);
  EXPECT_FALSE(claim(&word, 1));
  EXPECT_TRUE(claim(&word, 2));
  EXPECT_FALSE(revoke(&word, 2));
}

}  // namespace
}  // namespace sundog::shm
