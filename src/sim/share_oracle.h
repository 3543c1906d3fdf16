// ShareOracle: whether jobs that want more CPUs than there are get them by their weights. Model
// processes tell it what they want, begin and end; it adds up CPU time by itself.
//
// Owned by SimWorld; single-threaded under virtual time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/time.h"

namespace sundog::sim {

class ShareOracle {
 public:
  // `slack`: CPU time by which two jobs may differ at weight 1.
  explicit ShareOracle(DurationNs slack = 0) : slack_(slack) {}

  // So many tasks of one CPU are submitted now.
  void wants(JobId job, uint32_t weight, uint32_t tasks);
  void began(JobId job) { ++jobs_[job].begun; }
  // Empty, or what is unfair.
  std::string ended(JobId job, DurationNs length);
  bool compared() const { return compared_; }

 private:
  struct Job {
    double weight = 0;  // 0: it has not come
    uint32_t tasks = 0, begun = 0;
    DurationNs used = 0;
    bool wants_more() const { return weight > 0 && begun < tasks; }
  };
  DurationNs slack_;
  std::map<JobId, Job> jobs_;
  // What the two had used when the later one came.
  std::map<std::pair<JobId, JobId>, std::pair<DurationNs, DurationNs>> together_;
  bool compared_ = false;
};

}  // namespace sundog::sim
