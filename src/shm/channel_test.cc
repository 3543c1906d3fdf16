#include "shm/channel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"

namespace sundog::shm {
namespace {

struct Ring {
  explicit Ring(uint64_t bytes) : capacity(bytes), data(bytes / 8) {
    writer = RingWriter(&header, raw(), capacity);
    reader = RingReader(&header, raw(), capacity);
  }
  std::byte* raw() { return reinterpret_cast<std::byte*>(data.data()); }
  void poke_header(uint64_t at, uint32_t size, uint16_t type, uint16_t flags) {
    struct {
      uint32_t size;
      uint16_t type, flags;
    } record{size, type, flags};
    std::memcpy(raw() + at, &record, sizeof record);
  }

  uint64_t capacity;
  RingHeader header;
  std::vector<uint64_t> data;
  RingWriter writer;
  RingReader reader;
};

std::string text_of(const Record& record) { return to_string(record.payload); }

TEST(Ring, delivers_records_in_order_with_their_types) {
  Ring ring(4096);
  ASSERT_TRUE(ring.writer.try_write(3, as_bytes("hello")));
  ASSERT_TRUE(ring.writer.try_write(4, as_bytes("")));
  Record record;
  EXPECT_FALSE(ring.reader.next(&record)) << "nothing is visible before publish";
  EXPECT_FALSE(ring.reader.has_more());
  EXPECT_TRUE(ring.writer.publish());
  EXPECT_FALSE(ring.writer.publish()) << "nothing new";
  EXPECT_TRUE(ring.reader.has_more());
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_EQ(record.type, 3);
  EXPECT_EQ(text_of(record), "hello");
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_EQ(record.type, 4);
  EXPECT_TRUE(record.payload.empty());
  EXPECT_FALSE(ring.reader.next(&record));
  EXPECT_FALSE(ring.reader.has_more());
}

TEST(Ring, full_ring_refuses_and_takes_again_after_release) {
  Ring ring(4096);
  std::string kilobyte(1000, 'x');
  int written = 0;
  while (ring.writer.try_write(1, as_bytes(kilobyte))) ++written;
  EXPECT_EQ(written, 4);
  EXPECT_FALSE(ring.writer.broken());
  ring.writer.publish();
  Record record;
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_FALSE(ring.writer.try_write(1, as_bytes(kilobyte))) << "not released yet";
  ring.reader.release();
  EXPECT_TRUE(ring.writer.try_write(1, as_bytes(kilobyte)));
  EXPECT_LE(ring.writer.used(), ring.capacity);
}

TEST(Ring, refused_message_leaves_nothing_behind) {
  Ring ring(4096);
  ASSERT_TRUE(ring.writer.try_write(1, as_bytes("first")));
  std::string too_much(4090, 'x');
  EXPECT_FALSE(ring.writer.try_write(2, as_bytes(too_much)));
  ASSERT_TRUE(ring.writer.try_write(3, as_bytes("second")));
  ring.writer.publish();
  Record record;
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_EQ(text_of(record), "first");
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_EQ(record.type, 3);
  EXPECT_FALSE(ring.reader.next(&record));
}

TEST(Ring, message_larger_than_the_ring_passes_in_fragments) {
  Ring ring(4096);
  std::string large(100'000, ' ');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i % 23);
  size_t done = 0;
  Record record;
  bool whole = false;
  while (!ring.writer.write_some(9, as_bytes(large), &done)) {
    ASSERT_TRUE(ring.writer.publish()) << "no progress";
    ASSERT_FALSE(ring.reader.next(&record));
    ring.reader.release();
  }
  ring.writer.publish();
  whole = ring.reader.next(&record);
  ASSERT_TRUE(whole);
  EXPECT_EQ(record.type, 9);
  EXPECT_EQ(text_of(record), large);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(record.payload.data()) % 8, 0u);
}

// Either way of writing.
bool write_somehow(Random& random, RingWriter* writer, uint16_t type, const std::string& payload) {
  if (random.one_in(2)) return writer->try_write(type, as_bytes(payload));
  std::byte* at = writer->try_reserve(payload.size());
  if (at == nullptr) return false;
  std::memcpy(at, payload.data(), payload.size());
  writer->commit(type);
  return true;
}

TEST(Ring, room_is_reserved_only_where_one_record_holds_it_all) {
  Ring ring(4096);
  EXPECT_EQ(ring.writer.try_reserve(1017), nullptr) << "more than a quarter of the ring";
  for (int i = 0; i < 3; ++i) {
    std::byte* at = ring.writer.try_reserve(1000);
    ASSERT_NE(at, nullptr);
    std::memset(at, 'a' + i, 1000);
    ring.writer.commit(static_cast<uint16_t>(5 + i));
  }
  EXPECT_NE(ring.writer.try_reserve(1000), nullptr) << "given up: nothing was committed";
  ASSERT_NE(ring.writer.try_reserve(1016), nullptr);
  ring.writer.commit(8);
  EXPECT_EQ(ring.writer.try_reserve(100), nullptr) << "it is full";
  EXPECT_FALSE(ring.reader.has_more()) << "nothing is visible before publish";
  ring.writer.publish();
  Record record;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(ring.reader.next(&record));
    EXPECT_EQ(record.type, 5 + i);
    EXPECT_EQ(text_of(record), std::string(1000, static_cast<char>('a' + i)));
  }
  ASSERT_TRUE(ring.reader.next(&record));
  EXPECT_EQ(record.payload.size(), 1016u);
  EXPECT_FALSE(ring.reader.next(&record));
  EXPECT_FALSE(ring.writer.broken() || ring.reader.broken());
}

TEST(Ring, random_traffic_arrives_unchanged) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Ring ring(4096);
    std::vector<std::string> sent;
    size_t received = 0;
    for (int step = 0; step < 2000; ++step) {
      if (random.one_in(2)) {
        std::string payload(random.below(random.one_in(10) ? 3000 : 200), '\0');
        for (char& c : payload) c = static_cast<char>(random.next());
        auto type = static_cast<uint16_t>(1 + payload.size() % 60);
        if (write_somehow(random, &ring.writer, type, payload)) sent.push_back(payload);
        if (random.one_in(3)) ring.writer.publish();
      } else {
        Record record;
        if (ring.reader.next(&record)) {
          ASSERT_LT(received, sent.size());
          ASSERT_EQ(text_of(record), sent[received]);
          ASSERT_EQ(record.type, 1 + sent[received].size() % 60);
          ++received;
        }
        if (random.one_in(2)) ring.reader.release();
      }
      ASSERT_FALSE(ring.writer.broken() || ring.reader.broken());
    }
    EXPECT_GT(received, 100u);
  }
}

