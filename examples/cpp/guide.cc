// The program of docs/guide/cpp.md: guide PYTHON. A test compares the page's blocks with this file,
// and what they show with what this prints.
#include <sundog/sundog.h>

#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <stop_token>

int64_t add(int64_t a, int64_t b) { return a + b; }
SUNDOG_REMOTE(add);

struct Reading {
  std::string sensor;
  std::vector<double> values;
};
SUNDOG_FIELDS(Reading, sensor, values)

double mean(const Reading& reading) {
  if (reading.values.empty()) throw std::invalid_argument(reading.sensor + " has no values");
  double sum = 0;
  for (double value : reading.values) sum += value;
  return sum / static_cast<double>(reading.values.size());
}
SUNDOG_REMOTE(mean);

std::pair<int64_t, int64_t> divided(int64_t number, int64_t by) {
  return {number / by, number % by};
}
SUNDOG_REMOTE(divided);

double brightest(const sundog::TensorView<double>& image) {
  double most = 0;
  for (int64_t row = 0; row < image.shape()[0]; ++row) {
    for (int64_t column = 0; column < image.shape()[1]; ++column) {
      most = std::max(most, image(row, column));
    }
  }
  return most;
}
SUNDOG_REMOTE(brightest);

class Counter {
 public:
  explicit Counter(int64_t start) : value_(start) {}
  int64_t add(int64_t by) { return value_ += by; }

 private:
  int64_t value_;
};
SUNDOG_ACTOR(Counter, add);

int64_t count_to(sundog::Session& session, const sundog::ActorHandle<Counter>& counter, int64_t n) {
  sundog::Ref<int64_t> last;
  for (int64_t i = 0; i < n; ++i) last = counter.in(session).call(&Counter::add).remote(1);
  return session.get(last);
}
SUNDOG_REMOTE(count_to);

int64_t search(int64_t from, std::stop_token stop) {
  while (!stop.stop_requested()) from = (from * 31 + 7) % 1000003;
  return from;
}
SUNDOG_REMOTE(search);

sundog::Generator<int64_t> countdown(int64_t from) {
  for (int64_t i = from; i > 0; --i) co_yield i;
}
SUNDOG_REMOTE(countdown);

std::string level() {
  const char* value = std::getenv("LEVEL");
  return value == nullptr ? "none" : value;
}
SUNDOG_REMOTE(level);

sundog::Async<int64_t> sum_of(sundog::Stream<int64_t> numbers) {
  int64_t sum = 0;
  while (auto number = co_await numbers) {
    int64_t value = co_await *number;
    sum += value;
  }
  co_return sum;
}

sundog::Async<int64_t> twice(sundog::Session session, int64_t x) {
  auto sum = session.task(add).remote(x, x);
  int64_t value = co_await sum;
  co_return value;
}

void tasks(sundog::Session& session) {
  auto sum = session.task(add).remote(1, 2);
  auto more = session.task(add).remote(sum, 39);
  std::cout << session.get(more) << "\n";
}

void options(sundog::Session& session) {
  auto careful = session.task(add).options({.num_cpus = 2, .name = "careful", .max_retries = 0});
  std::cout << session.get(careful.remote(20, 22)) << "\n";
}

void parts(sundog::Session& session) {
  auto [quotient, rest] = session.task(divided).num_returns<2>().remote(17, 5);
  std::cout << session.get(session.task(add).remote(quotient, rest)) << "\n";
}

void values(sundog::Session& session) {
  Reading reading{"hall", {1.5, 2.5}};
  std::cout << session.get(session.task(mean).remote(reading)) << "\n";
}

void tensors(sundog::Session& session) {
  std::vector<double> pixels(1000 * 1000, 0.25);
  pixels[7] = 0.75;
  auto image = session.put(sundog::TensorView<double>(pixels, {1000, 1000}));
  std::cout << session.get(session.task(brightest).remote(image)) << "\n";
}

