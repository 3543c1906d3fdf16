// Time as the core sees it: nanoseconds of CLOCK_MONOTONIC, handed in by the shell. Nothing in
// base, model or core reads a clock.
#pragma once

#include <cstdint>

namespace sundog {

using TimeNs = int64_t;      // a moment, nanoseconds of CLOCK_MONOTONIC
using DurationNs = int64_t;  // a length, nanoseconds

constexpr DurationNs kMicrosecond = 1'000;
constexpr DurationNs kMillisecond = 1'000'000;
constexpr DurationNs kSecond = 1'000'000'000;
constexpr TimeNs kNever = INT64_MAX;

}  // namespace sundog
