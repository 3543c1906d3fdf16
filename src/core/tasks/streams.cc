#include "core/tasks/streams.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

uint32_t Streams::open(const TaskId& id, uint32_t task, ClientId consumer,
                       const StreamAmount& window) {
  uint32_t index = streams_.allocate();
  StreamRecord& s = streams_[index];
  s.id = id;
  s.task = task;
  s.consumer = consumer;
  s.window = window;
  window_bytes_ += window.bytes;
  bool inserted = index_.emplace(id, index).second;
  SUNDOG_CHECK(inserted);
  return index;
}

uint64_t Streams::next_window_bytes(uint64_t store_bytes) const {
  const uint64_t largest = store_bytes / model::kStreamStoreShare;
  const uint64_t left = 2 * largest - std::min(2 * largest, window_bytes_);
  return std::max<uint64_t>(1, std::min(largest / (streams_.live() + 1), left / 2));
}

uint32_t Streams::find(const TaskId& id) const {
  auto it = index_.find(id);
  return it == index_.end() ? kNoIndex : it->second;
}

Streams::Arrival Streams::arrive(uint32_t stream, uint32_t item, uint64_t bytes) {
  StreamRecord& s = streams_[stream];
  if (s.closed) return Arrival::kUnwanted;
  if (item < s.produced) {
    SUNDOG_PROBE("streams.item_came_again");
    return Arrival::kKnown;
  }
  if (item > s.produced || s.ended) return Arrival::kWrong;
  ++s.produced;
  s.weights.push_back(bytes + model::kStreamItemOverheadBytes);
  s.untaken_bytes += s.weights.back();
  return Arrival::kNew;
}

void Streams::take(uint32_t stream, uint32_t taken) {
  StreamRecord& s = streams_[stream];
  taken = std::min(taken, s.produced);
  while (s.taken < taken) {
    s.untaken_bytes -= s.weights.front();
    s.weights.pop_front();
    ++s.taken;
  }
}

void Streams::end(uint32_t stream) {
  StreamRecord& s = streams_[stream];
  s.ended = true;
  s.task = kNoIndex;
}

void Streams::forget_if_over(uint32_t stream) {
  const StreamRecord& s = streams_[stream];
  if (!s.ended || !s.closed) return;
  index_.erase(s.id);
  window_bytes_ -= s.window.bytes;
  streams_.release(stream);
}

StreamAmount Streams::untaken(const StreamRecord& s, uint32_t produced) const {
  // An attempt that has not come as far as an earlier one: what it has repeated counts.
  const uint32_t reached = std::min(produced, s.produced);
  if (reached <= s.taken) return {0, 0};
  if (reached == s.produced) return {s.produced - s.taken, s.untaken_bytes};
  StreamAmount sum{reached - s.taken, 0};
  for (uint32_t i = 0; i < sum.items; ++i) sum.bytes += s.weights[i];
  return sum;
}

StreamAmount Streams::credit(uint32_t stream, uint32_t produced) const {
  const StreamRecord& s = streams_[stream];
  const StreamAmount held = untaken(s, produced);
  StreamAmount left = s.window;
  if (left.items != UINT64_MAX) left.items -= std::min(left.items, held.items);
  left.bytes -= std::min(left.bytes, held.bytes);
  return left;
}

bool Streams::may_go_on(uint32_t stream, uint32_t produced) const {
  const StreamRecord& s = streams_[stream];
  if (s.closed) return true;
  const StreamAmount held = untaken(s, produced);
  return held.items <= s.window.items / 2 && held.bytes <= s.window.bytes / 2;
}

std::vector<uint32_t> Streams::of_consumer(ClientId consumer) const {
  std::vector<uint32_t> found;
  for (uint32_t i = 0; i < streams_.end(); ++i)
    if (streams_[i].live && !streams_[i].closed && streams_[i].consumer == consumer)
      found.push_back(i);
  return found;
}

std::string Streams::validate() const {
  uint64_t windows = 0;
  for (uint32_t i = 0; i < streams_.end(); ++i) {
    const StreamRecord& s = streams_[i];
    if (!s.live) continue;
    windows += s.window.bytes;
    std::string who = "stream " + s.id.hex() + ": ";
    if (find(s.id) != i) return who + "not in the index";
    if (s.ended && s.closed) return who + "over, but kept";
    if (s.ended != (s.task == kNoIndex)) return who + "ended and has a task, or neither";
    if (s.taken > s.produced) return who + "more taken than there is";
    if (s.weights.size() != s.produced - s.taken) return who + "miscounts what is untaken";
    uint64_t sum = 0;
    for (uint64_t weight : s.weights) sum += weight;
    if (sum != s.untaken_bytes) return who + "miscounts its bytes";
    if (s.waiting && !s.ended && may_go_on(i, s.attempt_produced))
      return who + "its producer waits for nothing";
  }
  if (windows != window_bytes_) return "the sum of all streams' windows is wrong";
  if (index_.size() != streams_.live()) return "the index of streams has strangers";
  return {};
}

}  // namespace sundog::core
