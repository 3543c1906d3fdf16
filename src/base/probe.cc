#include "base/probe.h"

#include <map>

namespace sundog {
namespace {

// The heads of an append-only list of static objects; nothing is ever taken out.
std::atomic<Probe*> first_probe{nullptr};

}  // namespace

void Probe::enlist() {
  if (enlisted_.exchange(true)) return;
  next_ = first_probe.load(std::memory_order_relaxed);
  while (!first_probe.compare_exchange_weak(next_, this, std::memory_order_release)) {
  }
}

uint64_t probe_hits(std::string_view name) {
  uint64_t total = 0;
  for (Probe* p = first_probe.load(std::memory_order_acquire); p != nullptr; p = p->next_)
    if (p->name_ == name) total += p->hits_.load(std::memory_order_relaxed);
  return total;
}

std::vector<std::pair<std::string_view, uint64_t>> all_probe_hits() {
  std::map<std::string_view, uint64_t> totals;
  for (Probe* p = first_probe.load(std::memory_order_acquire); p != nullptr; p = p->next_)
    totals[p->name_] += p->hits_.load(std::memory_order_relaxed);
  return {totals.begin(), totals.end()};
}

}  // namespace sundog
