// What every fuzz target shares: input aligned to 8 in memory of exactly its size, and requirements
// that count as findings.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "wire/hostile_bytes.h"

namespace sundog::fuzz {

inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "finding: not %s\n", what);
  std::abort();
}

// Where sums of what was read go, so that no read is optimised away.
inline volatile uint64_t read_sum = 0;
inline void touch(Bytes bytes) { read_sum = read_sum + wire::sum_of(bytes); }

}  // namespace sundog::fuzz
