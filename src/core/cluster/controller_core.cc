#include "core/cluster/controller_core.h"

#include <algorithm>

#include "base/check.h"
#include "base/json.h"
#include "base/probe.h"

namespace sundog::core {

using model::Amount;
using model::Member;
using model::ResourceSet;

void ControllerCore::step(TimeNs now, Random*, const ControllerEvent& event,
                          ControllerEffects* effects) {
  effects_ = effects;
  std::vector<Member> died;
  membership_.expire(now, &died);
  announce_dead(died);
  if (event.message != nullptr) {
    Member from{event.from, event.from_epoch};
    if (auto* join = std::get_if<model::Join>(event.message)) {
      on_join(now, event.from, *join);
    } else if (!membership_.is_live(from)) {
      SUNDOG_PROBE("controller.message_of_the_dead_fenced");
      send(event.from, model::Fenced{from});
    } else if (auto* beat = std::get_if<model::Heartbeat>(event.message)) {
      on_heartbeat(now, from, *beat);
    } else if (auto* place = std::get_if<model::PlaceRequest>(event.message)) {
      on_place(from, *place);
    }
    // Anything else is not for a controller; a peer's mistake changes nothing.
  }
  effects->timer = membership_.next_expiry();
  effects_ = nullptr;
}

void ControllerCore::on_join(TimeNs now, const NodeId& from, const model::Join& join) {
  std::vector<Member> died;
  Member member = membership_.join(now, from, join.boot, &died);
  if (!scheduler_.nodes().contains(member)) {
    ResourceSet total = interned(join.total);
    scheduler_.report(member, {total, total, 0});
  }
  announce_dead(died);
  send(from, model::Welcome{join.boot, member, membership_.lease(), membership_.view()});
}

void ControllerCore::on_heartbeat(TimeNs now, const Member& from, const model::Heartbeat& beat) {
  membership_.renew(now, from, beat.acknowledged_epoch);
  uint64_t& last = last_heartbeat_[from];
  if (beat.sequence > last) {
    last = beat.sequence;
    NodeReport report{interned(beat.total), interned(beat.available), beat.queued_tasks};
    // A node may report more than it has only by mistake; such a report is not believed.
    if (report.total.covers(report.available)) scheduler_.report(from, std::move(report));
  } else {
    SUNDOG_PROBE("controller.old_heartbeat_ignored");
  }
  send(from.node, model::HeartbeatReply{beat.sequence, membership_.view()});
}

void ControllerCore::on_place(const Member& from, const model::PlaceRequest& request) {
  GlobalScheduler::Request wanted{interned(request.resources), request.arguments, request.refused};
  model::PlaceReply reply{request.request, {}, false, {}};
  switch (scheduler_.place(wanted, &reply.node)) {
    case GlobalScheduler::Outcome::kPlaced:
      break;
    case GlobalScheduler::Outcome::kNotNow:
      SUNDOG_PROBE("controller.no_room_now");
      reply.reason = "no node has room for it now";
      break;
    case GlobalScheduler::Outcome::kInfeasible:
      SUNDOG_PROBE("controller.infeasible");
      reply.infeasible = true;
      reply.reason = "no node of the cluster is large enough:";
      for (const auto& e : wanted.resources.entries())
        reply.reason +=
            " it needs " + model::format_amount(e.amount, e.id) + " " + names_.name(e.id) + ";";
      break;
  }
  send(from.node, std::move(reply));
}

void ControllerCore::announce_dead(const std::vector<Member>& died) {
  for (const Member& dead : died) {
    scheduler_.remove(dead);
    last_heartbeat_.erase(dead);
  }
  for (const Member& dead : died)
    for (const Member& live : membership_.view().live)
      send(live.node, model::NodeDead{dead, membership_.view()});
}

void ControllerCore::send(const NodeId& to, model::PeerMessage message) {
  effects_->messages.push_back({to, std::move(message)});
}

ResourceSet ControllerCore::interned(const std::vector<Amount>& amounts) {
  ResourceSet set;
  for (const Amount& a : amounts)
    if (a.amount > 0) set.set(names_.intern(a.name), a.amount);
  return set;
}

std::string ControllerCore::dump() const {
  JsonWriter json;
  json.begin_object();
  json.field("epoch", membership_.epoch()).field("safe_epoch", membership_.safe_epoch());
  json.key("nodes").begin_array();
  for (const auto& [member, node] : scheduler_.nodes()) {
    json.begin_object().field("node", member.node.hex()).field("epoch", member.epoch);
    json.field("queued_tasks", node.queued_tasks).end_object();
  }
  json.end_array().end_object();
  return json.take();
}

void ControllerCore::validate() const {
  membership_.validate();
  scheduler_.validate();
  for (const auto& [member, report] : scheduler_.nodes()) SUNDOG_CHECK(membership_.is_live(member));
  for (const auto& [member, sequence] : last_heartbeat_) SUNDOG_CHECK(membership_.is_live(member));
  for (const Member& member : membership_.view().live)
    SUNDOG_CHECK(scheduler_.nodes().contains(member));
}

}  // namespace sundog::core
