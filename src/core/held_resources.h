// What holds a resource and does not give it back by itself, as tasks do when they end.
#pragma once

#include <string>

#include "core/node_core.h"

namespace sundog::core {

// ", 2 are held by Server 's0' and placement group 'x'"; empty if no actor or placement group
// holds any. Looks at each of them, names a few.
std::string held_for_long(const NodeCore& core, model::ResourceId resource);

}  // namespace sundog::core
