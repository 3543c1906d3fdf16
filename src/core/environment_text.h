// How the description of a runtime environment tells whose workers it is for: those of Python a
// JSON object. Those of C++ have behind this their folder and each variable, NAME=VALUE; then,
// behind an empty part, what they cannot have themselves and give to what they call in Python,
// NAME=JSON. Parts are separated by a NUL.
#pragma once

#include <string_view>

namespace sundog::core {

constexpr std::string_view kCppEnvironment("cpp\0", 4);

// The first part of a description, which loses it.
inline std::string_view next_part(std::string_view* rest) {
  const std::string_view part = rest->substr(0, rest->find('\0'));
  rest->remove_prefix(part.size() < rest->size() ? part.size() + 1 : part.size());
  return part;
}

}  // namespace sundog::core
