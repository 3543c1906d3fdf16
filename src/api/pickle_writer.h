// Values with an inside (lists, dicts, tuples, handles) as pickles, which Python reads without
// knowing that C++ wrote them: a stream of protocol 5 and the bytes of arrays as buffers beside it.
// Plain functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "sundog/value.h"
#include "wire/pickle_layout.h"

namespace sundog::detail {

// Views of the value that it was made of.
struct Pickled {
  std::string stream;
  std::vector<Bytes> buffers;
  std::vector<ObjectId> contained;  // references inside
};
// Throws TypeError for what cannot be sent.
Pickled pickle(const Value& value);

}  // namespace sundog::detail
