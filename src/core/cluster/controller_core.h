// ControllerCore: the controller's brain, composed of Membership and GlobalScheduler. A message of
// a node or the passing of time in, messages to nodes and a timer out.
//
// Pure (DESIGN section 3); hosted by the controller role or by the simulator. Whatever it forgets
// in a crash comes back with the nodes' next messages, except the epoch, which must never fall:
// whoever hosts it starts it with an epoch above every one it used.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "core/cluster/global_scheduler.h"
#include "core/cluster/membership.h"
#include "model/peer_messages.h"
#include "model/resources.h"

namespace sundog::core {

struct ControllerEvent {
  // Nil node and no message: time passed.
  NodeId from;
  uint64_t from_epoch = 0;  // 0: the node is not a member yet
  const model::PeerMessage* message = nullptr;
};
struct ToNode {
  NodeId node;
  model::PeerMessage message;
};
struct ControllerEffects {
  std::vector<ToNode> messages;
  TimeNs timer = kNever;  // step again then
};

class ControllerCore {
 public:
  explicit ControllerCore(DurationNs lease) : membership_(lease) {}

  void step(TimeNs now, Random* random, const ControllerEvent& event, ControllerEffects* effects);

  const Membership& membership() const { return membership_; }
  // Totals and state for people, as JSON.
  std::string dump() const;
  void validate() const;

 private:
  void on_join(TimeNs now, const NodeId& from, const model::Join& join);
  void on_heartbeat(TimeNs now, const model::Member& from, const model::Heartbeat& beat);
  void on_place(const model::Member& from, const model::PlaceRequest& request);
  void announce_dead(const std::vector<model::Member>& died);
  void send(const NodeId& to, model::PeerMessage message);
  model::ResourceSet interned(const std::vector<model::Amount>& amounts);

  Membership membership_;
  GlobalScheduler scheduler_;
  model::ResourceNames names_;
  std::map<model::Member, uint64_t> last_heartbeat_;  // sequence, so that an older one is ignored
  ControllerEffects* effects_ = nullptr;              // of the step under way
};

}  // namespace sundog::core