TEST(Ring, reader_breaks_on_a_tail_that_lies) {
  for (uint64_t tail : {uint64_t{4096 + 8}, UINT64_MAX, uint64_t{13}}) {
    Ring ring(4096);
    ring.header.tail = tail;
    Record record;
    EXPECT_FALSE(ring.reader.next(&record)) << tail;
    EXPECT_TRUE(ring.reader.broken()) << tail;
  }
}

TEST(Ring, reader_breaks_on_a_tail_that_goes_back) {
  Ring ring(4096);
  ring.writer.try_write(1, as_bytes("0123456789"));
  ring.writer.publish();
  Record record;
  ASSERT_TRUE(ring.reader.next(&record));
  ring.header.tail = 0;
  EXPECT_FALSE(ring.reader.next(&record));
  EXPECT_TRUE(ring.reader.broken());
}

TEST(Ring, reader_breaks_on_record_headers_that_lie) {
  struct Case {
    const char* what;
    uint32_t size;
    uint16_t type, flags;
  };
  for (Case c : {Case{"smaller than its header", 7, 1, 0}, Case{"beyond the tail", 72, 1, 0},
                 Case{"huge", UINT32_MAX, 1, 0}, Case{"type zero", 16, 0, 0},
                 Case{"unknown flag", 16, 1, 4}, Case{"padding not up to the end", 16, 0, 2}}) {
    Ring ring(4096);
    ring.poke_header(0, c.size, c.type, c.flags);
    ring.header.tail = 64;
    Record record;
    EXPECT_FALSE(ring.reader.next(&record)) << c.what;
    EXPECT_TRUE(ring.reader.broken()) << c.what;
  }
}

TEST(Ring, reader_breaks_on_a_record_that_wraps) {
  Ring ring(4096);
  const std::vector<std::byte> payload(1000);
  for (int i = 0; i < 4; ++i) ring.writer.try_write(1, payload);
  ring.writer.publish();
  Record record;
  while (ring.reader.next(&record)) {
  }
  ring.reader.release();
  ring.poke_header(4032, 128, 1, 0);  // 64 bytes are left until the end
  ring.header.tail = 4032 + 128;
  EXPECT_FALSE(ring.reader.next(&record));
  EXPECT_TRUE(ring.reader.broken());
}

TEST(Ring, reader_breaks_on_fragments_of_mixed_types) {
  Ring ring(4096);
  ring.poke_header(0, 16, 5, 1);
  ring.poke_header(16, 16, 6, 0);
  ring.header.tail = 32;
  Record record;
  EXPECT_FALSE(ring.reader.next(&record));
  EXPECT_TRUE(ring.reader.broken());
}

TEST(Ring, reader_breaks_on_a_message_without_end) {
  Ring ring(4096);
  ring.poke_header(0, 1024, 5, 1);
  Record record;
  uint64_t rounds = 0;
  while (!ring.reader.broken() && rounds < 200'000) {
    ring.header.tail = ring.header.tail + 1024;
    ring.poke_header((ring.header.tail - 1024) % 4096, 1024, 5, 1);
    EXPECT_FALSE(ring.reader.next(&record));
    ring.reader.release();
    ++rounds;
  }
  EXPECT_TRUE(ring.reader.broken());
  EXPECT_LE(rounds * 1016, model::kMessageBytesMax + 1024);
}

TEST(Ring, writer_breaks_on_a_head_that_lies) {
  for (uint64_t head : {uint64_t{8000}, UINT64_MAX - 7, uint64_t{12}}) {
    Ring ring(4096);
    std::string kilobyte(1000, 'x');
    while (ring.writer.try_write(1, as_bytes(kilobyte))) {
    }
    ring.writer.publish();
    ring.header.head = head;
    EXPECT_FALSE(ring.writer.try_write(1, as_bytes(kilobyte)));
    EXPECT_TRUE(ring.writer.broken()) << head;
  }
}

// A peer that writes anything anywhere never makes the reader go outside (run under ASan too).
TEST(Ring, random_garbage_never_leads_outside) {
  int broken = 0, records = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Random random(seed);
    Ring ring(4096);
    for (uint64_t& word : ring.data) {
      word = random.one_in(3) ? random.next() : random.below(64) | random.below(3) << 32;
    }
    uint64_t tail = 0;
    for (int step = 0; step < 20; ++step) {
      tail += random.below(64) * 8;
      ring.header.tail = tail;
      Record record;
      while (ring.reader.next(&record)) ++records;
      ring.reader.release();
    }
    broken += ring.reader.broken();
  }
  EXPECT_GT(broken, 1000);
  EXPECT_GT(records, 1000);
}

}  // namespace
}  // namespace sundog::shm
