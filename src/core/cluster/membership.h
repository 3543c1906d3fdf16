// Who is in the cluster. Membership is the controller's side: leases, epochs, deaths. MemberTable
// is a node's side: the newest view, who is fenced, and when a dead member is forgotten for good.
//
// Rules:
//  - Each admission and each death is a new epoch. A member is one life of a node: admitted once,
//    dead once; a node that comes back gets another epoch.
//  - A node that learned of a death takes nothing from the dead member any more, and acknowledges
//    the epoch once nothing it took before is unconfirmed (Borrows says so).
//  - What others hold on behalf of a dead member is dropped only when every live member has
//    acknowledged the epoch that declared it dead ("settled").
//
// Pure; owned by ControllerCore and NodeCluster. Never sends anything itself.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/peer_messages.h"

namespace sundog::core {

class Membership {
 public:
  explicit Membership(DurationNs lease) : lease_(lease) {}

  // A node asks to be let in. The same boot number again is a repetition and changes nothing;
  // another one means that the node started anew: its earlier life is dead and added to *died.
  model::Member join(TimeNs now, const NodeId& node, uint64_t boot,
                     std::vector<model::Member>* died);
  // False: not a live member; tell it that it is fenced.
  bool renew(TimeNs now, const model::Member& member, uint64_t acknowledged_epoch);
  // Declares dead whose lease ended; adds them to *died.
  void expire(TimeNs now, std::vector<model::Member>* died);
  // The controller heard of the death itself (the node's goodbye). False: was not live.
  bool remove(const model::Member& member);

  bool is_live(const model::Member& member) const;
  TimeNs next_expiry() const;
  uint64_t epoch() const { return epoch_; }
  // The smallest epoch that every live member acknowledged.
  uint64_t safe_epoch() const;
  model::View view() const;
  DurationNs lease() const { return lease_; }
  void validate() const;

 private:
  struct Node {
    uint64_t epoch = 0;
    uint64_t boot = 0;
    uint64_t acknowledged = 0;
    TimeNs lease_end = 0;
  };
  DurationNs lease_;
  uint64_t epoch_ = 0;
  std::map<NodeId, Node> live_;
};

class MemberTable {
 public:
  // Admitted as `self` with the view of that moment. Anything known before is void.
  void welcome(const model::Member& self, const model::View& view);
  struct Change {
    std::vector<model::Member> died;     // fenced from now on; sorted
    std::vector<model::Member> settled;  // dead, and every live member knows: forget them
  };
  // Older views are ignored. True in *self_dead: this node itself is no member any more.
  Change apply(const model::View& view, bool* self_dead);

  const model::Member& self() const { return self_; }
  bool joined() const { return !self_.is_nil(); }
  uint64_t epoch() const { return view_.epoch; }
  const model::View& view() const { return view_; }
  // Messages of members that are not live in this node's view are dropped unread. That includes a
  // newcomer it has not heard of yet: everything is repeated, and whoever is accepted is known, so
  // that its death will be noticed.
  bool accepts(const model::Member& from) const;
  bool is_live(const model::Member& member) const;
  // Dead, but not every live member knows yet.
  bool is_unsettled(const model::Member& member) const { return unsettled_.contains(member); }
  void validate() const;

 private:
  model::Member self_;
  model::View view_;
  std::map<model::Member, uint64_t> unsettled_;  // dead member -> epoch in which it was missing
};

}  // namespace sundog::core
