// What this machine, or the container we are in, gives us. Any thread; reads files of /proc and of
// the cgroup (version 2; of version 1 the limits only), each time anew.
#pragma once

#include <cstdint>
#include <string>

namespace sundog::os {

// A number and where it comes from, for people: "cgroup quota 1.5".
struct Sized {
  int64_t value = 0;
  std::string reason;
};

// min(affinity, cgroup quota rounded down, at least 1), whole CPUs.
Sized usable_cpus();
// min(RAM, cgroup limit), bytes.
Sized usable_memory();
// Bytes that can still be had without swapping, in the cgroup too.
int64_t available_memory();
// How often the kernel killed a process of our cgroup (or below) for memory; -1: unknown.
int64_t oom_kills();
// Whether memory that the process makes is accounted to the same cgroup as ours.
bool shares_our_cgroup(uint32_t pid);
// Whether the kernel refuses memory that it may not be able to give: then a first touch can fault.
bool commits_strictly();
std::string host_name();

}  // namespace sundog::os
