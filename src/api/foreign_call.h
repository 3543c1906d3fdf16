// A call of a function of a Python module that C++ has not, as a pickle writes it. Whoever knows
// the function makes something of it (arrow.cc); what is passed on is written as it was read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sundog/value.h"

namespace sundog::detail {

struct ForeignCall {
  std::string module, function;
  std::vector<Value> arguments;
  std::shared_ptr<const void> owner;  // keeps what the arguments view
};

}  // namespace sundog::detail