void errors(sundog::Session& session) {
  try {
    session.get(session.task(mean).remote(Reading{"cellar", {}}));
  } catch (const sundog::TaskError& error) {
    std::cout << error.type() << ": " << error.message() << "\n";
  }
}

void actors(sundog::Session& session) {
  auto counter = session.actor<Counter>().options({.name = "visits"}).remote(10);
  counter.call(&Counter::add).remote(5);
  auto found = session.get_actor<Counter>("visits");
  std::cout << session.get(found.call(&Counter::add).remote(1)) << "\n";
  std::cout << session.get(session.task(count_to).remote(counter, 4)) << "\n";
}

void waiting(sundog::Session& session) {
  std::vector<sundog::Async<int64_t>> several;
  for (int64_t i = 1; i <= 3; ++i) several.push_back(twice(session, i));
  for (int64_t each : sundog::run(session, std::move(several))) std::cout << each << " ";
  std::cout << "\n";

  std::future<int64_t> later = sundog::future_of(session, session.task(add).remote(3, 4));
  std::cout << later.get() << "\n";
}

void streams(sundog::Session& session) {
  for (const auto& number : session.task(countdown).options({.stream_items = 10}).remote(3)) {
    std::cout << session.get(number) << " ";
  }
  std::cout << "\n";

  std::vector<sundog::Async<int64_t>> sums;
  for (int64_t from = 2; from <= 4; ++from) {
    sums.push_back(sum_of(session.task(countdown).remote(from)));
  }
  for (int64_t each : sundog::run(session, std::move(sums))) std::cout << each << " ";
  std::cout << "\n";
}

void cancelling(sundog::Session& session) {
  auto endless = session.task(search).remote(1);
  session.cancel(endless);
  try {
    session.get(endless);
  } catch (const sundog::TaskCancelledError&) {
    std::cout << "cancelled\n";
  }

  std::stop_source source;
  auto another = session.task(search).remote(2);
  auto tied = session.cancel_on(source.get_token(), another);
  source.request_stop();
  try {
    session.get(another);
  } catch (const sundog::TaskCancelledError&) {
    std::cout << "cancelled as well\n";
  }
}

void environments(sundog::Session& session) {
  auto third = session.task(level).options({.runtime_env = {.env_vars = {{"LEVEL", "3"}}}});
  std::cout << session.get(third.remote()) << "\n";
  std::cout << session.get(session.task(level).remote()) << "\n";
}

void python(sundog::Session& session) {
  auto root = session.python_task<double>("math:sqrt").remote(2.25);
  std::cout << session.get(root) << "\n";

  std::vector<int64_t> numbers{3, 1, 2};
  using Sorted = std::array<int64_t, 3>;
  auto sorted = session.python_task<Sorted>("builtins:sorted").num_returns<3>();
  auto largest = sorted.remote(numbers, sundog::named("reverse", true))[0];
  std::cout << session.get(largest) << "\n";

  auto endless = session.python_task<sundog::Generator<int64_t>>("itertools:count").remote(40);
  for (int i = 0; i < 3; ++i) std::cout << session.get(endless.next().value()) << " ";
  std::cout << "\n";

  auto words = session.python_actor("collections:Counter").remote("banana");
  using Counts = std::vector<std::pair<std::string, int64_t>>;
  for (const auto& [letter, count] : session.get(words.call<Counts>("most_common").remote(2))) {
    std::cout << letter << " " << count << "\n";
  }
}

int main(int argc, char** argv) try {
  sundog::InitOptions options_of_session;
  options_of_session.num_cpus = 2;
  if (argc > 1) options_of_session.python = argv[1];
  auto session = sundog::init(argc, argv, options_of_session);
  tasks(session);
  options(session);
  parts(session);
  values(session);
  tensors(session);
  errors(session);
  actors(session);
  waiting(session);
  streams(session);
  cancelling(session);
  environments(session);
  python(session);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
