// A program that runs its own functions and objects in other processes.
#include <sundog/sundog.h>

#include <iostream>

int64_t square(int64_t x) { return x * x; }
SUNDOG_REMOTE(square);

class Total {
 public:
  int64_t add(int64_t x) { return total_ += x; }

 private:
  int64_t total_ = 0;
};
SUNDOG_ACTOR(Total, add);

int main(int argc, char** argv) try {
  auto session = sundog::init(argc, argv);  // first: in a worker's process it does not return

  auto total = session.actor<Total>().remote();
  sundog::Ref<int64_t> sum;
  for (int64_t i = 1; i <= 10; ++i) {
    auto squared = session.task(square).remote(i);
    sum = total.call(&Total::add).remote(squared);  // waits for `squared`
  }
  std::cout << "the squares of 1 to 10 add up to " << session.get(sum) << "\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
