#include "core/cluster/membership.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

using model::Member;
using model::View;

Member Membership::join(TimeNs now, const NodeId& node, uint64_t boot, std::vector<Member>* died) {
  auto found = live_.find(node);
  if (found != live_.end() && found->second.boot == boot) {
    SUNDOG_PROBE("membership.join_repeated");
    found->second.lease_end = now + lease_;
    return {node, found->second.epoch};
  }
  if (found != live_.end()) {
    SUNDOG_PROBE("membership.restarted_before_lease_ended");
    died->push_back({node, found->second.epoch});
    live_.erase(found);
    ++epoch_;
  }
  ++epoch_;
  // A newcomer has heard nothing of anybody, so it starts with the newest epoch acknowledged.
  live_[node] = Node{epoch_, boot, epoch_, now + lease_};
  return {node, epoch_};
}

bool Membership::renew(TimeNs now, const Member& member, uint64_t acknowledged_epoch) {
  auto found = live_.find(member.node);
  if (found == live_.end() || found->second.epoch != member.epoch) {
    SUNDOG_PROBE("membership.heartbeat_of_the_dead");
    return false;
  }
  Node& node = found->second;
  node.lease_end = std::max(node.lease_end, now + lease_);
  // Repeated and overtaken heartbeats carry older epochs; nobody can acknowledge the future.
  if (acknowledged_epoch < node.acknowledged) SUNDOG_PROBE("membership.old_acknowledgement");
  node.acknowledged = std::max(node.acknowledged, std::min(acknowledged_epoch, epoch_));
  return true;
}

void Membership::expire(TimeNs now, std::vector<Member>* died) {
  for (auto at = live_.begin(); at != live_.end();) {
    if (at->second.lease_end <= now) {
      died->push_back({at->first, at->second.epoch});
      ++epoch_;
      at = live_.erase(at);
    } else {
      ++at;
    }
  }
}

bool Membership::remove(const Member& member) {
  if (!is_live(member)) return false;
  live_.erase(member.node);
  ++epoch_;
  return true;
}

bool Membership::is_live(const Member& member) const {
  auto found = live_.find(member.node);
  return found != live_.end() && found->second.epoch == member.epoch;
}

TimeNs Membership::next_expiry() const {
  TimeNs next = kNever;
  for (const auto& [id, node] : live_) next = std::min(next, node.lease_end);
  return next;
}

uint64_t Membership::safe_epoch() const {
  uint64_t safe = epoch_;
  for (const auto& [id, node] : live_) safe = std::min(safe, node.acknowledged);
  return safe;
}

View Membership::view() const {
  View view{epoch_, safe_epoch(), {}};
  for (const auto& [id, node] : live_) view.live.push_back({id, node.epoch});
  return view;
}

void Membership::validate() const {
  for (const auto& [id, node] : live_) {
    SUNDOG_CHECK(node.epoch > 0 && node.epoch <= epoch_);
    SUNDOG_CHECK(node.acknowledged >= node.epoch && node.acknowledged <= epoch_);
    for (const auto& [other_id, other] : live_)
      SUNDOG_CHECK(other_id == id || other.epoch != node.epoch);
  }
}

void MemberTable::welcome(const Member& self, const View& view) {
  self_ = self;
  view_ = view;
  unsettled_.clear();
}

MemberTable::Change MemberTable::apply(const View& view, bool* self_dead) {
  Change change;
  *self_dead = false;
  if (!joined() || view.epoch < view_.epoch) {
    SUNDOG_PROBE("membership.old_view_ignored");
    return change;
  }
  for (const Member& member : view_.live) {
    if (std::binary_search(view.live.begin(), view.live.end(), member)) continue;
    change.died.push_back(member);
    unsettled_.emplace(member, view.epoch);
    if (member == self_) *self_dead = true;
  }
  uint64_t safe = std::max(view.safe_epoch, view.epoch == view_.epoch ? view_.safe_epoch : 0);
  view_ = view;
  view_.safe_epoch = safe;
  for (auto at = unsettled_.begin(); at != unsettled_.end();) {
    if (at->second <= safe) {
      change.settled.push_back(at->first);
      at = unsettled_.erase(at);
    } else {
      SUNDOG_PROBE("membership.death_waits_for_acknowledgements");
      ++at;
    }
  }
  return change;
}

bool MemberTable::is_live(const Member& member) const {
  return std::binary_search(view_.live.begin(), view_.live.end(), member);
}

bool MemberTable::accepts(const Member& from) const {
  if (joined() && is_live(from)) return true;
  SUNDOG_PROBE("membership.message_of_no_member_dropped");
  return false;
}

void MemberTable::validate() const {
  SUNDOG_CHECK(std::is_sorted(view_.live.begin(), view_.live.end()));
  for (const auto& [member, epoch] : unsettled_) {
    SUNDOG_CHECK(!is_live(member));
    SUNDOG_CHECK(epoch > view_.safe_epoch && epoch <= view_.epoch);
  }
}

}  // namespace sundog::core
