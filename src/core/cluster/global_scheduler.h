// GlobalScheduler: picks a node for a task that its own node cannot run now, from what the nodes
// last reported and from where the arguments lie. It holds nothing that a report does not bring
// back, so that several may exist and one may be lost: the node it picks accepts or refuses.
//
// Pure; owned by ControllerCore.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/peer_messages.h"
#include "model/resources.h"

namespace sundog::core {

struct NodeReport {
  model::ResourceSet total;
  model::ResourceSet available;
  uint32_t queued_tasks = 0;
};

class GlobalScheduler {
 public:
  // A node reports; its report replaces the earlier one and what was guessed since.
  void report(const model::Member& member, NodeReport report);
  void remove(const model::Member& member) { nodes_.erase(member); }

  enum class Outcome : uint8_t { kPlaced, kNotNow, kInfeasible };
  struct Request {
    model::ResourceSet resources;
    std::span<const model::ArgumentLocation> arguments;
    std::span<const model::Member> excluded;  // refused just now
  };
  // kPlaced: *out is the node with room now that has the most bytes of the arguments, then the
  // shortest queue, then the smallest id; what it was given is subtracted until its next report.
  // Without room anywhere: kNotNow, or kInfeasible if no node could run it even when empty.
  Outcome place(const Request& request, model::Member* out);

  const std::map<model::Member, NodeReport>& nodes() const { return nodes_; }
  void validate() const;

 private:
  std::map<model::Member, NodeReport> nodes_;
};

}  // namespace sundog::core
