// 128-bit and 64-bit XXH3 of bytes (xxHash, https://xxhash.com). Not cryptographic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sundog {

// {low 64 bits, high 64 bits}
std::array<uint64_t, 2> hash128(const void* data, size_t size);
uint64_t hash64(const void* data, size_t size, uint64_t seed = 0);

}  // namespace sundog
