// Probes: counters on rare branches, so that a random test can show that it reached them.
//
//   if (already_seen) {
//     SUNDOG_PROBE("borrows.old_update_ignored");
//     return;
//   }
//   ... in the test: EXPECT_GT(probe_hits("borrows.old_update_ignored"), 0);
//
// A hit is one relaxed load and store of a static word. Any thread may hit and read; a hit that
// races with another may be lost, so the counts show that a branch was reached, not how often.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace sundog {

class Probe {
 public:
  constexpr explicit Probe(const char* name) : name_(name) {}
  void hit() {
    uint64_t before = hits_.load(std::memory_order_relaxed);
    hits_.store(before + 1, std::memory_order_relaxed);
    if (before == 0) enlist();
  }

 private:
  friend uint64_t probe_hits(std::string_view name);
  friend std::vector<std::pair<std::string_view, uint64_t>> all_probe_hits();
  void enlist();  // into the list of probes that were ever hit; once

  const char* name_;
  std::atomic<uint64_t> hits_{0};
  std::atomic<bool> enlisted_{false};
  Probe* next_ = nullptr;
};

// Hits of all probes of this name since the program started.
uint64_t probe_hits(std::string_view name);
// Names and hits, sorted by name; probes never hit are not known here.
std::vector<std::pair<std::string_view, uint64_t>> all_probe_hits();

}  // namespace sundog

#define SUNDOG_PROBE(name)                        \
  do {                                            \
    static constinit ::sundog::Probe probe{name}; \
    probe.hit();                                  \
  } while (0)
