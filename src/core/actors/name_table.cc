#include "core/actors/name_table.h"

#include <algorithm>

#include "base/probe.h"

namespace sundog::core {

using model::NameStatus;

void NameTable::claim(ClientId client, uint32_t request, Key key, Answers* answers) {
  auto [at, is_new] = entries_.try_emplace(std::move(key));
  Entry& entry = at->second;
  if (is_new) {
    entry.reserver = client;
    answers->push_back({client, request, NameStatus::kReserved, {}});
  } else if (entry.bound) {
    answers->push_back({client, request, NameStatus::kFound, entry.named});
  } else {
    SUNDOG_PROBE("names.claim_waits");
    entry.waiters.push_back({client, request, true});
  }
}

void NameTable::find(ClientId client, uint32_t request, const Key& key, Answers* answers) {
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    answers->push_back({client, request, NameStatus::kUnknown, {}});
  } else if (at->second.bound) {
    answers->push_back({client, request, NameStatus::kFound, at->second.named});
  } else {
    SUNDOG_PROBE("names.find_waits");
    at->second.waiters.push_back({client, request, false});
  }
}

bool NameTable::bind(ClientId client, const Key& key, const NamedActor& named, Answers* answers) {
  auto at = entries_.find(key);
  if (at == entries_.end() || at->second.bound || at->second.reserver != client) return false;
  Entry& entry = at->second;
  entry.bound = true;
  entry.reserver = ClientId{};
  entry.named = named;
  for (const Waiter& w : entry.waiters)
    answers->push_back({w.client, w.request, NameStatus::kFound, named});
  entry.waiters.clear();
  return true;
}

bool NameTable::give_back(ClientId client, const Key& key, Answers* answers) {
  auto at = entries_.find(key);
  if (at == entries_.end() || at->second.bound || at->second.reserver != client) return false;
  release(at, answers);
  return true;
}

// The first that wanted to claim it has it now; without one it is nobody's.
void NameTable::release(Entries::iterator at, Answers* answers) {
  auto& waiters = at->second.waiters;
  auto heir =
      std::find_if(waiters.begin(), waiters.end(), [](const Waiter& w) { return w.claims; });
  if (heir != waiters.end()) {
    SUNDOG_PROBE("names.reservation_passes_on");
    at->second.reserver = heir->client;
    answers->push_back({heir->client, heir->request, NameStatus::kReserved, {}});
    waiters.erase(heir);
    return;
  }
  for (const Waiter& w : waiters)
    answers->push_back({w.client, w.request, NameStatus::kUnknown, {}});
  entries_.erase(at);
}

bool NameTable::remove(const Key& key, NamedActor* named) {
  auto at = entries_.find(key);
  if (at == entries_.end() || !at->second.bound) return false;
  *named = at->second.named;
  entries_.erase(at);
  return true;
}

void NameTable::client_gone(ClientId client, Answers* answers) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto here = at++;
    std::erase_if(here->second.waiters, [&](const Waiter& w) { return w.client == client; });
    if (!here->second.bound && here->second.reserver == client) release(here, answers);
  }
}

std::string NameTable::validate() const {
  for (const auto& [key, entry] : entries_) {
    std::string who = "name " + key.first + "/" + key.second + ": ";
    if (entry.bound && !entry.waiters.empty()) return who + "bound, and somebody waits for it";
    if (entry.bound != entry.reserver.is_nil()) return who + "bound and reserved, or neither";
    if (entry.bound == entry.named.actor.is_nil()) return who + "bound to nothing";
  }
  return {};
}

}  // namespace sundog::core
