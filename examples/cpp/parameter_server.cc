// A parameter server: an actor keeps the weights of a line, workers fetch them and send gradients.
#include <sundog/sundog.h>

#include <cmath>
#include <iostream>

using Weights = std::vector<double>;  // slope, intercept

class ParameterServer {
 public:
  explicit ParameterServer(Weights start) : weights_(std::move(start)) {}
  Weights apply(const Weights& gradient, double rate) {
    for (size_t i = 0; i < weights_.size(); ++i) weights_[i] -= rate * gradient[i];
    return weights_;
  }
  Weights weights() const { return weights_; }

 private:
  Weights weights_;
};
SUNDOG_ACTOR(ParameterServer, apply, weights);

// Of the squared error of y = 3 x + 1 over this worker's points.
Weights gradient(int64_t worker, const Weights& weights) {
  Weights sum(2, 0.0);
  constexpr int kPoints = 100;
  for (int i = 0; i < kPoints; ++i) {
    const double x = std::sin(static_cast<double>(worker * kPoints + i));
    const double error = weights[0] * x + weights[1] - (3 * x + 1);
    sum[0] += 2 * error * x / kPoints;
    sum[1] += 2 * error / kPoints;
  }
  return sum;
}
SUNDOG_REMOTE(gradient);

int main(int argc, char** argv) try {
  auto session = sundog::init(argc, argv);
  auto server = session.actor<ParameterServer>().remote(Weights{0, 0});
  auto weights = server.call(&ParameterServer::weights).remote();
  for (int step = 0; step < 60; ++step) {
    std::vector<sundog::Ref<Weights>> gradients;
    for (int64_t worker = 0; worker < 4; ++worker) {
      gradients.push_back(session.task(gradient).remote(worker, weights));
    }
    for (const auto& each : gradients) {
      weights = server.call(&ParameterServer::apply).remote(each, 0.1);
    }
  }
  const Weights found = session.get(weights);
  std::cout << "y = " << std::round(found[0] * 100) / 100 << " x + "
            << std::round(found[1] * 100) / 100 << "\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
