// What all parts of one simulated run share: virtual time, the one source of randomness, the
// oracle, and the running hash of everything that the cores decided.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/random.h"
#include "sim/event_queue.h"
#include "sim/oracle.h"
#include "sim/share_oracle.h"

namespace sundog::sim {

struct SimConfig {
  uint64_t seed = 1;
  uint32_t nodes = 1;
  uint32_t drivers = 2;  // over all nodes
  uint32_t driver_steps = 40;
  uint32_t tasks_max = 150;  // over all; later submissions are not made
  uint32_t cpus = 2;         // a node
  uint32_t gpus = 1;
  uint64_t store_bytes = 256 * 4096;
  DurationNs kill_worker_every = 0;  // mean; 0: never
  bool kill_drivers = false;
  DurationNs kill_node_every = 0;
  uint32_t lose_one_in = 0;  // node-to-node messages; 0: none
  uint32_t double_one_in = 0;
  bool partitions = false;
  uint32_t spawn_fails_one_in = 0;
  uint32_t rival_tasks = 0;  // drivers submit so many short tasks at once, and nothing else
  DurationNs share_slack = 0;
  bool environments = false;  // some tasks have one; one of them cannot be built
  bool groups = false;        // some make placement groups
  DurationNs deadline = 900 * kSecond;
  bool trace = false;

  // A mixture that the seed decides.
  static SimConfig of_seed(uint64_t seed);
  // Several jobs of different weights on one node that want more than it has.
  static SimConfig rivals(uint64_t seed);
};

struct SimWorld {
  explicit SimWorld(const SimConfig& c) : config(c), random(c.seed), shares(c.share_slack) {}

  SimConfig config;
  EventQueue queue;
  Random random;
  Oracle oracle;
  ShareOracle shares;
  uint64_t hash = 0;
  uint64_t steps = 0;

  void note(std::string_view kind, const void* data, size_t size) {
    hash = hash64(kind.data(), kind.size(), hash);
    hash = hash64(data, size, hash ^ static_cast<uint64_t>(queue.now()));
  }
  // A moment in [low, high] from now on.
  DurationNs delay(DurationNs low, DurationNs high) {
    return low + static_cast<DurationNs>(random.below(static_cast<uint64_t>(high - low) + 1));
  }
  void trace(const std::string& line) const;
};

}  // namespace sundog::sim
