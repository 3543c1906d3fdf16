// TaskFamily: the ids of what one attempt of a task submits.
//
// What the ids have in common, hash(job, parent, attempt), is made once; a child's id is a
// permutation of its call index under it (the finalizer of splitmix64: G. Steele et al., "Fast
// splittable pseudorandom number generators", 2014). So two children of one family never share
// an id, and two of different families by chance only, one pair in 2^96. TaskId::make gives the
// same ids.
//
// A value; any thread.
#pragma once

#include "base/ids.h"

namespace sundog {

class TaskFamily {
 public:
  TaskFamily(JobId job, const TaskId& parent, uint32_t parent_attempt);

  TaskId child(uint64_t call_index) const {
    uint64_t mixed = seed_ + call_index * kOdd;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    mixed ^= mixed >> 31;
    const uint32_t middle = salt_ ^ static_cast<uint32_t>(mixed >> 32);
    const uint64_t first = uint64_t{middle} << 32 | job_.value;
    TaskId id;
    std::memcpy(id.bytes.data(), &first, sizeof first);
    std::memcpy(id.bytes.data() + 8, &mixed, sizeof mixed);
    return id;
  }

 private:
  static constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ull;

  JobId job_;
  uint32_t salt_ = 0;
  uint64_t seed_ = 0;
};

}  // namespace sundog
