#include "node/arena.h"

#include <algorithm>
#include <thread>

#include "model/limits.h"
#include "os/clock.h"
#include "os/fresh_pages.h"
#include "os/machine.h"
#include "os/memory.h"

namespace sundog::node {
namespace {

// Mapped at a time while pages are collapsed; unmapped right after.
constexpr uint64_t kWindowBytes = 16ull << 20;
// Collapsing costs some 0.1 ms of CPU a megabyte, plain pages 0.3 and as much again when they are
// written; a huge page that must first be found, or fetched from the host, costs 1 to 3.
constexpr DurationNs kSlowHugePage = 1200 * kMicrosecond;
// After a slow one so many get small pages, twice as many after each that is slow again.
constexpr uint32_t kPassedOverMax = 32;
// Below this share of the machine's memory, freed pages are given back.
constexpr int64_t kLowMemoryDivisor = 20;

// Makes huge pages where none are yet, one by one, as long as they are easy to have. Pages that
// lie beside one another differ by a factor of thirty: those that were in use a moment ago are at
// hand, others the host of a virtual machine has yet to provide.
class HugePages {
 public:
  // Appends what became a huge page to `made`.
  template <typename Range>
  void make(int memory, uint64_t offset, uint64_t size, std::vector<Range>* made) {
    uint64_t first = round_up(offset, model::kHugePageBytes);
    uint64_t last = (offset + size) / model::kHugePageBytes * model::kHugePageBytes;
    if (last <= first) return;
    auto window =
        os::Mapping::map(memory, first, last - first, os::Access::kReadWrite, os::Sharing::kShared);
    if (!window) return;
    for (uint64_t at = first; at < last; at += model::kHugePageBytes) {
      const bool passed_over = to_pass_over_ > 0;
      if (passed_over) --to_pass_over_;
      if (!passed_over && make_one(&*window, at - first)) {
        made->push_back({at, model::kHugePageBytes});
      } else {
        // Zeroed here: of pages that are only allocated the kernel leaves that to the first touch.
        os::make_small_pages(window->data() + (at - first), model::kHugePageBytes);
      }
    }
  }

 private:
  bool make_one(os::Mapping* window, uint64_t offset) {
    TimeNs before = os::thread_cpu_now();
    bool made = window->collapse_to_huge_pages(offset, model::kHugePageBytes);
    if (made && os::thread_cpu_now() - before <= kSlowHugePage) {
      pass_over_ = 1;
    } else {
      to_pass_over_ = pass_over_;
      pass_over_ = std::min(2 * pass_over_, kPassedOverMax);
    }
    return made;
  }

