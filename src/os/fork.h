// fork_orphan: a fork whose process becomes the child of the nearest subreaper above us, for the
// price of one copy of our page tables. For processes with one thread; never starts one.
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/result.h"

namespace sundog::os {

// Whose side of the fork a call returned on.
struct OrphanFork {
  pid_t child = 0;         // 0: this is the child
  pid_t intermediate = 0;  // in the child: its parent for a moment, see await_new_parent
};

// `report(child)` is called once, between the two, by a process that shares our memory while we
// stand still: until it returns, the child's pid cannot be anybody else's, even if it has ended.
// False: the report failed; the child is there all the same.
Result<OrphanFork> fork_orphan(const std::function<bool(pid_t child)>& report);

// In the child: returns when it has its new parent; whether that is `parent`.
bool await_new_parent(pid_t intermediate, pid_t parent);

}  // namespace sundog::os
