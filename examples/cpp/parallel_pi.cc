// Pi by throwing darts, in as many processes as there are CPUs: parallel_pi [MILLIONS-OF-DARTS]
#include <sundog/sundog.h>

#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <random>

// How many of `darts` fall into the quarter circle.
int64_t inside(uint32_t seed, int64_t darts) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> place(0, 1);
  int64_t hits = 0;
  for (int64_t i = 0; i < darts; ++i) {
    const double x = place(random), y = place(random);
    hits += x * x + y * y < 1;
  }
  return hits;
}
SUNDOG_REMOTE(inside);

int main(int argc, char** argv) try {
  auto session = sundog::init(argc, argv);
  const int64_t darts = 1'000'000 * (argc > 1 ? std::atoll(argv[1]) : 8);
  constexpr int kTasks = 16;
  std::vector<sundog::Ref<int64_t>> hits;
  for (int i = 0; i < kTasks; ++i) {
    hits.push_back(session.task(inside).remote(i, darts / kTasks));
  }
  int64_t sum = 0;
  for (int64_t each : session.get(hits)) sum += each;
  std::cout << "pi is about " << std::setprecision(3) << 4.0 * sum / darts << "\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
