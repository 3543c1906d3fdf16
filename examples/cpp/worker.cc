// Functions that run as tasks. Started by driver.cc, or by hand: worker --address SOCKET
#include <sundog/sundog.h>

#include <stdexcept>

int64_t add(int64_t a, int64_t b) { return a + b; }
SUNDOG_REMOTE(add);

std::string greet(const std::string& name) {
  if (name.empty()) throw std::invalid_argument("nobody to greet");
  return "hello, " + name;
}
SUNDOG_REMOTE(greet);

std::vector<double> scaled(const sundog::TensorView& tensor, double factor) {
  std::vector<double> result;
  for (double x : tensor.as<double>()) result.push_back(x * factor);
  return result;
}
SUNDOG_REMOTE(scaled);

// A task that submits tasks.
int64_t fibonacci(sundog::Session& session, int64_t n) {
  if (n < 2) return n;
  auto left = session.task<int64_t>("fibonacci").remote(n - 1);
  auto right = session.task<int64_t>("fibonacci").remote(n - 2);
  return session.get(left) + session.get(right);
}
SUNDOG_REMOTE(fibonacci);

int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
