// Sleeping on a 32-bit word. The word may lie in memory shared between processes; a wait compares
// it once in the kernel and sleeps only while it still has the expected value.
//
// Any thread. Knows no protocol: who sets which value is written where the word is declared.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.h"

namespace sundog::os {

enum class FutexScope { kPrivate, kShared };
enum class FutexResult { kWoken, kChanged, kTimedOut, kInterrupted };

// Sleeps while *word == expected, at most `timeout` nanoseconds (kNever: without limit). kWoken may
// be spurious. kChanged: the word had another value at once.
FutexResult futex_wait(std::atomic<uint32_t>* word, uint32_t expected, DurationNs timeout,
                       FutexScope scope);
// Wakes up to `count` sleepers.
void futex_wake(std::atomic<uint32_t>* word, int count, FutexScope scope);

}  // namespace sundog::os
