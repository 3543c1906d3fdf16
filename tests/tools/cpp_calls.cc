// What a call costs the program that makes it: batches of calls of an empty function, from C++.
// Prints one JSON object: calls, seconds, and CPU seconds of this process alone. bench/programs/
// cpp_calls.py runs it, and makes the same calls from Python.
//
//   cpp_calls [BATCHES] [CALLS-A-BATCH]
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "sundog/sundog.h"

namespace {

int64_t same(int64_t x) { return x; }
SUNDOG_REMOTE(same);

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// The task is made once, as in Python's loop; made for each call it costs some 60 instructions
// more.
void batch(sundog::Session& session, int calls) {
  const auto task = session.task(same);
  std::vector<sundog::Ref<int64_t>> refs;
  refs.reserve(static_cast<size_t>(calls));
  for (int i = 0; i < calls; ++i) refs.push_back(task.remote(i));
  if (session.get(refs).size() != static_cast<size_t>(calls)) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  auto session = sundog::init(argc, argv);
  const int batches = argc > 1 ? std::atoi(argv[1]) : 20;
  const int calls = argc > 2 ? std::atoi(argv[2]) : 1000;
  for (int i = 0; i < 3; ++i) batch(session, calls);
  const double cpu = cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < batches; ++i) batch(session, calls);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("{\"calls\": %d, \"seconds\": %.9f, \"cpu_seconds\": %.9f}\n", batches * calls,
              took.count(), cpu_seconds() - cpu);
}
