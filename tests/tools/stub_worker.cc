// Measures the daemon's own CPU time for a task: many C++ workers that do nothing, and submitters
// that keep 16 tasks in flight for each active worker.
//
//   stub_worker [--daemon PATH] [--clients 1,64,1000] [--submitters 1] [--in-flight 16]
//               [--tasks 100000] [--budget-us 2]
//
// Every client is a Runtime of its own, with its ring, its sleep flag and its thread; all of them
// live in this process. Prints one JSON object a count of clients. Exit code 1 if one is over
// budget.
//
// On a virtual machine most of what the daemon pays with few clients is not its own work: it sleeps
// between batches, and to sleep and to wake an idle processor cost microseconds each. So the same
// minute's price of both is measured and named beside it (sleep_us, wake_us).
#include <dirent.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/json.h"
#include "client/entry.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/poller.h"
#include "os/socket.h"

namespace sundog {
namespace {

constexpr int kDaemonCpus = 192;
constexpr int kWarmUpShare = 10;  // one tenth of the tasks is not measured

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "stub_worker: %s\n", what.c_str());
  std::exit(2);
}

struct Settings {
  std::string daemon;
  std::vector<int> clients = {1, 64, 1000};
  int submitters = 1;
  int in_flight = 16;
  int64_t tasks = 100'000;
  double budget_us = 2;
};

Settings parse(int argc, char** argv) {
  Settings settings;
  settings.daemon = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sundogd";
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--daemon") {
      settings.daemon = value;
    } else if (flag == "--clients") {
      settings.clients.clear();
      std::istringstream list(value);
      for (std::string one; std::getline(list, one, ',');) {
        settings.clients.push_back(std::stoi(one));
      }
    } else if (flag == "--submitters") {
      settings.submitters = std::stoi(value);
    } else if (flag == "--in-flight") {
      settings.in_flight = std::stoi(value);
    } else if (flag == "--tasks") {
      settings.tasks = std::stoll(value);
    } else if (flag == "--budget-us") {
      settings.budget_us = std::stod(value);
    } else {
      fail("unknown flag " + flag);
    }
  }
  return settings;
}

// CPU time of each thread of a process so far, nanoseconds by thread id.
std::map<std::string, int64_t> cpu_by_thread(uint32_t pid) {
  std::map<std::string, int64_t> times;
  std::string folder = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(folder)) {
    int64_t ns = 0;
    std::ifstream(thread.path() / "schedstat") >> ns;
    times[thread.path().filename()] = ns;
  }
  return times;
}
int64_t total(const std::map<std::string, int64_t>& times) {
  int64_t sum = 0;
  for (const auto& [thread, ns] : times) sum += ns;
  return sum;
}

// How often threads of a process went to sleep so far.
int64_t sleeps(uint32_t pid) {
  int64_t sum = 0;
  std::string folder = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& thread : std::filesystem::directory_iterator(folder)) {
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stoll(line.substr(24));
    }
  }
  return sum;
}

struct SleepPrice {
  double sleep_us = 0;  // CPU time of one sleep in epoll_wait that another thread ends
  double wake_us = 0;   // CPU time of waking a thread that sleeps on a futex
};

// Two threads that wake each other in turn and do nothing else.
SleepPrice sleep_price() {
  constexpr uint32_t kRounds = 5'000;
  auto poller = os::Poller::create();
  auto bell = os::make_eventfd();
  if (!poller || !bell || !poller->add_bell(bell->get(), 1)) fail("no epoll descriptor");
  std::atomic<uint32_t> round{0};
  std::thread peer([&] {
    for (uint32_t i = 0; i < kRounds; ++i) {
      while (round.load() == i) os::futex_wait(&round, i, kNever, os::FutexScope::kShared);
      os::signal_eventfd(bell->get());
    }
  });
  std::array<os::Readiness, 1> ready;
  int64_t waking = 0, sleeping = 0;
  for (uint32_t i = 0; i < kRounds; ++i) {
    const int64_t start = os::thread_cpu_now();
    round.fetch_add(1);
    os::futex_wake(&round, 1, os::FutexScope::kShared);
    const int64_t woken = os::thread_cpu_now();
    poller->wait(ready, -1);
    sleeping += os::thread_cpu_now() - woken;
    waking += woken - start;
  }
  peer.join();
  return {static_cast<double>(sleeping) / 1e3 / kRounds,
          static_cast<double>(waking) / 1e3 / kRounds};
}

template <typename T>
T must(client::CallResult<T> result) {
  if (!result) fail(result.error().text);
  return std::move(result).value();
}

class Session {
 public:
  Session(const Settings& settings, int clients) : settings_(settings) {
    char pattern[] = "/tmp/sundog-stub-XXXXXX";
    dir_ = mkdtemp(pattern);
    client::DriverConfig config;
    config.daemon_path = settings.daemon;
    config.daemon_arguments = {
        "--session",     "stub",    "--session-dir", dir_ + "/session",
        "--socket",      socket(),  "--num-cpus",    std::to_string(kDaemonCpus),
        "--store-bytes", "67108864"};
    driver_ = must(client::Runtime::connect_driver(config));
    for (int i = 0; i < clients; ++i) add_worker();
    for (int i = 1; i < settings.submitters; ++i) {
      client::DriverConfig join;
      join.address = socket();
      others_.push_back(must(client::Runtime::connect_driver(join)));
    }
  }
  ~Session() {
    for (auto& other : others_) other->shutdown();
    driver_->shutdown();
    for (auto& worker : workers_) worker.join();
    std::filesystem::remove_all(dir_);
  }

