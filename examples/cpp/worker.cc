// Functions that run as tasks and a class of actors, for other programs to call.
// Started by driver.cc, or by hand: worker --address SOCKET
#include <sundog/sundog.h>

#include <stdexcept>

int64_t add(int64_t a, int64_t b) { return a + b; }
SUNDOG_REMOTE(add);

std::string greet(const std::string& name) {
  if (name.empty()) throw std::invalid_argument("nobody to greet");
  return "hello, " + name;
}
SUNDOG_REMOTE(greet);

std::vector<double> scaled(const sundog::TensorView<double>& tensor, double factor) {
  std::vector<double> result;
  for (double x : tensor) result.push_back(x * factor);
  return result;
}
SUNDOG_REMOTE(scaled);

// A task that submits tasks: while it waits, another process of this program runs them.
int64_t sum_to(sundog::Session& session, int64_t n) {
  auto sum = session.put(int64_t{0});
  for (int64_t i = 1; i <= n; ++i) sum = session.task(add).remote(sum, i);
  return session.get(sum);
}
SUNDOG_REMOTE(sum_to);

struct Point {
  double x = 0, y = 0;
};
SUNDOG_FIELDS(Point, x, y)

std::map<std::string, Point> moved(std::map<std::string, Point> points, const Point& by) {
  for (auto& [name, point] : points) point = {point.x + by.x, point.y + by.y};
  return points;
}
SUNDOG_REMOTE(moved);

class Counter {
 public:
  explicit Counter(int64_t start) : value_(start) {
    if (start < 0) throw std::invalid_argument("a counter starts at 0 or more");
  }
  int64_t add(int64_t by) { return value_ += by; }
  int64_t value() const { return value_; }
  void fail() { throw std::runtime_error("as asked"); }
  void stop() { sundog::exit_actor(); }

 private:
  int64_t value_;
};
SUNDOG_ACTOR(Counter, add, value, fail, stop);

int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
