// ClientLink: one attached process as the daemon sees it: its channel, what did not fit into its
// ring, its descriptors. Belongs to the deciding thread; decides nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "model/messages.h"
#include "node/output_log.h"
#include "obs/chrome_trace.h"
#include "os/fd.h"
#include "shm/client_bell.h"
#include "shm/shared.h"
#include "wire/codec.h"
#include "wire/codec_calls.h"

namespace sundog::node {

// Bytes for one client that found no room in its ring; a client beyond it is disconnected.
constexpr size_t kOverflowBytesMax = 256ull << 20;
// Output and timelines wait, instead of filling the overflow, while it holds more than this.
constexpr size_t kPatientBytesMax = 512 * 1024;

enum class LinkState : uint8_t {
  kAttached,
  kDying,  // ring drained, cause being found out: nothing is sent any more
};

struct ClientLink {
  ClientId id;
  LinkState state = LinkState::kAttached;
  model::Role role = model::Role::kDriver;
  model::Language language = model::Language::kPython;
  JobId job;
  uint32_t pid = 0;
  os::Fd control;
  os::Fd pidfd;
  os::Fd eventfd;
  std::unique_ptr<loop::FunctionWatcher> control_watcher;
  std::unique_ptr<loop::FunctionWatcher> pidfd_watcher;
  std::shared_ptr<TaskLabel> label;
  std::string killed_because;  // we ended it

  os::Fd channel_memory;  // until the Welcome was sent
  shm::Channel channel;
  shm::RingReader reader;
  shm::RingWriter writer;

  bool listed = false;          // in the list of those to publish to
  bool rung = false;            // in the list of those with more to read
  bool spoke_nonsense = false;  // nothing more is read from it
  bool makes_pages = false;     // those of what it fills: they count as if we had made them

  std::deque<OutputBatch> outputs;  // lines that wait for room
  std::unique_ptr<obs::ChromeTrace> trace;
  uint32_t trace_request = 0;

  // Forked by our zygote: leader of its process group, its output is ours.
  bool is_fork() const { return label != nullptr; }

  // Into the ring, or behind what waits already. False: the limit is reached.
  bool write(const model::NodeMessage& message, std::vector<std::byte>* scratch);
  // The same of a message that each task costs.
  template <typename Message>
  bool write_call(const Message& message, std::vector<std::byte>* scratch) {
    using Codec = wire::Codec<Message>;
    const uint64_t size = Codec::size(message);
    std::byte* at = overflow_.empty() ? writer.try_reserve(size) : nullptr;
    if (at == nullptr) return write(message, scratch);
    wire::Writer payload(at);
    Codec::write(message, &payload);
    writer.commit(static_cast<uint16_t>(Codec::kType));
    raise(shm::urgency_of<Message>());
    return true;
  }
  // Moves what waits into the ring as far as there is room; true if anything moved.
  bool flush();
  // Makes it visible and wakes who has to be woken.
  void publish();

  bool has_overflow() const { return !overflow_.empty(); }
  size_t overflow_bytes() const { return overflow_bytes_; }
  // Whether something that can wait should wait.
  bool is_busy() const {
    return overflow_bytes_ > kPatientBytesMax || writer.used() > writer.capacity() / 2;
  }

 private:
  struct Waiting {
    uint16_t type;
    std::vector<std::byte> payload;
    size_t done = 0;
  };
  void raise(shm::Urgency urgency) {
    if (urgency > urgency_) urgency_ = urgency;
  }

  std::deque<Waiting> overflow_;
  size_t overflow_bytes_ = 0;
  shm::Urgency urgency_ = shm::Urgency::kLater;
};

}  // namespace sundog::node