  uint32_t pass_over_ = 1, to_pass_over_ = 0;
};

DurationNs copy_time(uint64_t size) {
  return static_cast<DurationNs>(size) * kSecond / kCopiedPerSecond;
}

}  // namespace

Result<std::unique_ptr<Arena>> Arena::create(uint64_t store_bytes, loop::EventLoop* loop) {
  uint64_t bytes = round_up(std::max<uint64_t>(store_bytes, 1), model::kHugePageBytes);
  auto memory = os::create_sealed_memory("sundog-arena", bytes);
  if (!memory) return Failure{memory.error()};
  auto read_only = os::reopen_read_only(memory->get());
  if (!read_only) return Failure{read_only.error()};
  return std::unique_ptr<Arena>(new Arena(bytes, *std::move(memory), *std::move(read_only), loop));
}

Arena::Arena(uint64_t bytes, os::Fd memory, os::Fd read_only, loop::EventLoop* loop)
    : bytes_(bytes),
      memory_(std::move(memory)),
      read_only_(std::move(read_only)),
      loop_(loop),
      chunks_(round_up(bytes, kArenaChunkBytes) / kArenaChunkBytes),
      collapser_(
          memory_.get(), bytes, loop,
          [this](std::function<void()> f) {
            start_thread();
            thread_.loop().post(std::move(f));
          },
          PageCollapser::Pace{}) {}

Arena::~Arena() { stop(); }

void Arena::stop() {
  *alive_ = false;
  if (thread_started_) thread_.stop();
  thread_started_ = false;
}

bool Arena::any(uint64_t first, uint64_t last, Chunk state) const {
  return std::find(chunks_.begin() + static_cast<ptrdiff_t>(first),
                   chunks_.begin() + static_cast<ptrdiff_t>(last),
                   state) != chunks_.begin() + static_cast<ptrdiff_t>(last);
}

std::vector<Arena::Range> Arena::missing(uint64_t first, uint64_t last, bool or_lent) const {
  std::vector<Range> ranges;
  for (uint64_t c = first; c < last; ++c) {
    if (chunks_[c] != kNone && !(or_lent && chunks_[c] == kLent)) continue;
    uint64_t offset = c * kArenaChunkBytes;
    if (!ranges.empty() && ranges.back().offset + ranges.back().size == offset) {
      ranges.back().size += kArenaChunkBytes;
    } else {
      ranges.push_back({offset, kArenaChunkBytes});
    }
  }
  return ranges;
}

void Arena::mark(const Range& range, Chunk state) {
  uint64_t first = range.offset / kArenaChunkBytes;
  uint64_t last = (range.offset + range.size) / kArenaChunkBytes;
  for (uint64_t c = first; c < last; ++c) {
    made_chunks_ += (state == kMade) - (chunks_[c] == kMade);
    chunks_[c] = state;
  }
}

Arena::Room Arena::make_room(uint64_t offset, uint64_t size, Done done, Maker maker) {
  if (size == 0 || offset > bytes_ || size > bytes_ - offset) return Room::kFailed;
  uint64_t first = offset / kArenaChunkBytes;
  uint64_t last = round_up(offset + size, kArenaChunkBytes) / kArenaChunkBytes;
  if (size >= kLargeRangeBytes) {
    look_ahead(last * kArenaChunkBytes, size);
    copying_until_ = std::max(copying_until_, os::now() + copy_time(size));
    collapser_.granted(offset, size);
  }
  const bool waits = any(first, last, kQueued);
  // What is still to become a hole must not swallow what a client makes there.
  const bool lend = maker == Maker::kClient && size >= kLargeRangeBytes && !waits && punching_ == 0;
  std::vector<Range> ranges = missing(first, last, !lend);
  if (lend) {
    for (const Range& r : ranges) mark(r, kLent);
    ranges.clear();
  }
  if (ranges.empty() && !waits) {
    start_ahead_later();
    return Room::kThere;
  }
  uint64_t missing_bytes = 0;
  for (const Range& r : ranges) missing_bytes += r.size;
  // A hole that is still to be punched must not swallow pages made after it: with work in flight
  // everything goes through the one queue.
  if (!waits && in_flight_ == 0 && missing_bytes <= kMadeInlineBytesMax) {
    for (const Range& r : ranges) {
      if (!os::allocate_pages(memory_.get(), r.offset, r.size)) return Room::kFailed;
      mark(r, kMade);
    }
    return Room::kThere;
  }
  for (const Range& r : ranges) queue(r);
  // Asks for what is already there, behind all that is on its way: fails where that failed.
  Range whole{first * kArenaChunkBytes, (last - first) * kArenaChunkBytes};
  thread_.loop().post([this, whole, done = std::move(done)] {
    Status made = os::allocate_pages(memory_.get(), whole.offset, whole.size);
    loop_->post([this, alive = alive_, done, made] {
      if (!*alive) return;
      done(made);
      start_ahead_later();
    });
  });
  return Room::kLater;
}

void Arena::read(const model::Extent& extent) {
  if (extent.size >= kLargeRangeBytes) collapser_.read(extent.offset);
}

void Arena::start_thread() {
  if (thread_started_) return;
  SUNDOG_CHECK(thread_.start().ok());
  thread_started_ = true;
}

void Arena::queue(const Range& range) {
  start_thread();
  mark(range, kQueued);
  ++in_flight_;
  thread_.loop().post([this, range] {
    Made made = make_pages(range);
    loop_->post([this, alive = alive_, range, made = std::move(made)] {
      if (!*alive) return;
      --in_flight_;
      mark(range, made.status ? kMade : kNone);
      for (const Range& r : made.huge) collapser_.set_huge(r.offset, r.size, true);
    });
  });
}

Arena::Made Arena::make_pages(const Range& range) const {
  if (range.size < kTwoThreadsBytes || std::thread::hardware_concurrency() < 2) {
    return make_part(memory_.get(), range);
  }
  uint64_t half = round_up(range.offset + range.size / 2, model::kHugePageBytes) - range.offset;
  Made second;
  std::thread other([&] {
    second = make_part(memory_.get(), {range.offset + half, range.size - half});
  });
  Made first = make_part(memory_.get(), {range.offset, half});
  other.join();
  if (first.status) first.status = second.status;
  first.huge.insert(first.huge.end(), second.huge.begin(), second.huge.end());
  return first;
}

Arena::Made Arena::make_part(int memory, const Range& range) {
  Made made;
  HugePages huge;
  for (uint64_t at = range.offset, end = at + range.size; at < end; at += kWindowBytes) {
    uint64_t size = std::min(end - at, kWindowBytes);
    huge.make(memory, at, size, &made.huge);
    // Makes what is still missing; pages that are there stay as they are.
    made.status = os::allocate_pages(memory, at, size);
    if (!made.status) break;
  }
  return made;
}

void Arena::look_ahead(uint64_t end, uint64_t size) {
  // As much again as was just asked for, but never so much that others miss it.
  uint64_t spare = static_cast<uint64_t>(std::max<int64_t>(os::available_memory(), 0)) / 4;
  uint64_t ahead = std::min({size, bytes_ / 4, spare});
  ahead_end_ = std::max(ahead_end_, std::min(bytes_, end + ahead));
  ahead_position_ = std::max(ahead_position_, end);
}

// Whoever was just given room copies into it now: making pages beside would halve its speed.
void Arena::start_ahead_later() {
  // An armed timer stays: puts that follow one another would put it off for ever.
  if (ahead_running_ || ahead_timer_ != 0 || ahead_position_ >= ahead_end_) return;
  ahead_timer_ =
      loop_->at(std::max(os::now(), copying_until_) + kAheadDelay, [this, alive = alive_] {
        if (!*alive) return;
        ahead_timer_ = 0;
        if (!ahead_running_) step_ahead();
      });
}

void Arena::step_ahead() {
  while (ahead_position_ < ahead_end_) {
    uint64_t first = ahead_position_ / kArenaChunkBytes;
    uint64_t last = std::min(ahead_end_, ahead_position_ + kAheadStepBytes) / kArenaChunkBytes;
    if (last <= first) break;
    ahead_position_ = last * kArenaChunkBytes;
    std::vector<Range> ranges = missing(first, last, false);
    if (ranges.empty()) continue;
    for (const Range& r : ranges) queue(r);
    ahead_running_ = true;
    thread_.loop().post([this] {
      loop_->post([this, alive = alive_] {
        if (!*alive) return;
        ahead_running_ = false;
        step_ahead();
      });
    });
    return;
  }
}

bool Arena::short_of_memory(TimeNs now) {
  if (now - checked_at_ >= kPressureCheckInterval) {
    checked_at_ = now;
    short_of_memory_ = os::available_memory() < os::usable_memory().value / kLowMemoryDivisor;
  }
  return short_of_memory_;
}

void Arena::freed(uint64_t offset, uint64_t size, TimeNs now) {
  collapser_.freed(offset, size);
  uint64_t first = round_up(offset, kArenaChunkBytes) / kArenaChunkBytes;
  uint64_t last = (offset + size) / kArenaChunkBytes;
  if (last <= first || last > chunks_.size() || !short_of_memory(now)) return;
  Range range{first * kArenaChunkBytes, (last - first) * kArenaChunkBytes};
  // An answer on its way would call the hole made.
  if (any(first, last, kQueued) || any(first, last, kNone)) return;
  start_thread();
  mark(range, kNone);
  collapser_.set_huge(range.offset, range.size, false);
  ++in_flight_;
  ++punching_;
  // A later make_room() for this range finds it missing and queues behind the hole.
  thread_.loop().post([this, range] {
    os::punch_hole(memory_.get(), range.offset, range.size).ok();
    loop_->post([this, alive = alive_] {
      if (!*alive) return;
      --in_flight_;
      --punching_;
    });
  });
}

}  // namespace sundog::node
