// Claim words: who gets a task that was sent to a worker ahead of time, decided by one
// compare-and-swap in shared memory (DESIGN section 5).
//
//   daemon   offer:  FREE|REVOKED|CLAIMED(old) -> OFFERED(generation), before Execute is published
//   worker   claim:  OFFERED(generation) -> CLAIMED(generation), else skip the task
//   daemon   revoke: OFFERED(generation) -> REVOKED(generation), else the worker has it
#pragma once

#include <atomic>
#include <cstdint>

namespace sundog::shm {

enum class ClaimState : uint32_t { kFree = 0, kOffered = 1, kClaimed = 2, kRevoked = 3 };

constexpr uint32_t claim_word(uint32_t generation, ClaimState state) {
  return generation << 2 | static_cast<uint32_t>(state);
}
inline void offer(std::atomic<uint32_t>* word, uint32_t generation) {
  word->store(claim_word(generation, ClaimState::kOffered), std::memory_order_release);
}
inline bool claim(std::atomic<uint32_t>* word, uint32_t generation) {
  uint32_t expected = claim_word(generation, ClaimState::kOffered);
  return word->compare_exchange_strong(expected, claim_word(generation, ClaimState::kClaimed),
                                       std::memory_order_acq_rel);
}
inline bool revoke(std::atomic<uint32_t>* word, uint32_t generation) {
  uint32_t expected = claim_word(generation, ClaimState::kOffered);
  return word->compare_exchange_strong(expected, claim_word(generation, ClaimState::kRevoked),
                                       std::memory_order_acq_rel);
}

}  // namespace sundog::shm
