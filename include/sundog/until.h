// Until: how long a call that waits does so.
//
//   session.get(ref, std::chrono::seconds(5));   session.get(ref, token);
//   session.get(ref, {std::chrono::seconds(5), token});
#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

namespace sundog {

using Seconds = std::chrono::duration<double>;
constexpr Seconds kForever = Seconds::max();

// So long, until the token is stopped, or whatever comes first. A stop is seen within a tenth of a
// second.
struct Until {
  Until() = default;
  template <typename Rep, typename Period>
  Until(std::chrono::duration<Rep, Period> for_so_long, std::stop_token stopped = {})
      : timeout(for_so_long), stop(std::move(stopped)) {}
  Until(std::stop_token stopped) : stop(std::move(stopped)) {}
  Seconds timeout = kForever;
  std::stop_token stop = {};
};

}  // namespace sundog
