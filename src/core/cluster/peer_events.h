// What reaches a NodeCore from other nodes and the controller, and what it asks to be sent there.
// Apart from core/events.h, so that the events of the node's own clients stay small.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/objects/pulls.h"
#include "model/peer_messages.h"

namespace sundog::core {

struct ClusterConfig {
  NodeId node;
  uint64_t boot = 0;  // random for each start
  PullLimits pulls;
  DurationNs retry = 100 * kMillisecond;
  // Ready tasks here from which on further ones are offered to other nodes.
  uint32_t spill_queue = 256;
};

// ---------------------------------------------------------------- events

// `to` is whom the sender meant: what was meant for an earlier life of this node is dropped.
struct FromPeer {
  model::Member from, to;
  model::PeerMessage message;
};
struct FromController {
  model::PeerMessage message;
};
// At or after the moment of the last PeerTimer.
struct PeerTick {};
using PeerEvent = std::variant<FromPeer, FromController, PeerTick>;

// ---------------------------------------------------------------- effects

struct ToPeer {
  model::Member from, to;
  model::PeerMessage message;  // PullChunk: the shell reads the bytes from `source`
};
struct ToController {
  model::Member from;  // epoch 0 before Welcome
  model::PeerMessage message;
};
// This extent will be filled by StoreChunk; it is freed by ExtentFreed like any other.
struct FetchStarted {
  model::Extent extent;
};
struct StoreChunk {
  model::Extent extent;
  uint64_t offset = 0;
  std::string bytes;
};
struct PeerTimer {
  TimeNs at = kNever;
};
// The cluster declared this node dead: everything it runs must end; start anew with another boot.
struct EndSession {};
using PeerEffect =
    std::variant<ToPeer, ToController, FetchStarted, StoreChunk, PeerTimer, EndSession>;
using PeerEffects = std::vector<PeerEffect>;

}  // namespace sundog::core
