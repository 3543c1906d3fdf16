#include "os/light_mutex.h"

#include "os/futex.h"

namespace sundog::os {

void LightMutex::wait() {
  // Whoever takes it from here says kAwaited: others may sleep behind it.
  while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) {
    futex_wait(&word_, kAwaited, kNever, FutexScope::kPrivate);
  }
}

void LightMutex::wake() { futex_wake(&word_, 1, FutexScope::kPrivate); }

}  // namespace sundog::os
