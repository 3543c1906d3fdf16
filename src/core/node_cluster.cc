// NodeCluster: members, borrows and timers.
#include "core/node_cluster.h"

#include <algorithm>

#include "base/probe.h"
#include "core/node_core.h"

namespace sundog::core {

using model::GlobalRef;
using model::Member;

NodeCluster::NodeCluster(NodeCore* node, const ClusterConfig& config)
    : node_(node),
      config_(config),
      borrowed_(config.retry),
      planner_(config.pulls),
      server_(config.pulls),
      last_request_(config.boot) {}

// ---------------------------------------------------------------- talking

void NodeCluster::on(const PeerEvent& event) {
  std::visit([this](const auto& e) { on(e); }, event);
}

void NodeCluster::on(const FromPeer& e) {
  if (ended_ || !members_.accepts(e.from) || !is_self(e.to)) return;
  std::visit([&](const auto& m) { on_message(e.from, m); }, e.message);
}

void NodeCluster::on(const FromController& e) {
  if (ended_) return;
  if (auto* welcome = std::get_if<model::Welcome>(&e.message)) {
    if (members_.joined() || welcome->boot != config_.boot) return;
    members_.welcome(welcome->self, welcome->view);
    lease_ = welcome->lease;
    next_heartbeat_ = node_->now_;
  } else if (auto* reply = std::get_if<model::HeartbeatReply>(&e.message)) {
    apply_view(reply->view);
  } else if (auto* dead = std::get_if<model::NodeDead>(&e.message)) {
    apply_view(dead->view);
  } else if (auto* fenced = std::get_if<model::Fenced>(&e.message)) {
    if (members_.joined() && is_self(fenced->member)) {
      SUNDOG_PROBE("cluster.fenced");
      ended_ = true;
      effects_.emplace_back(EndSession{});
    }
  } else if (auto* place = std::get_if<model::PlaceReply>(&e.message)) {
    on_place_reply(*place);
  }
}

void NodeCluster::send(const Member& to, model::PeerMessage message) {
  effects_.emplace_back(ToPeer{members_.self(), to, std::move(message)});
}

std::vector<model::Amount> NodeCluster::amounts(const model::ResourceSet& set) const {
  std::vector<model::Amount> all;
  for (const auto& e : set.entries())
    if (e.amount > 0) all.push_back({node_->names_.name(e.id), e.amount});
  return all;
}

void NodeCluster::heartbeat() {
  next_heartbeat_ = node_->now_ + lease_ / 5;
  if (!members_.joined()) {
    effects_.emplace_back(ToController{
        {config_.node, 0}, model::Join{config_.boot, amounts(node_->scheduler_.total())}});
    return;
  }
  model::Heartbeat beat;
  beat.sequence = ++heartbeats_;
  beat.acknowledged_epoch = borrowed_.acknowledgeable(members_.epoch());
  beat.queued_tasks = static_cast<uint32_t>(node_->scheduler_.ready().total());
  beat.available = amounts(node_->scheduler_.available());
  beat.total = amounts(node_->scheduler_.total());
  effects_.emplace_back(ToController{members_.self(), std::move(beat)});
}

void NodeCluster::on(const PeerTick&) {
  timer_at_ = kNever;
  TimeNs now = node_->now_;
  if (ended_) return;
  if (now >= next_heartbeat_) heartbeat();
  if (!members_.joined()) return;
  BorrowerRefs::Sends sends;
  borrowed_.tick(now, &sends);
  send_borrows(sends);
  for (auto& [id, run] : runs_) {
    if (run.phase == Phase::kAccepted || now - run.sent < config_.retry) continue;
    if (run.phase == Phase::kPlacing) {
      run.refused.clear();
      ask_placement(&run);
    } else {
      SUNDOG_PROBE("cluster.submit_repeated");
      run.sent = now;
      submit_remote(run);
    }
  }
  for (auto& [key, exec] : execs_)
    if (exec.finished && now - exec.sent >= config_.retry) exec.sent_once = false;
  for (auto& [id, known] : known_) {
    if (known.fetch != Fetch::kLocating || now - known.asked < config_.retry) continue;
    known.asked = now;
    send(known.owner, model::Locate{id});
  }
  for (const auto& [job, member] : ending_jobs_) send(member, model::JobEnded{job});
  PullPlanner::Out out;
  planner_.tick(now, &out);
  perform(out);
  for (const auto& [member, id] : server_.tick(now)) send(member, model::PullProbe{id});
}

void NodeCluster::finish_step() {
  if (ended_) return;
  TimeNs now = node_->now_;
  if (members_.joined()) {
    try_settle();
    try_send_done();
    make_room();
    if (!roomless_.empty()) give_up_without_room();
    if (planner_.units() > 0) refresh_budget();
  }
  TimeNs at = next_heartbeat_;
  bool locating = false;
  for (const auto& [id, known] : known_) locating = locating || known.fetch == Fetch::kLocating;
  if (!borrowed_.all_answered() || !runs_.empty() || !execs_.empty() || locating ||
      !ending_jobs_.empty() || planner_.units() > 0 || server_.sessions() > 0)
    at = std::min(at, now + config_.retry / 2);
  if (timer_at_ > now && timer_at_ <= at) return;
  timer_at_ = at;
  effects_.emplace_back(PeerTimer{at});
}

// ---------------------------------------------------------------- members

ClientId NodeCluster::peer(const Member& member) {
  auto [at, is_new] = peers_.try_emplace(member, static_cast<uint32_t>(peers_.size() + 1));
  return ClientId{at->second};  // generation 0: no process has it
}

void NodeCluster::apply_view(const model::View& view) {
  bool self_dead = false;
  auto change = members_.apply(view, &self_dead);
  if (self_dead) {
    SUNDOG_PROBE("cluster.own_death_seen_in_a_view");
    ended_ = true;
    effects_.emplace_back(EndSession{});
    return;
  }
  for (const Member& dead : change.died) member_died(dead);
  for (const Member& dead : change.settled) member_settled(dead);
}

void NodeCluster::member_died(const Member& dead) {
  SUNDOG_PROBE("cluster.member_died");
  TimeNs now = node_->now_;
  std::string sentence = "node " + dead.node.hex().substr(0, 8) + " died";
  for (const ObjectId& id : borrowed_.drop_owner(dead)) {
    became_sure(id);
    auto known = known_.find(id);
    if (known != known_.end() && known->second.keeper == dead) known->second.keeper = {};
    lose(id, sentence, model::ErrorKind::kNodeDied);
  }
  std::vector<ObjectId> lost;
  for (const auto& [id, known] : known_)
    if (known.owner == dead || (known.keeper == dead && is_self(known.owner))) lost.push_back(id);
  for (const ObjectId& id : lost) lose(id, sentence, model::ErrorKind::kNodeDied);
  PullPlanner::Out out;
  planner_.member_died(now, dead, &out);
  perform(out);
  std::vector<TaskId> retried;
  for (const auto& [id, run] : runs_)
    if (run.phase != Phase::kPlacing && run.node == dead) retried.push_back(id);
  for (const TaskId& id : retried) retry_or_fail(id, sentence, model::ErrorKind::kNodeDied);
  for (auto at = settling_.begin(); at != settling_.end();)
    at = std::get<0>(at->first) == dead ? settling_.erase(at) : std::next(at);
  for (auto& [key, exec] : execs_)
    if (key.first == dead) exec.abandoned = true;
  for (const auto& [job, owner] : foreign_jobs_)
    if (owner == dead) node_->end_job(job);
  for (auto& [job, members] : job_peers_) members.erase(dead);
  std::erase_if(ending_jobs_, [&](const auto& e) { return e.second == dead; });
  for (auto& [id, members] : askers_) members.erase(dead);
}

void NodeCluster::member_settled(const Member& dead) {
  SUNDOG_PROBE("cluster.member_settled");
  lent_.drop(dead);
  server_.drop(dead);
  seen_.erase(dead);
  last_sequence_.erase(dead);
  for (auto at = execs_.begin(); at != execs_.end();) {
    if (at->first.first != dead || !at->second.finished) {
      ++at;
      continue;
    }
    for (uint32_t inner : at->second.held) node_->objects_.drop_internal(inner);
    at = execs_.erase(at);
  }
  node_->objects_.drop_client(peer(dead));
}

// ---------------------------------------------------------------- references

void NodeCluster::send_borrows(const BorrowerRefs::Sends& sends) {
  for (const auto& one : sends) send(one.owner, one.update);
}

uint32_t NodeCluster::adopt(const GlobalRef& ref) {
  uint32_t object = node_->objects_.find(ref.id);
  auto at = known_.find(ref.id);
  // Ours; or the same function, put here by a process of ours; or a placeholder that says lost.
  if (object != kNoIndex && (at == known_.end() || is_self(at->second.owner))) return object;
  Member owner = ref.owner;
  if (at != known_.end() && members_.is_live(at->second.owner)) owner = at->second.owner;
  if (!members_.is_live(owner) || is_self(owner))
    return object != kNoIndex ? object : node_->find_or_lost(ref.id);
  if (object == kNoIndex) {
    object = node_->objects_.create(ref.id, node_->now_);
    node_->objects_[object].shared = true;
    node_->objects_.suspect(object);
  }
  Known& known = known_[ref.id];
  known.owner = owner;
  known.end_later = false;
  BorrowerRefs::Sends sends;
  borrowed_.begin(node_->now_, {ref.id, owner}, members_.epoch(), &sends);
  send_borrows(sends);
  return object;
}

GlobalRef NodeCluster::global(uint32_t object) const {
  const ObjectId& id = node_->objects_[object].id;
  auto known = known_.find(id);
  return {id, known == known_.end() ? members_.self() : known->second.owner};
}

std::vector<GlobalRef> NodeCluster::global_all(std::span<const uint32_t> objects) const {
  std::vector<GlobalRef> refs;
  for (uint32_t object : objects) refs.push_back(global(object));
  return refs;
}

bool NodeCluster::is_sure(const ObjectId& id) const {
  auto known = known_.find(id);
  if (known == known_.end() || is_self(known->second.owner)) return true;
  GlobalRef ref{id, known->second.owner};
  return !borrowed_.is_held(ref) || borrowed_.is_confirmed(ref);
}

// The last local reference is gone. A container is kept at its owner until the refs inside its
// value are confirmed: until then it is the container that keeps them alive.
void NodeCluster::end_borrow(const ObjectId& id, Known* known) {
  if (!known->unsure.empty()) {
    SUNDOG_PROBE("cluster.container_kept_for_its_refs");
    known->end_later = true;
    return;
  }
  BorrowerRefs::Sends sends;
  borrowed_.end(node_->now_, {id, known->owner}, &sends);
  send_borrows(sends);
  became_sure(id);
}

// `id` is confirmed, lost or let go: containers need not be kept for it any more.
void NodeCluster::became_sure(const ObjectId& id) {
  std::vector<ObjectId> ended;
  for (auto& [container, known] : known_)
    if (known.unsure.erase(id) > 0 && known.unsure.empty() && known.end_later)
      ended.push_back(container);
  for (const ObjectId& container : ended) {
    auto at = known_.find(container);
    if (at == known_.end() || !std::exchange(at->second.end_later, false)) continue;
    end_borrow(container, &at->second);
    at = known_.find(container);
    if (at != known_.end() && node_->objects_.find(container) == kNoIndex) known_.erase(at);
  }
}

void NodeCluster::unreferenced(const ObjectId& id) {
  bool gone = node_->objects_.find(id) == kNoIndex;
  auto at = known_.find(id);
  if (gone) {
    lent_.forget(id);
    askers_.erase(id);
  }
  if (at == known_.end()) return;
  Known& known = at->second;
  if (!is_self(known.owner)) end_borrow(id, &known);
  if (!gone) return;
  if (is_self(known.owner) && !known.keeper.is_nil()) {
    BorrowerRefs::Sends sends;
    borrowed_.end(node_->now_, {id, known.keeper}, &sends);
    send_borrows(sends);
  }
  known.fetch = Fetch::kNone;
  drop_contained(&known);
  PullPlanner::Out out;
  for (uint64_t unit : planner_.units_with(id)) planner_.cancel(node_->now_, unit, &out);
  std::erase_if(wants_, [&](const auto& want) {
    const auto& located = want.second.located;
    return want.second.unlocated.contains(id) ||
           std::find(located.begin(), located.end(), id) != located.end();
  });
  perform(out);
  at = known_.find(id);
  if (at != known_.end() && !at->second.end_later) known_.erase(at);
}

// A borrower's new state becomes a count: a reference, or a pin where we keep bytes for the owner.
void NodeCluster::count_change(const Member& from, const ObjectId& id,
                               OwnerBorrows::Outcome outcome) {
  if (outcome == OwnerBorrows::Outcome::kUnchanged) return;
  uint32_t object = node_->objects_.find(id);
  auto known = known_.find(id);
  bool keeper = known != known_.end() && known->second.owner == from;
  node_->objects_[object].shared = true;
  if (outcome == OwnerBorrows::Outcome::kTaken) {
    if (!keeper) node_->objects_.add_refs(object, peer(from), 1);
  } else if (keeper) {
    node_->objects_.unpin(object, peer(from), 1);
  } else {
    node_->objects_.drop_refs(object, peer(from), 1);
  }
}

void NodeCluster::on_message(const Member& from, const model::BorrowUpdate& m) {
  bool known = node_->objects_.find(m.id) != kNoIndex;
  auto outcome = lent_.update(from, m.id, m.version, m.held, known);
  if (known) node_->objects_[node_->objects_.find(m.id)].shared = true;
  count_change(from, m.id, outcome);
  send(from, model::BorrowConfirm{m.id, m.version, known});
}

void NodeCluster::on_message(const Member& from, const model::BorrowSet& m) {
  std::vector<bool> known;
  for (const auto& one : m.held) known.push_back(node_->objects_.find(one.id) != kNoIndex);
  auto changes = lent_.replace(from, m, known);
  for (const ObjectId& id : changes.taken) count_change(from, id, OwnerBorrows::Outcome::kTaken);
  for (const ObjectId& id : changes.released)
    count_change(from, id, OwnerBorrows::Outcome::kReleased);
  for (size_t i = 0; i < m.held.size(); ++i)
    send(from, model::BorrowConfirm{m.held[i].id, m.held[i].version, known[i]});
}

void NodeCluster::on_message(const Member& from, const model::BorrowConfirm& m) {
  switch (borrowed_.confirm(from, m)) {
    case BorrowerRefs::Answer::kIgnored:
    case BorrowerRefs::Answer::kReleased:
      break;
    case BorrowerRefs::Answer::kConfirmed:
      became_sure(m.id);
      break;
    case BorrowerRefs::Answer::kLost:
      SUNDOG_PROBE("cluster.borrow_of_a_lost_object");
      became_sure(m.id);
      lose(m.id, "its owner does not have it any more", model::ErrorKind::kObjectLost);
      break;
  }
}

// ---------------------------------------------------------------- jobs

void NodeCluster::job_ended(JobId job) {
  auto found = job_peers_.find(job);
  if (found == job_peers_.end()) return;
  for (const Member& member : found->second) {
    ending_jobs_.insert({job, member});
    send(member, model::JobEnded{job});
  }
  job_peers_.erase(found);
}

void NodeCluster::on_message(const Member& from, const model::JobEnded& m) {
  foreign_jobs_[m.job] = from;
  node_->end_job(m.job);
  send(from, model::JobEndedSeen{m.job});
}

void NodeCluster::on_message(const Member& from, const model::JobEndedSeen& m) {
  ending_jobs_.erase({m.job, from});
}

// ---------------------------------------------------------------- checking

std::string NodeCluster::leftovers() const {
  std::string left;
  auto count = [&](size_t n, const char* what) {
    if (n > 0) left += " " + std::to_string(n) + " " + what;
  };
  count(known_.size(), "known objects");
  count(runs_.size(), "remote tasks");
  count(execs_.size(), "foreign tasks");
  count(settling_.size(), "results to settle");
  count(borrowed_.size(), "borrowed");
  count(lent_.held_count(), "lent");
  count(planner_.units(), "pulls");
  count(server_.sessions(), "pulls served");
  count(fetched_.size() + roomless_.size(), "fetches");
  count(wants_.size(), "wants");
  count(askers_.size(), "askers");
  count(ending_jobs_.size(), "jobs to end");
  return left;
}

std::string NodeCluster::validate() const {
  members_.validate();
  lent_.validate();
  borrowed_.validate();
  planner_.validate();
  for (const auto& [id, known] : known_) {
    uint32_t object = node_->objects_.find(id);
    std::string who = "known object " + id.hex() + ": ";
    if (object == kNoIndex && !known.end_later) return who + "no record";
    if (object == kNoIndex) continue;
    if (!node_->objects_[object].shared) return who + "its end would not be told";
    if (node_->objects_[object].ready && known.fetch != Fetch::kNone)
      return who + "fetched though it is here";
  }
  for (const auto& [id, run] : runs_) {
    const TaskRecord& t = node_->tasks_[run.task];
    if (!t.live || t.id != id || t.state != TaskState::kRemote)
      return "remote task " + id.hex() + " is not in the task table as such";
  }
  return {};
}

}  // namespace sundog::core
