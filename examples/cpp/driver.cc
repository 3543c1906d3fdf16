// A C++ program that calls functions of another program: driver PATH-OF-worker [PYTHON]
#include <sundog/sundog.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 2) throw std::runtime_error("usage: driver WORKER [PYTHON]");
  sundog::InitOptions options;
  options.num_cpus = 2;
  options.worker = argv[1];
  if (argc > 2) options.python = argv[2];
  auto session = sundog::init(options);
  auto sum = session.task<int64_t>("add").remote(1, 2);
  auto more = session.task<int64_t>("add").remote(sum, 39);  // waits for `sum`
  std::cout << "add: " << session.get(more) << "\n";
  std::cout << session.get(session.task<std::string>("greet").remote("C++")) << "\n";

  std::vector<double> numbers(1'000'000, 0.5);
  auto stored = session.put(numbers);  // in shared memory, read there by every task
  auto scaled = session.get(session.task<sundog::TensorView<double>>("scaled").remote(stored, 4.0));
  std::cout << "scaled: " << scaled.size() << " times " << scaled[0] << "\n";

  if (argc > 2) {
    auto root = session.python_task<double>("math:sqrt").remote(2.0);
    std::cout << "Python says " << session.get(root) << "\n";
  }
  try {
    session.get(session.task<std::string>("greet").remote(""));
  } catch (const sundog::TaskError& error) {
    std::cout << error.type() << ": " << error.message() << "\n";
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
