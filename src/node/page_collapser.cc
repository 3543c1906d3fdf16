#include "node/page_collapser.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "model/limits.h"
#include "os/clock.h"
#include "os/memory.h"

namespace sundog::node {

using model::kHugePageBytes;

PageCollapser::PageCollapser(int memory, uint64_t bytes, loop::EventLoop* loop,
                             Runner on_page_thread, Pace pace)
    : memory_(memory),
      loop_(loop),
      on_page_thread_(std::move(on_page_thread)),
      pace_(pace),
      huge_(bytes / kHugePageBytes) {}

void PageCollapser::granted(uint64_t offset, uint64_t size) {
  Value value;
  value.end = offset + size;
  value.position = round_up(offset, kHugePageBytes);
  values_[offset] = value;
}

void PageCollapser::read(uint64_t offset) {
  auto it = values_.find(offset);
  if (it == values_.end()) return;
  if (it->second.due != kNever) read_while_slow(it->second.end - offset);
  if (++it->second.reads != kReadsBeforeCollapse) return;
  Value probe = it->second;
  if (!next_window(&probe)) {  // its pages are huge already
    values_.erase(it);
    return;
  }
  it->second.due = os::now() + pace_.delay;
  arm();
}

void PageCollapser::read_while_slow(uint64_t bytes) {
  bytes_read_ += bytes;
  if (!slow_ || bytes_read_ < pace_.bytes_read_per_slow_window) return;
  slow_ = false;
  rest_until_ = 0;
  if (timer_ != 0) loop_->cancel(std::exchange(timer_, 0));
  arm();
}

void PageCollapser::freed(uint64_t offset, uint64_t size) {
  values_.erase(values_.lower_bound(offset), values_.lower_bound(offset + size));
}

void PageCollapser::set_huge(uint64_t offset, uint64_t size, bool huge) {
  // A page of which only a part went is no huge one any more.
  uint64_t first = huge ? round_up(offset, kHugePageBytes) : offset;
  uint64_t last = huge ? offset + size : round_up(offset + size, kHugePageBytes);
  for (uint64_t i = first / kHugePageBytes; i < std::min(last / kHugePageBytes, huge_.size()); ++i)
    huge_[i] = huge;
}

uint64_t PageCollapser::huge_bytes() const {
  return static_cast<uint64_t>(std::count(huge_.begin(), huge_.end(), true)) * kHugePageBytes;
}

void PageCollapser::arm() {
  if (running_ || timer_ != 0 || values_.empty()) return;
  TimeNs first = kNever;
  for (const auto& [offset, value] : values_) first = std::min(first, value.due);
  if (first == kNever) return;
  timer_ = loop_->at(std::max(first, rest_until_), [this, alive = alive_] {
    if (!*alive) return;
    timer_ = 0;
    step();
  });
}

void PageCollapser::step() {
  TimeNs now = os::now();
  for (auto it = values_.begin(); it != values_.end() && !running_;) {
    if (it->second.due > now) {
      ++it;
      continue;
    }
    if (auto window = next_window(&it->second)) {
      start(*window);
    } else {
      it = values_.erase(it);
    }
  }
  arm();
}

// The next pages of the value that are small ones, and nobody else's.
std::optional<PageCollapser::Window> PageCollapser::next_window(Value* value) const {
  uint64_t last = std::min(value->end / kHugePageBytes, huge_.size());
  uint64_t at = value->position / kHugePageBytes;
  while (at < last && huge_[at]) ++at;
  uint64_t begin = at;
  while (at < last && !huge_[at] && (at - begin) * kHugePageBytes < kCollapseWindowBytes) ++at;
  value->position = at * kHugePageBytes;
  if (at == begin) return std::nullopt;
  return Window{begin * kHugePageBytes, (at - begin) * kHugePageBytes};
}

void PageCollapser::start(const Window& window) {
  running_ = true;
  on_page_thread_([this, window, memory = memory_, slow_per_megabyte = pace_.slow_per_megabyte,
                   alive = alive_, loop = loop_] {
    Outcome outcome = collapse(memory, window, slow_per_megabyte);
    loop->post([this, alive, window, outcome] {
      if (*alive) finished(window, outcome);
    });
  });
}

void PageCollapser::finished(const Window& window, Outcome outcome) {
  running_ = false;
  // Of a value that is gone meanwhile the pages may be gone, too.
  auto value = values_.upper_bound(window.offset);
  bool is_there = value != values_.begin() && window.offset < std::prev(value)->second.end;
  if (outcome.collapsed && is_there) set_huge(window.offset, window.size, true);
  slow_ = outcome.slow && outcome.collapsed;
  bytes_read_ = 0;
  if (outcome.slow || !outcome.collapsed) rest_until_ = os::now() + kRestAfterSlow;
  if (rest_until_ > os::now()) {
    arm();
  } else {
    step();
  }
}

PageCollapser::Outcome PageCollapser::collapse(int memory, const Window& window,
                                               DurationNs slow_per_megabyte) {
  auto mapping = os::Mapping::map(memory, window.offset, window.size, os::Access::kReadWrite,
                                  os::Sharing::kShared);
  if (!mapping) return {};
  TimeNs before = os::thread_cpu_now();
  Outcome outcome;
  outcome.collapsed = mapping->collapse_to_huge_pages();
  DurationNs took = os::thread_cpu_now() - before;
  outcome.slow = took > static_cast<DurationNs>(window.size >> 20) * slow_per_megabyte;
  return outcome;
}

}  // namespace sundog::node
