#include "sim/sim_cluster.h"

#include "base/probe.h"

namespace sundog::sim {

namespace {
constexpr uint32_t kKillsMax = 300;
}

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
  c.groups = Random(mix(seed, 101)).one_in(4);
  if (seed % 2 != 0) return c;
  // A cluster. It has a GPU somewhere, so that what needs one runs elsewhere.
  c.nodes = 3;
  c.drivers = 1 + static_cast<uint32_t>(random.below(4));
  c.driver_steps = 30;
  c.tasks_max = 100;
  c.gpus = 1 + static_cast<uint32_t>(random.below(2));
  if (random.one_in(2)) c.lose_one_in = 5 + static_cast<uint32_t>(random.below(30));
  if (random.one_in(2)) c.double_one_in = 4 + static_cast<uint32_t>(random.below(20));
  if (random.one_in(3)) c.kill_node_every = 2 * kSecond;
  c.partitions = random.one_in(3);
  return c;
}

SimConfig SimConfig::rivals(uint64_t seed) {
  Random random(mix(seed, 77));
  SimConfig c;
  c.seed = seed;
  c.drivers = 2 + static_cast<uint32_t>(random.below(2));
  c.cpus = 1 + static_cast<uint32_t>(random.below(3));
  c.rival_tasks = 250;
  c.store_bytes = 60'000 * model::kPageBytes;  // nobody waits for room
  // A worker's turn, a task, and what counts as even, for each CPU.
  c.share_slack = static_cast<DurationNs>(c.cpus) * 2 * 35 * kMillisecond;
  return c;
}

SimCluster::SimCluster(const SimConfig& config) : world_(config) {
  if (config.nodes > 1) network_ = std::make_unique<SimNetwork>(&world_);
  for (uint32_t i = 0; i < config.nodes; ++i) {
    nodes_.push_back(std::make_unique<SimNode>(&world_, i, network_.get()));
    if (!network_) continue;
    SimNode* node = nodes_.back().get();
    network_->add_node([node](const core::PeerEvent& e) { node->deliver(e); });
  }
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
      // Not for ever: an actor that is always restarted must get through its constructor once.
      if (drivers_left() && ++kills_ < kKillsMax) schedule_kills();
    });
  }
}

void SimCluster::schedule_crashes() {
  DurationNs mean = world_.config.kill_node_every;
  if (mean <= 0) return;
  world_.queue.after(world_.delay(mean / 10, 2 * mean), [this] {
    if (!drivers_left()) return;
    SimNode* node = nodes_[world_.random.below(nodes_.size())].get();
    SUNDOG_PROBE("sim.node_crashed");
    node->crash();
    world_.queue.after(world_.delay(10 * kMillisecond, 3 * kSecond), [node] {
      if (!node->is_up()) node->boot();
    });
    schedule_crashes();
  });
}

// The drivers are gone, and so is whatever the nodes did or held for them.
bool SimCluster::at_rest() const {
  for (const auto& node : nodes_)
    if (!node->is_up() || !node->is_empty()) return false;
  return true;
}

SimResult SimCluster::run() {
  for (uint32_t d = 0; d < world_.config.drivers; ++d) {
    SimNode* node = nodes_[d % nodes_.size()].get();
    world_.queue.after(world_.delay(0, 5 * kMillisecond), [this, node, d] {
      ++started_;
      node->start_driver(JobId{d + 1});
    });
  }
  schedule_kills();
  schedule_crashes();
  if (world_.config.partitions) {
    for (int i = 0; i < 3; ++i) {
      world_.queue.after(world_.delay(0, kSecond), [this] {
        auto node = static_cast<uint32_t>(world_.random.below(nodes_.size()));
        bool beyond_lease = world_.random.one_in(3);
        if (beyond_lease) world_.oracle.node_isolated(node);
        DurationNs least = beyond_lease ? SimNetwork::kLease : 10 * kMillisecond;
        network_->partition(node, world_.delay(least, least + 500 * kMillisecond));
      });
    }
  }
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
    if (!over_ && started_ == world_.config.drivers && !drivers_left()) {
      over_ = true;
      for (const auto& node : nodes_) node->end_detached();
    }
    if (network_ && started_ == world_.config.drivers && !drivers_left() && at_rest()) {
      for (const auto& node : nodes_) node->retire();
      break;
    }
    if (world_.queue.now() > world_.config.deadline) {
      world_.oracle.fail(drivers_left() ? "no progress: a driver still waits at the deadline"
                                        : "the cores never come to rest");
      for (const auto& node : nodes_)
        if (!drivers_left() && node->is_up()) node->check_empty();
      break;
    }
  }
  if (world_.oracle.failures().empty() && drivers_left())
    world_.oracle.fail("no progress: a driver waits and nothing will happen");
  if (world_.oracle.failures().empty())
    for (const auto& node : nodes_) node->check_empty();
  if (world_.config.trace && !world_.oracle.failures().empty())
    for (const auto& node : nodes_)
      if (node->is_up()) node->trace_state();
  SimResult result;
  result.hash = world_.hash;
  result.steps = world_.steps;
  result.tasks = world_.oracle.num_tasks();
  result.ended = world_.queue.now();
  result.failures = world_.oracle.failures();
  return result;
}

}  // namespace sundog::sim
