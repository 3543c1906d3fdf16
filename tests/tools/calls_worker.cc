// The C++ worker of the tests of calls (src/api/calls_test.cc, tests/e2e/test_cpp_calls.py):
// functions that tell by files how far they came. calls_worker --address SOCKET
#include <sundog/sundog.h>

#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

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

// Tells `closed` when its frame goes, however it ends.
class Tells {
 public:
  explicit Tells(std::string file) : file_(std::move(file)) {}
  ~Tells() { tell(file_); }

 private:
  std::string file_;
};

sundog::Generator<int64_t> count_up(int64_t from, int64_t to) {
  for (int64_t i = from; i < to; ++i) co_yield i;
}
SUNDOG_REMOTE(count_up);

// Words of a text, which a caller sends: it lives as long as they come.
sundog::Generator<std::string> words(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    co_yield text.substr(at, end - at);
    at = end + 1;
  }
}
SUNDOG_REMOTE(words);

sundog::Generator<std::vector<double>> rows(int64_t count, int64_t width) {
  for (int64_t i = 0; i < count; ++i) {
    co_yield std::vector<double>(static_cast<size_t>(width), static_cast<double>(i));
  }
}
SUNDOG_REMOTE(rows);

sundog::Generator<int64_t> breaks_after(int64_t count) {
  for (int64_t i = 0; i < count; ++i) co_yield i;
  throw std::out_of_range("no more of them");
}
SUNDOG_REMOTE(breaks_after);

// Without end; each item is told by a file of its number.
sundog::Generator<int64_t> numbered(std::string folder, std::string closed) {
  Tells tells(closed);
  for (int64_t i = 0;; ++i) {
    tell(folder + "/" + std::to_string(i));
    co_yield i;
  }
}
SUNDOG_REMOTE(numbered);

// Takes from another generator, and yields what it makes of it.
sundog::Generator<int64_t> doubled(sundog::Session& session, int64_t to) {
  for (sundog::Ref<int64_t> item : session.task(count_up).remote(0, to)) {
    int64_t value = session.get(item);
    co_yield 2 * value;
  }
}
SUNDOG_REMOTE(doubled);

// The sum of the first items of a generator in Python, which is closed then.
int64_t sum_of_python(sundog::Session& session, const std::string& name, int64_t count) {
  auto stream = session.python_task<sundog::Generator<int64_t>>(name).remote();
  int64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += session.get(stream.next().value());
  return sum;
}
SUNDOG_REMOTE(sum_of_python);

// The parts of what a function of Python returns, so many as it is told to return.
std::vector<int64_t> parts_of_python(sundog::Session& session, const std::string& name,
                                     int64_t count) {
  auto function = session.python_task<std::vector<int64_t>>(name);
  return session.get(function.num_returns(static_cast<size_t>(count)).remote(count));
}
SUNDOG_REMOTE(parts_of_python);

int64_t twice(int64_t x) { return 2 * x; }
SUNDOG_REMOTE(twice);

// Yields once, and again when `go_on` is there.
sundog::Generator<int64_t> waits_between(std::string go_on) {
  co_yield 1;
  while (!std::ifstream(go_on).good()) std::this_thread::yield();
  co_yield 2;
}
SUNDOG_REMOTE(waits_between);

// What the worker's process has: a variable of its environment, a file beside it.
std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}
SUNDOG_REMOTE(variable);

std::string first_word_of(const std::string& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}
SUNDOG_REMOTE(first_word_of);

std::string variable_of_a_child(sundog::Session& session, const std::string& name) {
  return session.get(session.task(variable).remote(name));
}
SUNDOG_REMOTE(variable_of_a_child);

// Of a child that has variables besides.
std::string variable_beside(sundog::Session& session, const std::string& name,
                            const std::map<std::string, std::string>& variables) {
  auto child = session.task(variable).options({.runtime_env = {.env_vars = variables}});
  return session.get(child.remote(name));
}
SUNDOG_REMOTE(variable_beside);

// What a function of Python without arguments says: "module:function".
std::string told_by_python(sundog::Session& session, const std::string& function) {
  return session.get(session.python_task<std::string>(function).remote());
}
SUNDOG_REMOTE(told_by_python);

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
  sundog::Generator<int64_t> each_call(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      ++calls_;
      co_yield calls_;
    }
  }
  sundog::Generator<int64_t> until_cancelled(std::string begun, std::stop_token stop) {
    co_yield 1;
    tell(begun);
    wait_for_stop(stop);
    co_yield 2;
  }
  // Without end; each item is told by a file of its number.
  sundog::Generator<int64_t> numbered(std::string folder, std::string closed) {
    Tells tells(closed);
    for (int64_t i = 0;; ++i) {
      tell(folder + "/" + std::to_string(i));
      co_yield i;
    }
  }
  std::string has(const std::string& name) const { return variable(name); }
  std::vector<int64_t> up_to(int64_t count) const {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < count; ++i) all.push_back(i);
    return all;
  }
  std::pair<int64_t, bool> counted(bool more) {
    calls_ += more ? 1 : 0;
    return {calls_, more};
  }

 private:
  int64_t calls_ = 0;
};
SUNDOG_ACTOR(Patient, until_stopped, calls, counted, each_call, until_cancelled, numbered, up_to,
             has);

// ---- Arrow, for tests/e2e/test_cpp_arrow.py

double sum_of_column(const sundog::ArrowTable& table, const std::string& column) {
  double sum = 0;
  for (const sundog::ArrowArray& chunk : table.column(column).chunks) {
    for (int64_t i = 0; i < chunk.size(); ++i) {
      if (chunk.is_valid(i)) sum += chunk.values<double>()[static_cast<size_t>(i)];
    }
  }
  return sum;
}
SUNDOG_REMOTE(sum_of_column);

std::vector<std::optional<std::string>> texts_of(const sundog::ArrowArray& array) {
  std::vector<std::optional<std::string>> texts;
  for (int64_t i = 0; i < array.size(); ++i) {
    if (array.is_valid(i)) {
      texts.emplace_back(array.text(i));
    } else {
      texts.emplace_back(std::nullopt);
    }
  }
  return texts;
}
SUNDOG_REMOTE(texts_of);

std::vector<std::pair<std::string, std::string>> types_of(const sundog::ArrowTable& table) {
  std::vector<std::pair<std::string, std::string>> types;
  for (const sundog::ArrowColumn& column : table.columns()) {
    types.emplace_back(column.name, column.chunks.at(0).type());
  }
  return types;
}
SUNDOG_REMOTE(types_of);

sundog::ArrowTable made_table(int64_t rows) {
  std::vector<double> halves;
  std::vector<int32_t> numbers;
  std::vector<std::string> words;
  std::vector<bool> odd, there;
  for (int64_t i = 0; i < rows; ++i) {
    halves.push_back(0.5 * static_cast<double>(i));
    numbers.push_back(static_cast<int32_t>(i));
    words.push_back("w" + std::to_string(i));
    odd.push_back(i % 2 == 1);
    there.push_back(i % 3 != 0);
  }
  sundog::ArrowTable table;
  table.add("halves", sundog::ArrowArray::owning(std::move(halves)));
  table.add("numbers", sundog::ArrowArray::owning(std::move(numbers), there));
  table.add("words", sundog::ArrowArray::of(words, there));
  table.add("odd", sundog::ArrowArray::of(odd));
  return table;
}
SUNDOG_REMOTE(made_table);

std::map<std::string, sundog::ArrowTable> passed_on(
    const std::map<std::string, sundog::ArrowTable>& tables) {
  return tables;
}
SUNDOG_REMOTE(passed_on);

int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
