#include "sim/sim_network.h"

#include "base/probe.h"

namespace sundog::sim {

namespace {

constexpr uint32_t kController = UINT32_MAX;

uint32_t index_of(const NodeId& id) { return id.bytes[0] - 1u; }

}  // namespace

SimNetwork::SimNetwork(SimWorld* world)
    : world_(world), controller_(kLease), controller_random_(mix(world->config.seed, 1000)) {}

NodeId SimNetwork::node_id(uint32_t index) {
  NodeId id;
  id.bytes[0] = static_cast<uint8_t>(index + 1);
  return id;
}

void SimNetwork::note(const model::PeerMessage& message, uint64_t to) {
  uint64_t key[] = {message.index(), to};
  world_->note("peer", key, sizeof key);
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { m.id; }) world_->note("id", &m.id, sizeof m.id);
        if constexpr (requires { m.task; }) world_->note("task", &m.task, sizeof m.task);
      },
      message);
}

void SimNetwork::transmit(uint32_t from, uint32_t to, std::function<void()> arrive) {
  const SimConfig& c = world_->config;
  uint32_t copies = 1;
  if (faults_ && c.lose_one_in != 0 && world_->random.one_in(c.lose_one_in)) {
    SUNDOG_PROBE("sim.message_lost");
    copies = 0;
  } else if (faults_ && c.double_one_in != 0 && world_->random.one_in(c.double_one_in)) {
    SUNDOG_PROBE("sim.message_doubled");
    copies = 2;
  }
  for (uint32_t i = 0; i < copies; ++i) {
    DurationNs delay = world_->delay(50 * kMicrosecond, 400 * kMicrosecond);
    // A second copy is often a late one: it was repeated when the first seemed lost.
    if (faults_ && world_->random.one_in(i == 0 ? 20 : 2))
      delay += world_->delay(0, 150 * kMillisecond);
    world_->queue.after(delay, [this, from, to, arrive] {
      if (cut_off_.contains(from) || cut_off_.contains(to)) {
        SUNDOG_PROBE("sim.message_cut_off");
        return;
      }
      arrive();
    });
  }
}

void SimNetwork::send(uint32_t from, const core::ToPeer& message) {
  uint32_t to = index_of(message.to.node);
  note(message.message, to);
  transmit(from, to, [this, to, message] {
    deliver_[to](core::FromPeer{message.from, message.to, message.message});
  });
}

void SimNetwork::send(uint32_t from, const core::ToController& message) {
  note(message.message, kController);
  transmit(from, kController, [this, message] {
    step_controller({message.from.node, message.from.epoch, &message.message});
  });
}

void SimNetwork::step_controller(const core::ControllerEvent& event) {
  core::ControllerEffects effects;
  controller_.step(world_->queue.now(), &controller_random_, event, &effects);
  controller_.validate();
  ++world_->steps;
  for (auto& one : effects.messages) {
    uint32_t to = index_of(one.node);
    note(one.message, to);
    // So many heartbeats may be lost that a node is declared dead which nobody harmed.
    if (auto* dead = std::get_if<model::NodeDead>(&one.message))
      world_->oracle.declared_dead(index_of(dead->member.node), dead->member.epoch);
    transmit(kController, to, [this, to, message = std::move(one.message)] {
      deliver_[to](core::FromController{message});
    });
  }
  uint64_t number = ++timer_number_;
  if (effects.timer == kNever) return;
  world_->queue.at(effects.timer, [this, number] {
    if (number == timer_number_) step_controller({});
  });
}

void SimNetwork::partition(uint32_t node, DurationNs duration) {
  if (!was_cut_off_.insert(node).second) return;
  cut_off_.insert(node);
  SUNDOG_PROBE("sim.partition");
  world_->trace("node " + std::to_string(node) + " is cut off");
  world_->queue.after(duration, [this, node] {
    world_->trace("node " + std::to_string(node) + " is back on the network");
    cut_off_.erase(node);
  });
}

}  // namespace sundog::sim
