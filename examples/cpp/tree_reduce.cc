// Adds up arrays two by two: what a task makes is passed on as a reference, so that each sum starts
// as soon as both of its arrays are there, and no array ever comes to this process but the last.
#include <sundog/sundog.h>

#include <iostream>
#include <numeric>

std::vector<double> part(int64_t index, int64_t size) {
  std::vector<double> numbers(size);
  std::iota(numbers.begin(), numbers.end(), static_cast<double>(index * size));
  return numbers;
}
SUNDOG_REMOTE(part);

std::vector<double> sum(const sundog::TensorView<double>& a, const sundog::TensorView<double>& b) {
  std::vector<double> result(a.begin(), a.end());
  for (size_t i = 0; i < result.size(); ++i) result[i] += b[i];
  return result;
}
SUNDOG_REMOTE(sum);

int main(int argc, char** argv) try {
  auto session = sundog::init(argc, argv);
  constexpr int64_t kParts = 16, kSize = 100'000;
  std::vector<sundog::Ref<std::vector<double>>> level;
  for (int64_t i = 0; i < kParts; ++i) level.push_back(session.task(part).remote(i, kSize));
  while (level.size() > 1) {
    std::vector<sundog::Ref<std::vector<double>>> next;
    for (size_t i = 0; i < level.size(); i += 2) {
      next.push_back(session.task(sum).remote(level[i], level[i + 1]));
    }
    level = std::move(next);
  }
  const std::vector<double> total = session.get(level[0]);
  std::cout << kParts << " arrays of " << kSize << ": the first sum is "
            << static_cast<int64_t>(total.front()) << ", the last "
            << static_cast<int64_t>(total.back()) << "\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
