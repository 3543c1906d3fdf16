#include "core/refs/borrows.h"

#include <algorithm>

#include "base/check.h"
#include "base/probe.h"

namespace sundog::core {

using model::BorrowConfirm;
using model::BorrowSet;
using model::BorrowUpdate;
using model::GlobalRef;
using model::Member;

// ---------------------------------------------------------------- owner

OwnerBorrows::Outcome OwnerBorrows::update(const Member& borrower, const ObjectId& id,
                                           uint64_t version, bool held, bool known) {
  if (!known) {
    SUNDOG_PROBE("borrows.update_for_unknown_object");
    return Outcome::kUnchanged;
  }
  State& state = states_[{id, borrower}];
  by_borrower_.insert({borrower, id});
  if (version <= state.version) {
    SUNDOG_PROBE("borrows.old_update_ignored");
    return Outcome::kUnchanged;
  }
  state.version = version;
  if (held == state.held) return Outcome::kUnchanged;
  state.held = held;
  if (held) {
    ++held_count_;
    return Outcome::kTaken;
  }
  --held_count_;
  return Outcome::kReleased;
}

OwnerBorrows::SetChanges OwnerBorrows::replace(const Member& borrower, const BorrowSet& set,
                                               const std::vector<bool>& known) {
  SUNDOG_CHECK(known.size() == set.held.size());
  SetChanges changes;
  std::set<ObjectId> named;
  for (size_t i = 0; i < set.held.size(); ++i) {
    const BorrowUpdate& one = set.held[i];
    named.insert(one.id);
    if (update(borrower, one.id, one.version, true, known[i]) == Outcome::kTaken)
      changes.taken.push_back(one.id);
  }
  for (auto at = by_borrower_.lower_bound({borrower, ObjectId{}});
       at != by_borrower_.end() && at->first == borrower; ++at) {
    State& state = states_.at({at->second, borrower});
    if (named.contains(at->second) || !state.held || state.version > set.version) continue;
    SUNDOG_PROBE("borrows.set_releases_what_it_does_not_name");
    state.held = false;
    state.version = set.version;
    --held_count_;
    changes.released.push_back(at->second);
  }
  return changes;
}

void OwnerBorrows::forget(const ObjectId& id) {
  for (auto at = states_.lower_bound({id, Member{}});
       at != states_.end() && at->first.first == id;) {
    if (at->second.held) --held_count_;
    by_borrower_.erase({at->first.second, id});
    at = states_.erase(at);
  }
}

std::vector<ObjectId> OwnerBorrows::drop(const Member& borrower) {
  std::vector<ObjectId> released;
  auto first = by_borrower_.lower_bound({borrower, ObjectId{}});
  auto last = first;
  for (; last != by_borrower_.end() && last->first == borrower; ++last) {
    auto state = states_.find({last->second, borrower});
    if (state->second.held) {
      released.push_back(last->second);
      --held_count_;
    }
    states_.erase(state);
  }
  by_borrower_.erase(first, last);
  return released;
}

bool OwnerBorrows::holds(const Member& borrower, const ObjectId& id) const {
  auto found = states_.find({id, borrower});
  return found != states_.end() && found->second.held;
}

void OwnerBorrows::validate() const {
  size_t held = 0;
  for (const auto& [key, state] : states_) {
    held += state.held;
    SUNDOG_CHECK(by_borrower_.contains({key.second, key.first}));
  }
  SUNDOG_CHECK(held == held_count_);
  SUNDOG_CHECK(by_borrower_.size() == states_.size());
}

// ---------------------------------------------------------------- borrower

void BorrowerRefs::say(TimeNs now, const Key& key, Entry* entry, Sends* sends) {
  entry->sent = now;
  sends->push_back({key.first, {key.second, entry->version, entry->held}});
}

bool BorrowerRefs::begin(TimeNs now, const GlobalRef& ref, uint64_t epoch, Sends* sends) {
  Key key{ref.owner, ref.id};
  auto [at, is_new] = entries_.try_emplace(key);
  Entry& entry = at->second;
  if (!is_new && entry.held) return entry.answered;
  if (!is_new) SUNDOG_PROBE("borrows.taken_again_before_release_was_confirmed");
  entry = Entry{++last_version_, true, false, epoch, now};
  say(now, key, &entry, sends);
  return false;
}

uint64_t BorrowerRefs::begin_confirmed(const GlobalRef& ref) {
  Entry& entry = entries_[{ref.owner, ref.id}];
  entry = Entry{++last_version_, true, true, 0, 0};
  return entry.version;
}

void BorrowerRefs::end(TimeNs now, const GlobalRef& ref, Sends* sends) {
  Key key{ref.owner, ref.id};
  auto found = entries_.find(key);
  if (found == entries_.end() || !found->second.held) return;
  if (!found->second.answered) SUNDOG_PROBE("borrows.released_before_confirmed");
  Entry& entry = found->second;
  entry.version = ++last_version_;
  entry.held = false;
  entry.answered = false;
  say(now, key, &entry, sends);
}

BorrowerRefs::Answer BorrowerRefs::confirm(const Member& owner, const BorrowConfirm& answer) {
  auto found = entries_.find({owner, answer.id});
  if (found == entries_.end() || found->second.version != answer.version) {
    SUNDOG_PROBE("borrows.late_confirmation_ignored");
    return Answer::kIgnored;
  }
  Entry& entry = found->second;
  if (entry.answered && answer.known) return Answer::kIgnored;
  if (!entry.held) {
    entries_.erase(found);
    return Answer::kReleased;
  }
  if (!answer.known) {
    entries_.erase(found);
    return Answer::kLost;
  }
  entry.answered = true;
  return Answer::kConfirmed;
}

void BorrowerRefs::tick(TimeNs now, Sends* sends) {
  for (auto& [key, entry] : entries_) {
    if (entry.answered || now - entry.sent < retry_) continue;
    SUNDOG_PROBE("borrows.update_repeated");
    say(now, key, &entry, sends);
  }
}

TimeNs BorrowerRefs::next_retry() const {
  TimeNs next = kNever;
  for (const auto& [key, entry] : entries_)
    if (!entry.answered) next = std::min(next, entry.sent + retry_);
  return next;
}

std::vector<ObjectId> BorrowerRefs::drop_owner(const Member& owner) {
  std::vector<ObjectId> lost;
  auto at = entries_.lower_bound({owner, ObjectId{}});
  while (at != entries_.end() && at->first.first == owner) {
    if (at->second.held) lost.push_back(at->first.second);
    at = entries_.erase(at);
  }
  return lost;
}

BorrowSet BorrowerRefs::whole_set(const Member& owner) {
  BorrowSet set{++last_version_, {}};
  for (auto at = entries_.lower_bound({owner, ObjectId{}});
       at != entries_.end() && at->first.first == owner; ++at)
    if (at->second.held) set.held.push_back({at->first.second, at->second.version, true});
  return set;
}

bool BorrowerRefs::is_held(const GlobalRef& ref) const {
  auto found = entries_.find({ref.owner, ref.id});
  return found != entries_.end() && found->second.held;
}

bool BorrowerRefs::is_confirmed(const GlobalRef& ref) const {
  auto found = entries_.find({ref.owner, ref.id});
  return found != entries_.end() && found->second.held && found->second.answered;
}

uint64_t BorrowerRefs::version_of(const GlobalRef& ref) const {
  auto found = entries_.find({ref.owner, ref.id});
  return found != entries_.end() && found->second.held ? found->second.version : 0;
}

uint64_t BorrowerRefs::acknowledgeable(uint64_t epoch) const {
  for (const auto& [key, entry] : entries_) {
    if (!entry.held || entry.answered || entry.since_epoch >= epoch) continue;
    SUNDOG_PROBE("borrows.acknowledgement_waits_for_confirmation");
    epoch = entry.since_epoch;
  }
  return epoch;
}

void BorrowerRefs::validate() const {
  std::set<uint64_t> versions;
  for (const auto& [key, entry] : entries_) {
    SUNDOG_CHECK(entry.version > 0 && entry.version <= last_version_);
    SUNDOG_CHECK(versions.insert(entry.version).second);
    SUNDOG_CHECK(entry.held || !entry.answered);  // a confirmed release is forgotten
  }
}

// ---------------------------------------------------------------- hand-offs

uint64_t HandOffs::begin(const Member& receiver, std::vector<ObjectId> ids) {
  open_[++last_] = {receiver, std::move(ids)};
  return last_;
}

std::vector<ObjectId> HandOffs::held(const Member& receiver, uint64_t hand_off) {
  auto found = open_.find(hand_off);
  if (found == open_.end() || found->second.receiver != receiver) {
    SUNDOG_PROBE("borrows.held_answered_twice");
    return {};
  }
  auto ids = std::move(found->second.ids);
  open_.erase(found);
  return ids;
}

std::vector<ObjectId> HandOffs::drop(const Member& receiver) {
  std::vector<ObjectId> ids;
  for (auto at = open_.begin(); at != open_.end();) {
    if (at->second.receiver == receiver) {
      SUNDOG_PROBE("borrows.receiver_died_holding_nothing");
      ids.insert(ids.end(), at->second.ids.begin(), at->second.ids.end());
      at = open_.erase(at);
    } else {
      ++at;
    }
  }
  return ids;
}

void HandOffs::validate() const {
  for (const auto& [id, open] : open_)
    SUNDOG_CHECK(id > 0 && id <= last_ && !open.receiver.is_nil());
}

}  // namespace sundog::core
