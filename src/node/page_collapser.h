// PageCollapser: gives large values that are read again 2 MB pages. Where the kernel had none at
// hand when room was made, a value lies in 4 KB pages, and each process that reads it pays a fault
// for each of them. When it is read the second time its pages are collapsed, a window at a time, on
// the page thread: that costs as much as some ten first reads, and every later one is ten times
// cheaper. Its bytes stay where they are for all who map them. On a host that is slow to give huge
// pages a window follows when the readers have paid as much for the small ones.
//
// Owned by Arena; belongs to the deciding thread, which never waits for it. Never touches bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "loop/loop.h"

namespace sundog::node {

constexpr uint32_t kReadsBeforeCollapse = 2;              // most values of a stream are read once
constexpr DurationNs kCollapseDelay = 50 * kMillisecond;  // who reads it now comes first
constexpr uint64_t kCollapseWindowBytes = 16ull << 20;    // others come between two windows
// Beyond this share of CPU the kernel has to look for huge pages: not worth it for a while, or
// until so much was read of values that wait for theirs: that costs 0.08 ms a megabyte.
constexpr DurationNs kSlowPerMegabyte = 4 * kMillisecond;
constexpr DurationNs kRestAfterSlow = 10 * kSecond;
constexpr uint64_t kBytesReadPerSlowWindow = 768ull << 20;

class PageCollapser {
 public:
  // Runs a function on the page thread, behind what it has to do already.
  using Runner = std::function<void(std::function<void()>)>;
  struct Pace {
    DurationNs delay = kCollapseDelay;
    DurationNs slow_per_megabyte = kSlowPerMegabyte;
    uint64_t bytes_read_per_slow_window = kBytesReadPerSlowWindow;
  };
  PageCollapser(int memory, uint64_t bytes, loop::EventLoop* loop, Runner on_page_thread,
                Pace pace);
  ~PageCollapser() { *alive_ = false; }

  // A value of some MB lies there, all its pages made.
  void granted(uint64_t offset, uint64_t size);
  // The value there was handed to a process.
  void read(uint64_t offset);
  void freed(uint64_t offset, uint64_t size);
  // These pages are huge ones, or not there any more.
  void set_huge(uint64_t offset, uint64_t size, bool huge);
  uint64_t huge_bytes() const;

 private:
  struct Value {
    uint64_t end = 0;
    uint32_t reads = 0;
    TimeNs due = kNever;
    uint64_t position = 0;  // up to here it is done
  };
  struct Window {
    uint64_t offset = 0, size = 0;
  };
  struct Outcome {
    bool collapsed = false;
    bool slow = false;
  };
  void arm();
  void read_while_slow(uint64_t bytes);
  void step();
  std::optional<Window> next_window(Value* value) const;
  void start(const Window& window);
  void finished(const Window& window, Outcome outcome);
  // On the page thread.
  static Outcome collapse(int memory, const Window& window, DurationNs slow_per_megabyte);

  int memory_;
  loop::EventLoop* loop_;
  Runner on_page_thread_;
  Pace pace_;
  std::vector<bool> huge_;            // by 2 MB
  std::map<uint64_t, Value> values_;  // not looked through yet, by offset
  loop::TimerId timer_ = 0;
  bool running_ = false;
  TimeNs rest_until_ = 0;
  bool slow_ = false;        // it rests after a slow window, not after one that failed
  uint64_t bytes_read_ = 0;  // since then, of values that wait for their windows
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sundog::node
