#include "os/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace sundog::os {

FutexResult futex_wait(std::atomic<uint32_t>* word, uint32_t expected, DurationNs timeout,
                       FutexScope scope) {
  static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  int op = FUTEX_WAIT | (scope == FutexScope::kPrivate ? FUTEX_PRIVATE_FLAG : 0);
  timespec limit{};
  timespec* limit_or_none = nullptr;
  if (timeout != kNever) {
    if (timeout <= 0) return FutexResult::kTimedOut;
    limit.tv_sec = timeout / kSecond;
    limit.tv_nsec = timeout % kSecond;
    limit_or_none = &limit;
  }
  if (syscall(SYS_futex, word, op, expected, limit_or_none, nullptr, 0) == 0) {
    return FutexResult::kWoken;
  }
  switch (errno) {
    case EAGAIN:
      return FutexResult::kChanged;
    case ETIMEDOUT:
      return FutexResult::kTimedOut;
    default:
      return FutexResult::kInterrupted;
  }
}

void futex_wake(std::atomic<uint32_t>* word, int count, FutexScope scope) {
  int op = FUTEX_WAKE | (scope == FutexScope::kPrivate ? FUTEX_PRIVATE_FLAG : 0);
  syscall(SYS_futex, word, op, count, nullptr, nullptr, 0);
}

}  // namespace sundog::os
