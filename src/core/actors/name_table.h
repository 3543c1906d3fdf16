// NameTable: names of actors, one directory for each namespace (docs/design/0004-actors.md).
//
// A name is reserved before its actor is made, so that nobody runs a constructor in vain. Whoever
// asks for a reserved name waits until it is bound (then it is found) or given back (then the first
// that wanted to claim it gets it, or finders learn that it is unknown).
//
// Owned by NodeCore, pure. It counts no references: NodeCore does for the entries it is told of.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "model/messages.h"

namespace sundog::core {

struct NamedActor {
  ObjectId actor;
  ObjectId descriptor;
  auto operator<=>(const NamedActor&) const = default;
};

class NameTable {
 public:
  struct Answer {
    ClientId client;
    uint32_t request = 0;
    model::NameStatus status = model::NameStatus::kUnknown;
    NamedActor named;  // kFound
  };
  using Answers = std::vector<Answer>;
  using Key = std::pair<std::string, std::string>;  // namespace, name

  void claim(ClientId client, uint32_t request, Key key, Answers* answers);
  void find(ClientId client, uint32_t request, const Key& key, Answers* answers);
  // False: the client did not reserve it, or it is bound.
  bool bind(ClientId client, const Key& key, const NamedActor& named, Answers* answers);
  bool give_back(ClientId client, const Key& key, Answers* answers);
  // The actor died for good. True and *named if the name was bound.
  bool remove(const Key& key, NamedActor* named);
  // What it reserved is given back, and it waits for nothing any more.
  void client_gone(ClientId client, Answers* answers);

  size_t size() const { return entries_.size(); }
  // Bound names of a namespace (empty: of all), in order: visit(key, named).
  template <typename Visit>
  void each_bound(std::string_view name_space, Visit&& visit) const {
    for (const auto& [key, entry] : entries_)
      if (entry.bound && (name_space.empty() || key.first == name_space)) visit(key, entry.named);
  }
  std::string validate() const;

 private:
  struct Waiter {
    ClientId client;
    uint32_t request = 0;
    bool claims = false;
  };
  struct Entry {
    bool bound = false;
    ClientId reserver;  // while not bound
    NamedActor named;   // while bound
    std::vector<Waiter> waiters;
  };
  using Entries = std::map<Key, Entry>;

  void release(Entries::iterator at, Answers* answers);

  Entries entries_;
};

}  // namespace sundog::core
