#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sundog {

std::array<uint64_t, 2> hash128(const void* data, size_t size) {
  XXH128_hash_t h = XXH3_128bits(data, size);
  return {h.low64, h.high64};
}

uint64_t hash64(const void* data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace sundog
