// The hash table of the project. Nothing that decides may iterate one (the order is arbitrary);
// look-ups only.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/ids.h"

namespace sundog {

template <typename Id, typename Value>
using IdMap = boost::unordered_flat_map<Id, Value, IdHash>;
template <typename Id>
using IdSet = boost::unordered_flat_set<Id, IdHash>;

}  // namespace sundog
