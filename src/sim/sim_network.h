// SimNetwork: carries messages between nodes and the controller with faults: they are lost,
// doubled, delayed out of order, and cut off by partitions. Messages to a node name the life of the
// node they are meant for only by what they contain, as on a real network.
//
// The controller lives here too. Owned by SimCluster.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "core/cluster/controller_core.h"
#include "core/cluster/peer_events.h"
#include "sim/sim_world.h"

namespace sundog::sim {

class SimNetwork {
 public:
  using Deliver = std::function<void(const core::PeerEvent&)>;
  static constexpr DurationNs kLease = kSecond;

  explicit SimNetwork(SimWorld* world);
  // Nodes are numbered from 0 in the order of this call.
  void add_node(Deliver deliver) { deliver_.push_back(std::move(deliver)); }

  static NodeId node_id(uint32_t index);
  void send(uint32_t from, const core::ToPeer& message);
  void send(uint32_t from, const core::ToController& message);
  // Cuts a node off from everybody for a while; once a node, so that short cuts stay short.
  void partition(uint32_t node, DurationNs duration);
  const core::ControllerCore& controller() const { return controller_; }
  // From now on everything arrives; runs down what is under way.
  void heal() { faults_ = false; }

 private:
  void transmit(uint32_t from, uint32_t to, std::function<void()> arrive);
  void step_controller(const core::ControllerEvent& event);
  void note(const model::PeerMessage& message, uint64_t to);

  SimWorld* world_;
  core::ControllerCore controller_;
  Random controller_random_;
  std::vector<Deliver> deliver_;
  std::set<uint32_t> cut_off_;
  std::set<uint32_t> was_cut_off_;
  uint64_t timer_number_ = 0;
  bool faults_ = true;
};

}  // namespace sundog::sim
