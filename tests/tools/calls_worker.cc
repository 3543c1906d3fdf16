// The C++ worker of the tests of calls (src/api/calls_test.cc, tests/e2e/test_cpp_calls.py):
// functions that tell by files how far they came. calls_worker --address SOCKET
#include <sundog/sundog.h>

#include <condition_variable>
#include <fstream>
#include <stdexcept>

namespace {

void tell(const std::string& file) { std::ofstream(file) << "told\n"; }

void wait_for_stop(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop, [] { return false; });
}

}  // namespace

std::tuple<int64_t, std::string> halved(int64_t x) { return {x / 2, x % 2 == 0 ? "even" : "odd"}; }
SUNDOG_REMOTE(halved);

std::vector<double> numbers(int64_t count) {
  std::vector<double> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(0.5 * static_cast<double>(i));
  return all;
}
SUNDOG_REMOTE(numbers);

int64_t twice(int64_t x) { return 2 * x; }
SUNDOG_REMOTE(twice);

// Tells `begun`, waits until it is cancelled, and tells `stopped`.
int64_t until_stopped(const std::string& begun, const std::string& stopped, std::stop_token stop) {
  tell(begun);
  wait_for_stop(stop);
  tell(stopped);
  return 1;
}
SUNDOG_REMOTE(until_stopped);

// The same with the session's token, and an error of its own.
void throws_when_stopped(sundog::Session& session, const std::string& begun) {
  tell(begun);
  wait_for_stop(session.stop_token());
  throw std::runtime_error("stopped as asked");
}
SUNDOG_REMOTE(throws_when_stopped);

// Never asks whether it is cancelled, but waits for what never comes.
int64_t waits_for_ever(sundog::Session& session, const std::string& begun) {
  auto never = session.task(twice).options({.num_cpus = 100}).remote(1);
  tell(begun);
  return session.get(never);
}
SUNDOG_REMOTE(waits_for_ever);

// Submits a task that only cancelling ends, and waits for it.
int64_t waits_for_child(sundog::Session& session, const std::string& begun,
                        const std::string& stopped, const std::stop_token& stop) {
  auto child = session.task(until_stopped).remote(begun, stopped);
  return session.get(child, stop);
}
SUNDOG_REMOTE(waits_for_child);

void cancels(sundog::Session& session, const std::vector<sundog::Ref<void>>& refs) {
  for (const auto& ref : refs) session.cancel(ref);
}
SUNDOG_REMOTE(cancels);

class Patient {
 public:
  // Tells `begun`; how often it was called, once it is cancelled.
  int64_t until_stopped(const std::string& begun, std::stop_token stop) {
    ++calls_;
    tell(begun);
    wait_for_stop(stop);
    return calls_;
  }
  int64_t calls() const { return calls_; }
  std::pair<int64_t, bool> counted(bool more) {
    calls_ += more ? 1 : 0;
    return {calls_, more};
  }

 private:
  int64_t calls_ = 0;
};
SUNDOG_ACTOR(Patient, until_stopped, calls, counted);

int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
