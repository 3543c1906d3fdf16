// What this program lets others call, by name. Filled before main by SUNDOG_REMOTE and
// SUNDOG_ACTOR, only read afterwards: any thread.
#pragma once

#include <string>
#include <string_view>

#include "sundog/remote.h"

namespace sundog::detail {

// These throw Error with the name and the macro that is missing.
Invoke function_named(std::string_view name);
ActorType actor_named(std::string_view name);
InvokeMethod method_named(std::string_view class_name, std::string_view method);

}  // namespace sundog::detail
