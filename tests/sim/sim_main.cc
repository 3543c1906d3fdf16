// sim_main: runs simulated clusters from seeds, each twice, and prints what went wrong.
//
//   sim_main --seeds 1..2000      each seed twice; the last line is a hash over all of them, which
//                                 is the same with every compiler
//   sim_main --seed 17 --trace    one run with everything that happens
//   sim_main --seeds 1..200 --groups   each with placement groups, of which else a part has none
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/hash.h"
#include "base/probe.h"
#include "sim/sim_cluster.h"

namespace {

using sundog::sim::SimCluster;
using sundog::sim::SimConfig;
using sundog::sim::SimResult;

int usage() {
  std::fputs(
      "usage: sim_main [--seeds FIRST..LAST | --seed N] [--trace] [--probes] "
      "[--groups]\n",
      stderr);
  return 2;
}

SimResult run(uint64_t seed, bool trace, bool groups) {
  SimConfig config = SimConfig::of_seed(seed);
  config.groups = config.groups || groups;
  config.trace = trace;
  return SimCluster(config).run();
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1, last = 200;
  bool trace = false, probes = false, groups = false;
  for (int i = 1; i < argc; ++i) {
    std::string option = argv[i];
    if (option == "--trace") {
      trace = true;
    } else if (option == "--probes") {
      probes = true;
    } else if (option == "--groups") {
      groups = true;
    } else if (option == "--seed" && i + 1 < argc) {
      first = last = std::strtoull(argv[++i], nullptr, 10);
    } else if (option == "--seeds" && i + 1 < argc) {
      if (std::sscanf(argv[++i], "%" SCNu64 "..%" SCNu64, &first, &last) != 2) return usage();
    } else {
      return usage();
    }
  }
  uint64_t all = 0, steps = 0, tasks = 0;
  int failed = 0;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SimResult result = run(seed, trace, groups);
    if (result.failures.empty() && run(seed, false, groups).hash != result.hash)
      result.failures.push_back("the second run gave other effects");
    all = sundog::hash64(&result.hash, sizeof result.hash, all);
    steps += result.steps;
    tasks += result.tasks;
    if (!result.failures.empty()) ++failed;
    for (const std::string& failure : result.failures)
      std::printf("seed %" PRIu64 ": %s\n", seed, failure.c_str());
    if (first == last) std::printf("hash %016" PRIx64 "\n", result.hash);
  }
  if (probes)
    for (const auto& [name, hits] : sundog::all_probe_hits())
      std::printf("probe %-60.*s %10" PRIu64 "\n", static_cast<int>(name.size()), name.data(),
                  hits);
  std::printf("%" PRIu64 " seeds, %d failed, %" PRIu64 " tasks, %" PRIu64 " steps, hash %016" PRIx64
              "\n",
              last - first + 1, failed, tasks, steps, all);
  return failed == 0 ? 0 : 1;
}
