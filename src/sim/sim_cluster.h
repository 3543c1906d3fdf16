// SimCluster: one simulated run, from its configuration to its verdict.
//
//   SimCluster cluster(SimConfig::of_seed(17));
//   SimResult result = cluster.run();     // equal seeds give equal results, hash included
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/sim_node.h"
#include "sim/sim_world.h"

namespace sundog::sim {

struct SimResult {
  uint64_t hash = 0;  // of all effects of all cores, with their moments
  uint64_t steps = 0;
  uint64_t tasks = 0;
  TimeNs ended = 0;  // virtual
  std::vector<std::string> failures;
};

class SimCluster {
 public:
  explicit SimCluster(const SimConfig& config);
  SimResult run();

 private:
  void schedule_kills();
  void schedule_crashes();
  bool at_rest() const;
  bool drivers_left() const;

  SimWorld world_;
  std::unique_ptr<SimNetwork> network_;  // null with one node
  std::vector<std::unique_ptr<SimNode>> nodes_;
  uint32_t started_ = 0;  // drivers
  uint32_t kills_ = 0;    // of workers
  bool over_ = false;     // the last driver is gone
};

}  // namespace sundog::sim
