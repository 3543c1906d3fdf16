// The doorbell: one bit for each client and the daemon's sleep flag in one shared memfd, plus one
// eventfd. A turn of the daemon costs per client that rang, not per client that exists.
//
//   client   publish ring; fence; if bit and its summary bit are set: done
//            else set bit; set summary bit; if daemon is asleep: write eventfd
//   daemon   state := asleep; fence; if any summary bit: state := awake, go on;
//            else epoll_wait; state := awake
//            take a word of bits by exchange(0), fence, then drain those rings
//
// While messages stream in, the daemon dozes instead: a bit alone does not wake it, so that
// messages gather. A client that is about to wait for the daemon insists:
//
//   client   if its bit is still set: insisted := 1; fence; if not awake: write eventfd
//   daemon   state := dozing; fence; if insisted: state := awake, go on;
//            else epoll_wait, a millisecond at most; state := awake
//            insisted := 0 before bits are taken
//
// Why no wake-up is lost: docs/design/0002-sleep-protocol.md, and its spin model in
// tests/spin/. Only the daemon resets the sleep flag, so a client killed between its bit and its
// write of the eventfd swallows nobody else's wake-up; its own death is seen on its socket.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/ids.h"

namespace sundog::shm {

constexpr uint32_t kDoorbellWords = (ClientId::kIndexMax + 1) / 64;

enum class DaemonState : uint32_t { kAwake = 0, kAsleep = 1, kDozing = 2 };

struct DoorbellMap {
  alignas(64) std::atomic<uint32_t> daemon_state{0};  // DaemonState, written by the daemon only
  alignas(64) std::atomic<uint32_t> insisted{0};
  alignas(64) std::atomic<uint64_t> summary{0};  // bit w: words[w] may be non-zero
  alignas(64) std::atomic<uint64_t> words[kDoorbellWords];
};
static_assert(kDoorbellWords <= 64);

// Client: after publishing its ring. Returns true if the eventfd must be written.
bool ring_doorbell(DoorbellMap* map, uint32_t client_index);
// Client: before it waits for an answer to what it rang for. Returns true if the eventfd must be
// written.
bool insist(DoorbellMap* map, uint32_t client_index);

// Daemon: announces sleep; false if somebody rang meanwhile (then do not sleep).
bool prepare_sleep(DoorbellMap* map);
// Daemon: announces a doze, which must end by itself; false if somebody insisted meanwhile.
bool prepare_doze(DoorbellMap* map);
void end_sleep(DoorbellMap* map);
// Daemon: calls visit(client_index) for each bit that was set, lowest first, clearing them.
template <typename Visit>
void take_rung(DoorbellMap* map, Visit&& visit) {
  // First: whoever insists after this finds its bit taken, or is heard by the next doze.
  if (map->insisted.load(std::memory_order_relaxed) != 0) {
    map->insisted.store(0, std::memory_order_seq_cst);
  }
  uint64_t summary = map->summary.exchange(0, std::memory_order_seq_cst);
  while (summary != 0) {
    auto w = static_cast<uint32_t>(__builtin_ctzll(summary));
    summary &= summary - 1;
    uint64_t bits = map->words[w].exchange(0, std::memory_order_seq_cst);
    // Whoever saw its bit still set published before this fence: the drain below sees it.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    while (bits != 0) {
      auto b = static_cast<uint32_t>(__builtin_ctzll(bits));
      bits &= bits - 1;
      visit(w * 64 + b);
    }
  }
}

}  // namespace sundog::shm
