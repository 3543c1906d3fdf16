// What a node daemon is started with; src/main fills it from flags.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sundog::node {

struct NodeOptions {
  std::string session;  // printable, at most 15 bytes
  std::string session_dir;
  std::string socket_path;  // empty: only the control descriptor
  int control_fd = -1;      // our end of a socket pair with the first driver
  bool stay = false;        // go on without any driver
  int64_t num_cpus = -1;    // 1/10000; negative: what this process may use
  int64_t num_gpus = 0;
  uint64_t store_bytes = 0;
  int64_t memory_bytes = -1;  // for `memory=` of tasks; negative: what the store leaves
  std::vector<std::pair<std::string, int64_t>> resources;  // without CPU, GPU and memory
  std::string python;                                      // empty: no Python workers
  std::string zygote;
  std::string zygote_config;
  std::string cpp_worker;  // program of C++ workers; empty: that of the first one that joins
};

}  // namespace sundog::node
