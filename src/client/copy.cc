#include "client/copy.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "os/clock.h"
#include "os/fresh_pages.h"
#include "os/mutex.h"

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

void copy_plainly(std::byte* to, const std::byte* from, size_t size, bool past_caches) {
  if (past_caches) {
    stream(to, from, size);
  } else {
    std::memcpy(to, from, size);
  }
}

// A stretch of a part that lies within the 2 MB of one large page.
struct Piece {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;  // null: only its pages are wanted
  size_t size = 0;

  uintptr_t window() const { return reinterpret_cast<uintptr_t>(to) / os::kLargePage; }
  std::byte* last() const { return to + size - 1; }
};

// Whether a window that has no pages gets a large one. A large page costs 0.2 ms if its memory was
// in use lately, and 2 to 7 if the host of a virtual machine has yet to provide it: then small
// ones, which come out of what is left of split blocks, are cheaper. Both kinds lie in the kernel's
// lists in runs of some dozen, and only taking one tells which it is. So the dear ones are paid
// from a purse: a little at first, an eighth of what small pages take, half of what large ones
// save: what is spent on them comes back, since the next session finds them warm. The time is CPU
// time of a window, the copy of its bytes included. One for all threads of a copy.
class PageChoice {
 public:
  bool takes_large() {
    os::MutexLock lock(&mutex_);
    return large_ - small_ <= purse_;
  }
  void small_took(DurationNs time) {
    os::MutexLock lock(&mutex_);
    small_ = (small_ + time) / 2;
    purse_ = std::max<DurationNs>(purse_, 0) + time / 8;
  }
  void large_took(DurationNs time) {
    os::MutexLock lock(&mutex_);
    large_ = time;
    purse_ += time < small_ ? (small_ - time) / 2 : small_ - time;
  }

 private:
  static constexpr DurationNs kSmallAtFirst = 1300 * kMicrosecond;

  os::Mutex mutex_;
  DurationNs small_ SUNDOG_GUARDED_BY(mutex_) = kSmallAtFirst;
  DurationNs large_ SUNDOG_GUARDED_BY(mutex_) = 0;
  DurationNs purse_ SUNDOG_GUARDED_BY(mutex_) = 8 * kSmallAtFirst;
};

// Copies windows, and makes their pages where there are none. One for each thread of a copy.
class WindowCopier {
 public:
  WindowCopier(PageChoice* choice, bool past_caches) : choice_(choice), past_caches_(past_caches) {}

  void copy(std::span<const Piece> window) {
    size_t size = 0;
    for (const Piece& piece : window) size += piece.size;
    if (!os::is_page_missing(window.back().last())) {
      for (const Piece& piece : window) copy_from(piece, 0);
    } else if (size < kLargeWorth) {
      for (const Piece& piece : window) fill_small(piece);
    } else {
      fill(window);
    }
  }

 private:
  static constexpr size_t kLargeWorth = os::kLargePage / 2;

  void fill(std::span<const Piece> window) {
    const TimeNs before = os::thread_cpu_now();
    const bool is_tried = choice_->takes_large();
    const bool is_large = is_tried && os::make_large_page(window.back().last());
    for (const Piece& piece : window) {
      if (is_large) {
        copy_from(piece, 0);
      } else {
        fill_small(piece);
      }
    }
    const DurationNs took = os::thread_cpu_now() - before;
    if (is_tried) {
      choice_->large_took(took);
    } else {
      choice_->small_took(took);
    }
  }

  void fill_small(const Piece& piece) {
    const size_t head = -reinterpret_cast<uintptr_t>(piece.to) % os::kSmallPage;
    size_t filled = 0;
    if (piece.from != nullptr && piece.size >= head + os::kSmallPage) {
      if (!filler_) filler_ = os::PageFiller::open();
      const size_t whole = (piece.size - head) / os::kSmallPage * os::kSmallPage;
      if (filler_) filled = filler_->fill(piece.to + head, piece.from + head, whole);
    }
    if (filled == 0) {
      os::make_small_pages(piece.to, piece.size);
      copy_from(piece, 0);
    } else {
      copy_from({piece.to, piece.from, head}, 0);
      copy_from(piece, head + filled);
    }
  }

  // From the byte `done` on.
  void copy_from(const Piece& piece, size_t done) const {
    if (piece.from == nullptr || done == piece.size) return;
    copy_plainly(piece.to + done, piece.from + done, piece.size - done, past_caches_);
  }

  PageChoice* choice_;
  bool past_caches_;
  std::optional<os::PageFiller> filler_;
};

// All parts as windows, for two threads: each takes the next one.
class SharedOut {
 public:
  explicit SharedOut(std::span<const Copy> parts) {
    for (const Copy& part : parts) add(part.to, part.from.data(), part.from.size());
  }
  SharedOut(std::byte* to, size_t size) { add(to, nullptr, size); }

  void run(bool past_caches) {
    if (std::thread::hardware_concurrency() < 2) return work(past_caches);
    std::thread other([this, past_caches] { work(past_caches); });
    work(past_caches);
    other.join();
  }

 private:
  void add(std::byte* to, const std::byte* from, size_t size) {
    while (size > 0) {
      const size_t room = os::kLargePage - reinterpret_cast<uintptr_t>(to) % os::kLargePage;
      const Piece piece{to, from, std::min(size, room)};
      if (pieces_.empty() || pieces_.back().window() != piece.window()) {
        windows_.push_back(pieces_.size());
      }
      pieces_.push_back(piece);
      to += piece.size;
      if (from != nullptr) from += piece.size;
      size -= piece.size;
    }
  }

  void work(bool past_caches) {
    WindowCopier copier(&choice_, past_caches);
    const std::span<const Piece> all = pieces_;
    for (size_t w = next_++; w < windows_.size(); w = next_++) {
      const size_t end = w + 1 < windows_.size() ? windows_[w + 1] : all.size();
      copier.copy(all.subspan(windows_[w], end - windows_[w]));
    }
  }

  std::vector<Piece> pieces_;
  std::vector<size_t> windows_;  // the first piece of each
  std::atomic<size_t> next_ = 0;
  PageChoice choice_;
};

}  // namespace

void copy_parts(std::span<const Copy> parts) {
  size_t size = 0;
  for (const Copy& part : parts) size += part.from.size();
  if (size >= kTwoThreadsBytes) {
    SharedOut(parts).run(size >= kStreamBytes);
    return;
  }
  for (const Copy& part : parts) {
    if (!part.from.empty()) std::memcpy(part.to, part.from.data(), part.from.size());
  }
}

void copy_bytes(std::byte* to, Bytes from) {
  const Copy part{to, from};
  copy_parts({&part, 1});
}

void make_pages(std::byte* to, size_t size) {
  if (size >= kTwoThreadsBytes) SharedOut(to, size).run(false);
}

}  // namespace sundog::client
