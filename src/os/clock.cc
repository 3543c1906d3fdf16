#include "os/clock.h"

#include <stdio.h>
#include <time.h>

namespace sundog::os {
namespace {

TimeNs read_clock(clockid_t which) {
  timespec t;
  ::clock_gettime(which, &t);
  return static_cast<TimeNs>(t.tv_sec) * kSecond + t.tv_nsec;
}

}  // namespace

TimeNs now() { return read_clock(CLOCK_MONOTONIC); }
TimeNs wall_now() { return read_clock(CLOCK_REALTIME); }
TimeNs thread_cpu_now() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

std::string wall_text(TimeNs wall) {
  time_t seconds = wall / kSecond;
  tm local{};
  ::localtime_r(&seconds, &local);
  char text[64];
  size_t n = ::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  n += static_cast<size_t>(::snprintf(text + n, sizeof text - n, ".%03d",
                                      static_cast<int>(wall % kSecond / kMillisecond)));
  return std::string(text, n);
}

}  // namespace sundog::os
