// A ring whose other side lies: the reader and the writer of src/shm over memory that changes
// between any two calls. Never a read or write outside of the ring; once broken, always broken;
// what the reader hands out goes through the codec like the daemon's and the client's records.
#include <memory>
#include <new>

#include "fuzz.h"
#include "shm/channel.h"
#include "wire/codec.h"

namespace sundog::fuzz {
namespace {

constexpr uint64_t kCapacity = 512;

// Takes numbers from the input; zeros when it is used up.
class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool done() const { return left_ == 0; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= uint64_t{byte()} << (8 * i);
    return value;
  }
  Bytes bytes(size_t size) {
    size = std::min(size, left_);
    Bytes part{reinterpret_cast<const std::byte*>(data_), size};
    data_ += size;
    left_ -= size;
    return part;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

struct Ring {
  shm::RingHeader header;
  // Memory of its own: a sanitizer sees one byte before and after.
  std::unique_ptr<uint64_t[]> memory{new uint64_t[kCapacity / 8]()};
  std::byte* data() { return reinterpret_cast<std::byte*>(memory.get()); }
};

void decode_both(const shm::Record& record) {
  wire::DecodeScratch scratch;
  const auto type = static_cast<wire::RecordType>(record.type);
  require(reinterpret_cast<uintptr_t>(record.payload.data()) % 8 == 0, "aligned to 8");
  touch(record.payload);
  auto from_client = wire::decode_client_message(type, record.payload, &scratch);
  auto from_node = wire::decode_node_message(type, record.payload, &scratch);
  require(!from_client.ok() || !from_node.ok(), "a record of one direction");
}

// The other side writes: a position, a record's header, or any bytes.
void lie(Script* script, Ring* ring) {
  switch (script->byte() % 5) {
    case 0:
      ring->header.tail.store(script->number());
      break;
    case 1:
      ring->header.head.store(script->number());
      break;
    case 2:  // a step that could be true
      ring->header.tail.store(ring->header.tail.load() + script->byte() * 8);
      break;
    case 3:
      ring->header.head.store(ring->header.head.load() + script->byte() * 8);
      break;
    default: {
      const uint64_t at = script->byte() * uint64_t{8} % kCapacity;
      const Bytes part = script->bytes(std::min<uint64_t>(script->byte(), kCapacity - at));
      if (!part.empty()) std::memcpy(ring->data() + at, part.data(), part.size());
    }
  }
}

void play(Script* script) {
  Ring ring;
  shm::RingReader reader(&ring.header, ring.data(), kCapacity);
  shm::RingWriter writer(&ring.header, ring.data(), kCapacity);
  const bool reads = script->byte() % 2 == 0;
  while (!script->done()) {
    lie(script, &ring);
    if (reads) {
      const bool was_broken = reader.broken();
      shm::Record record;
      for (int i = 0; i < 8 && reader.next(&record); ++i) {
        require(!was_broken, "read from after it broke");
        decode_both(record);
      }
      if (script->byte() % 2 == 0) reader.release();
      read_sum = read_sum + reader.has_more();
    } else {
      const bool was_broken = writer.broken();
      const Bytes payload = script->bytes(script->byte());
      const bool written = writer.try_write(1, payload);
      require(!written || !was_broken, "written to after it broke");
      if (!written) {
        size_t done = 0;
        writer.write_some(2, payload, &done);
        require(done <= payload.size(), "more written than there is");
      }
      if (script->byte() % 2 == 0) writer.publish();
      require(writer.used() <= kCapacity, "more in use than there is");
    }
  }
}

}  // namespace
}  // namespace sundog::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sundog::fuzz::Script script(data, size);
  sundog::fuzz::play(&script);
  return 0;
}
