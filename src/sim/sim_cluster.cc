#include "sim/sim_cluster.h"

#include "base/probe.h"

namespace sundog::sim {

SimConfig SimConfig::of_seed(uint64_t seed) {
  Random random(mix(seed, 99));
  SimConfig c;
  c.seed = seed;
  c.drivers = 1 + static_cast<uint32_t>(random.below(3));
  c.cpus = 2 + static_cast<uint32_t>(random.below(3));
  c.gpus = static_cast<uint32_t>(random.below(3));
  c.store_bytes = (48 + random.below(200)) * model::kPageBytes;
  if (random.one_in(2))
    c.kill_worker_every = static_cast<DurationNs>(1 + random.below(30)) * kMillisecond;
  c.kill_drivers = random.one_in(4);
  if (random.one_in(4)) c.spawn_fails_one_in = 6;
  return c;
}

SimCluster::SimCluster(const SimConfig& config) : world_(config) {
  for (uint32_t i = 0; i < config.nodes; ++i)
    nodes_.push_back(std::make_unique<SimNode>(&world_, i));
}

bool SimCluster::drivers_left() const {
  for (const auto& node : nodes_)
    if (node->has_drivers()) return true;
  return false;
}

void SimCluster::schedule_kills() {
  DurationNs mean = world_.config.kill_worker_every;
  if (mean > 0) {
    world_.queue.after(world_.delay(mean / 10, 2 * mean), [this] {
      nodes_[world_.random.below(nodes_.size())]->kill_random_worker();
      if (drivers_left()) schedule_kills();
    });
  }
}

SimResult SimCluster::run() {
  for (uint32_t d = 0; d < world_.config.drivers; ++d) {
    SimNode* node = nodes_[d % nodes_.size()].get();
    world_.queue.after(world_.delay(0, 5 * kMillisecond),
                       [node, d] { node->start_driver(JobId{d + 1}); });
  }
  schedule_kills();
  if (world_.config.kill_drivers) {
    for (int i = 0; i < 2; ++i) {
      world_.queue.after(world_.delay(kMillisecond, 60 * kMillisecond), [this] {
        nodes_[world_.random.below(nodes_.size())]->kill_random_driver();
      });
    }
  }
  // After the last driver the cores have a while to give everything back; then nothing may stir.
  while (world_.queue.run_one()) {
    if (!world_.oracle.failures().empty()) break;
    if (world_.queue.now() > world_.config.deadline) {
      world_.oracle.fail(drivers_left() ? "no progress: a driver still waits at the deadline"
                                        : "the cores never come to rest");
      if (world_.config.trace)
        for (const auto& node : nodes_) node->trace_state();
      break;
    }
  }
  if (world_.oracle.failures().empty() && drivers_left())
    world_.oracle.fail("no progress: a driver waits and nothing will happen");
  if (world_.oracle.failures().empty())
    for (const auto& node : nodes_) node->check_empty();
  SimResult result;
  result.hash = world_.hash;
  result.steps = world_.steps;
  result.tasks = world_.oracle.num_tasks();
  result.ended = world_.queue.now();
  result.failures = world_.oracle.failures();
  return result;
}

}  // namespace sundog::sim
