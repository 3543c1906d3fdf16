// The memfds that hold a channel and the doorbell, mapped. The daemon creates, clients attach;
// every header word is read once at attach and checked, and only the private copy is used
// afterwards.
//
// Move only. The pointers stay valid while the object lives, moved or not.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "os/fd.h"
#include "os/memory.h"
#include "shm/channel.h"
#include "shm/doorbell.h"

namespace sundog::shm {

struct ChannelSizes {
  uint64_t to_node_bytes = 1 << 20;  // powers of two, at least kRingBytesMin
  uint64_t to_client_bytes = 1 << 20;
};
constexpr uint64_t kRingBytesMin = 4096;
constexpr uint64_t kRingBytesMax = 1ull << 30;

class Channel {
 public:
  Channel() = default;
  // Daemon. *memory receives the descriptor to hand to the client.
  static Result<Channel> create(const ChannelSizes& sizes, os::Fd* memory);
  // Client.
  static Result<Channel> attach(int memory);

  explicit operator bool() const { return static_cast<bool>(mapping_); }
  ChannelHeader* header() const { return reinterpret_cast<ChannelHeader*>(mapping_.data()); }
  // Each at most once a process: the ends keep private positions.
  RingWriter to_node_writer() const;
  RingReader to_node_reader() const;
  RingWriter to_client_writer() const;
  RingReader to_client_reader() const;

 private:
  struct Layout {
    uint64_t to_node_offset = 0, to_node_bytes = 0, to_client_offset = 0, to_client_bytes = 0;
  };
  Channel(os::Mapping mapping, const Layout& layout)
      : mapping_(std::move(mapping)), layout_(layout) {}
  static Status check(const Layout& layout, uint64_t memory_bytes);

  os::Mapping mapping_;
  Layout layout_;
};

class Doorbell {
 public:
  Doorbell() = default;
  static Result<Doorbell> create(os::Fd* memory);
  static Result<Doorbell> attach(int memory);
  DoorbellMap* map() const { return reinterpret_cast<DoorbellMap*>(mapping_.data()); }

 private:
  explicit Doorbell(os::Mapping mapping) : mapping_(std::move(mapping)) {}
  os::Mapping mapping_;
};

}  // namespace sundog::shm
