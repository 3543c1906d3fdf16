// How the description of a runtime environment tells whose workers it is for: those of C++ have a
// folder and variables behind this, each ended by a NUL; those of Python a JSON object.
#pragma once

#include <string_view>

namespace sundog::core {

constexpr std::string_view kCppEnvironment("cpp\0", 4);

}  // namespace sundog::core
