// JobList: the programs that this session serves or served, for people who ask.
//
// Owned by NodeShell, on the deciding thread. Of jobs that are over only the last ones are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/time.h"

namespace sundog::node {

class JobList {
 public:
  static constexpr size_t kOverMax = 100;

  struct Job {
    uint32_t pid = 0;
    std::string entry_point, name_space;
    uint32_t weight = 0;          // 1/1000
    TimeNs began = 0, ended = 0;  // wall time; 0: its program is there
    bool settled = false;         // nothing of it is left
  };

  void began(JobId id, Job job) { jobs_[id] = std::move(job); }
  void ended(JobId id, TimeNs wall_now);
  void settled(JobId id);
  // Null if it is forgotten.
  const Job* find(JobId id) const;
  std::string json() const;
  const std::map<JobId, Job>& all() const { return jobs_; }

 private:
  std::map<JobId, Job> jobs_;
};

}  // namespace sundog::node
