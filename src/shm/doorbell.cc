#include "shm/doorbell.h"

namespace sundog::shm {
namespace {

void announce(DoorbellMap* map, DaemonState state, std::memory_order order) {
  map->daemon_state.store(static_cast<uint32_t>(state), order);
}
DaemonState daemon_state(const DoorbellMap* map) {
  return static_cast<DaemonState>(map->daemon_state.load(std::memory_order_seq_cst));
}

// Both bits: a predecessor of this index may have been killed between the two.
bool is_rung(const DoorbellMap* map, uint32_t word, uint64_t bit) {
  return (map->words[word].load(std::memory_order_relaxed) & bit) != 0 &&
         (map->summary.load(std::memory_order_relaxed) & (1ull << word)) != 0;
}

}  // namespace

bool ring_doorbell(DoorbellMap* map, uint32_t client_index) {
  const uint32_t word = client_index / 64;
  const uint64_t bit = 1ull << (client_index % 64);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (is_rung(map, word, bit)) return false;
  map->words[word].fetch_or(bit, std::memory_order_seq_cst);
  map->summary.fetch_or(1ull << word, std::memory_order_seq_cst);
  return daemon_state(map) == DaemonState::kAsleep;
}

bool insist(DoorbellMap* map, uint32_t client_index) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // Taken: the daemon reads the ring before it sleeps or dozes.
  if (!is_rung(map, client_index / 64, 1ull << (client_index % 64))) return false;
  map->insisted.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return daemon_state(map) != DaemonState::kAwake;
}

bool prepare_sleep(DoorbellMap* map) {
  announce(map, DaemonState::kAsleep, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (map->summary.load(std::memory_order_seq_cst) == 0) return true;
  announce(map, DaemonState::kAwake, std::memory_order_relaxed);
  return false;
}

bool prepare_doze(DoorbellMap* map) {
  announce(map, DaemonState::kDozing, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (map->insisted.load(std::memory_order_seq_cst) == 0) return true;
  announce(map, DaemonState::kAwake, std::memory_order_relaxed);
  return false;
}

void end_sleep(DoorbellMap* map) { announce(map, DaemonState::kAwake, std::memory_order_relaxed); }

}  // namespace sundog::shm
