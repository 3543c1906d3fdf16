#include "node/job_list.h"

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "model/limits.h"

namespace sundog::node {
namespace {

// As `get_job_id()` has it: the first bytes of the ids of its tasks.
std::string hex_of(JobId id) {
  char text[9];
  std::snprintf(text, sizeof text, "%02x%02x%02x%02x", id.value & 0xff, id.value >> 8 & 0xff,
                id.value >> 16 & 0xff, id.value >> 24 & 0xff);
  return text;
}

}  // namespace

void JobList::ended(JobId id, TimeNs wall_now) {
  auto it = jobs_.find(id);
  if (it != jobs_.end()) it->second.ended = wall_now;
}

void JobList::settled(JobId id) {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  it->second.settled = true;
  auto over =
      std::count_if(jobs_.begin(), jobs_.end(), [](const auto& j) { return j.second.settled; });
  if (static_cast<size_t>(over) <= kOverMax) return;
  jobs_.erase(
      std::find_if(jobs_.begin(), jobs_.end(), [](const auto& j) { return j.second.settled; }));
}

const JobList::Job* JobList::find(JobId id) const {
  auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

std::string JobList::json() const {
  JsonWriter j;
  j.begin_array();
  for (const auto& [id, job] : jobs_) {
    j.begin_object();
    j.field("job", hex_of(id)).field("pid", job.pid).field("entry_point", job.entry_point);
    j.field("namespace",
            job.name_space.empty() ? "job-" + std::to_string(id.value) : job.name_space);
    j.field("weight", static_cast<double>(job.weight) / model::kJobWeightUnit);
    j.field("began_ms", job.began / kMillisecond).field("ended_ms", job.ended / kMillisecond);
    j.field("state", job.ended == 0 ? "RUNNING" : job.settled ? "ENDED" : "DETACHED");
    j.end_object();
  }
  j.end_array();
  return j.take();
}

}  // namespace sundog::node
