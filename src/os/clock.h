// The clocks. Shells read them and hand the time to whatever decides.
#pragma once

#include <string>

#include "base/time.h"

namespace sundog::os {

TimeNs now();                        // CLOCK_MONOTONIC
TimeNs wall_now();                   // CLOCK_REALTIME, since 1970
TimeNs thread_cpu_now();             // CPU time of the calling thread
std::string wall_text(TimeNs wall);  // "2031-05-04 13:07:09.123", local time

}  // namespace sundog::os
