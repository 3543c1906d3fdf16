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

// A task that submits tasks. While it waits it holds its process: have one more worker than tasks
// that wait at the same time.
int64_t sum_to(sundog::Session& session, int64_t n) {
  auto sum = session.put(int64_t{0});
  for (int64_t i = 1; i <= n; ++i) sum = session.task<int64_t>("add").remote(sum, i);
  return session.get(sum);
}
SUNDOG_REMOTE(sum_to);

int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
