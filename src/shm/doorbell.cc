#include "shm/doorbell.h"

namespace sundog::shm {

bool ring_doorbell(DoorbellMap* map, uint32_t client_index) {
  const uint32_t w = client_index / 64;
  const uint64_t bit = 1ull << (client_index % 64);
  const uint64_t summary_bit = 1ull << w;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // Both bits: a predecessor of this index may have been killed between the two.
  if ((map->words[w].load(std::memory_order_relaxed) & bit) != 0 &&
      (map->summary.load(std::memory_order_relaxed) & summary_bit) != 0) {
    return false;
  }
  map->words[w].fetch_or(bit, std::memory_order_seq_cst);
  map->summary.fetch_or(summary_bit, std::memory_order_seq_cst);
  return map->daemon_sleeps.load(std::memory_order_seq_cst) != 0;
}

bool prepare_sleep(DoorbellMap* map) {
  map->daemon_sleeps.store(1, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (map->summary.load(std::memory_order_seq_cst) == 0) return true;
  map->daemon_sleeps.store(0, std::memory_order_relaxed);
  return false;
}

void end_sleep(DoorbellMap* map) { map->daemon_sleeps.store(0, std::memory_order_relaxed); }

}  // namespace sundog::shm
