// LightMutex: a mutex whose lock and unlock, when nobody else wants it, are one instruction each in
// the caller's code. For a lock that is taken in every call of a program; elsewhere os::Mutex.
//
// The word is 0 (free), 1 (held) or 2 (held, and somebody may sleep): the second mutex of
// U. Drepper, "Futexes Are Tricky", 2011. Lockable by std::unique_lock; any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace sundog::os {

class LightMutex {
 public:
  LightMutex() = default;
  LightMutex(const LightMutex&) = delete;
  LightMutex& operator=(const LightMutex&) = delete;

  void lock() {
    uint32_t free = kFree;
    if (!word_.compare_exchange_strong(free, kHeld, std::memory_order_acquire,
                                       std::memory_order_relaxed)) [[unlikely]] {
      wait();
    }
  }
  void unlock() {
    if (word_.exchange(kFree, std::memory_order_release) == kAwaited) [[unlikely]]
      wake();
  }

 private:
  static constexpr uint32_t kFree = 0, kHeld = 1, kAwaited = 2;
  void wait();
  void wake();

  std::atomic<uint32_t> word_{kFree};
};

}  // namespace sundog::os
