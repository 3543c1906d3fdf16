#include "sim/share_oracle.h"

#include <algorithm>
#include <cmath>

namespace sundog::sim {

void ShareOracle::wants(JobId job, uint32_t weight, uint32_t tasks) {
  for (const auto& [id, other] : jobs_)
    if (id != job && other.weight > 0)
      together_[std::minmax(id, job)] = {jobs_[std::min(id, job)].used,
                                         jobs_[std::max(id, job)].used};
  jobs_[job].weight = weight;
  jobs_[job].tasks = tasks;
}

std::string ShareOracle::ended(JobId job, DurationNs length) {
  jobs_[job].used += length;
  for (const auto& [two, before] : together_) {
    const Job &one = jobs_[two.first], &other = jobs_[two.second];
    if (!one.wants_more() || !other.wants_more()) continue;
    compared_ = true;
    const double apart = static_cast<double>(one.used - before.first) / one.weight -
                         static_cast<double>(other.used - before.second) / other.weight;
    if (std::abs(apart) * std::min(one.weight, other.weight) > static_cast<double>(slack_))
      return "jobs " + std::to_string(two.first.value) + " and " +
             std::to_string(two.second.value) + " both want more, and their shares are " +
             std::to_string(apart / 1e6) + " ms apart";
  }
  return {};
}

}  // namespace sundog::sim