  // Runs `count` tasks with `window` in flight for each submitter.
  void run(int64_t count, int64_t window) {
    std::vector<std::thread> threads;
    int64_t each = count / settings_.submitters;
    for (auto& other : others_) {
      threads.emplace_back([&, runtime = other.get()] { submit(runtime, each, window); });
    }
    submit(driver_.get(), each, window);
    for (auto& thread : threads) thread.join();
  }
  uint32_t daemon_pid() const { return driver_->info().daemon_pid; }
  std::string status() { return must(driver_->query(model::Question::kStatus, "", nullptr)); }
  int busy_workers() const { return busy_; }

 private:
  std::string socket() const { return dir_ + "/s.sock"; }

  void add_worker() {
    auto control = os::connect_unix(socket());
    if (!control) fail(control.error());
    auto runtime = must(
        client::Runtime::connect_worker(control->release(), JobId{}, model::Language::kCpp, 0, 0));
    workers_.emplace_back([this, worker = std::move(runtime)] {
      bool was_busy = false;
      while (auto call = worker->next_task(nullptr)) {
        if (!was_busy) ++busy_;
        was_busy = true;
        TimeNs now = os::now();
        (void)worker->add_result(*call, 0, {model::Format::kNone, {}, {}}, nullptr);
        (void)worker->finish(*call, false, false, now, now);
      }
    });
  }

  void submit(client::Runtime* runtime, int64_t count, int64_t window) {
    client::TaskOptions options;
    options.name = "nothing";
    options.language = model::Language::kCpp;
    options.resources = {{"CPU", 10'000}};
    uint32_t task = must(runtime->define_template(options, ObjectId{}));
    std::deque<client::RefHandle> in_flight;
    std::vector<client::RefHandle> results;
    std::vector<client::Fetched> values;
    auto get_oldest = [&] {
      client::Entry* entry = in_flight.front().get();
      values.clear();
      must(runtime->get({&entry, 1}, kNever, nullptr, &values));
      if (values[0].format != model::Format::kNone) fail("a task failed");
      in_flight.pop_front();
    };
    for (int64_t i = 0; i < count; ++i) {
      if (static_cast<int64_t>(in_flight.size()) >= window) get_oldest();
      results.clear();
      must(runtime->submit({.template_id = task}, &results));
      in_flight.push_back(std::move(results[0]));
    }
    while (!in_flight.empty()) get_oldest();
  }

  const Settings settings_;
  std::string dir_;
  std::unique_ptr<client::Runtime> driver_;
  std::vector<std::unique_ptr<client::Runtime>> others_;
  std::vector<std::thread> workers_;
  std::atomic<int> busy_{0};
};

// True if within the budget.
bool measure(const Settings& settings, int clients) {
  Session session(settings, clients);
  const int active = std::min(clients, kDaemonCpus);
  const int64_t window = int64_t{settings.in_flight} * active / settings.submitters;
  session.run(settings.tasks / kWarmUpShare, window);
  const int64_t sleeps_before = sleeps(session.daemon_pid());
  auto cpu_before = cpu_by_thread(session.daemon_pid());
  TimeNs before = os::now();
  session.run(settings.tasks, window);
  DurationNs wall = os::now() - before;
  auto cpu_after = cpu_by_thread(session.daemon_pid());
  const int64_t slept = sleeps(session.daemon_pid()) - sleeps_before;
  const auto tasks = static_cast<double>(settings.tasks);
  const double cpu_us = static_cast<double>(total(cpu_after) - total(cpu_before)) / 1e3 / tasks;
  const SleepPrice price = sleep_price();
  JsonWriter json;
  json.begin_object()
      .field("clients", clients)
      .field("submitters", settings.submitters)
      .field("in_flight", window * settings.submitters)
      .field("workers_that_ran", session.busy_workers())
      .field("tasks", settings.tasks)
      .field("daemon_cpu_us_per_task", cpu_us)
      .field("budget_us", settings.budget_us)
      .field("daemon_sleeps_per_task", static_cast<double>(slept) / tasks)
      .field("sleep_us", price.sleep_us)
      .field("wake_us", price.wake_us)
      .field("tasks_per_s", tasks * 1e9 / static_cast<double>(wall))
      .field("daemon_threads", cpu_after.size())
      .end_object();
  std::printf("%s\n", json.text().c_str());
  std::fflush(stdout);
  return cpu_us <= settings.budget_us;
}

}  // namespace
}  // namespace sundog

int main(int argc, char** argv) {
  sundog::Settings settings = sundog::parse(argc, argv);
  bool ok = true;
  for (int clients : settings.clients) ok = sundog::measure(settings, clients) && ok;
  return ok ? 0 : 1;
}
