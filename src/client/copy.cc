#include "client/copy.h"

#include <algorithm>
#include <cstring>
#include <thread>

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace sundog::client {
namespace {

constexpr size_t kLine = 64;

#ifdef __SSE2__
constexpr size_t kPrefetchAhead = 1024;

void stream(std::byte* to, const std::byte* from, size_t size) {
  const size_t head = -reinterpret_cast<uintptr_t>(to) % kLine;
  if (size < head + kLine) {
    std::memcpy(to, from, size);
    return;
  }
  std::memcpy(to, from, head);
  const size_t end = head + (size - head) / kLine * kLine;
  for (size_t at = head; at < end; at += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(from + at + kPrefetchAhead), _MM_HINT_NTA);
    auto* source = reinterpret_cast<const __m128i*>(from + at);
    auto* target = reinterpret_cast<__m128i*>(to + at);
    const __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
    const __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  std::memcpy(to + end, from + end, size - end);
  _mm_sfence();  // such stores are not ordered before what says that the value is there
}
#else
void stream(std::byte* to, const std::byte* from, size_t size) { std::memcpy(to, from, size); }
#endif

// Bytes [first, last) of all parts, counted through them.
void copy_range(std::span<const Copy> parts, size_t first, size_t last, bool past_caches) {
  size_t begin = 0;
  for (const Copy& part : parts) {
    const size_t end = begin + part.from.size();
    const size_t a = std::max(first, begin), b = std::min(last, end);
    if (a < b && past_caches) {
      stream(part.to + (a - begin), part.from.data() + (a - begin), b - a);
    } else if (a < b) {
      std::memcpy(part.to + (a - begin), part.from.data() + (a - begin), b - a);
    }
    begin = end;
  }
}

}  // namespace

void copy_parts(std::span<const Copy> parts) {
  size_t size = 0;
  for (const Copy& part : parts) size += part.from.size();
  const bool past_caches = size >= kStreamBytes;
  if (size < kTwoThreadsBytes || std::thread::hardware_concurrency() < 2) {
    copy_range(parts, 0, size, past_caches);
    return;
  }
  const size_t half = round_up(size / 2, kLine);
  std::thread other([=] { copy_range(parts, half, size, past_caches); });
  copy_range(parts, 0, half, past_caches);
  other.join();
}

void copy_bytes(std::byte* to, Bytes from) {
  const Copy part{to, from};
  copy_parts({&part, 1});
}

}  // namespace sundog::client
