// The runtime environments of this process: the one that it has, and those that its calls ask for
// (docs/design/0013-environments.md). As python/sundog/_environment.py has them. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "client/runtime.h"
#include "sundog/environment.h"

namespace sundog::detail {

// One that depends on no process any more: its folders are copies.
struct Environment {
  std::map<std::string, std::string> variables;
  std::string folder;                         // the copy of working_dir
  std::map<std::string, std::string> others;  // what Python alone has: names of parts to JSON

  bool is_empty() const { return variables.empty() && folder.empty() && others.empty(); }
  // Of what `child` asks for in a process that has this one.
  Environment merged(const Environment& child) const;
  // What daemons read: for workers in C++ (core/environment_text.h), and in Python: JSON, in which
  // a byte that is no UTF-8 is what os.environ of Python has in its place.
  std::string text_for_cpp() const;
  std::string text_for_python() const;
  static Environment of_cpp_text(std::string_view text);
};

// Throws TypeError: which part is wrong, and what it is to be. `what` asks for it: "InitOptions",
// or the name of a function or class.
void check_environment(const std::string& what, const RuntimeEnv& asked);
// The same of what is in C++, which has no parts that are Python's.
void check_environment_of_cpp(const std::string& what, const RuntimeEnv& asked);
// The first part that Python alone has; empty if there is none.
std::string part_of_python(const RuntimeEnv& asked);
// The same from every folder that this process may go to. Throws TypeError for what is not there.
RuntimeEnv with_absolute_paths(RuntimeEnv asked);
// All three, of what is in Python or not.
RuntimeEnv checked(const std::string& what, bool python, RuntimeEnv asked);
// Of one with absolute paths, with copies in `folder`. Throws TypeError.
Environment resolved(const RuntimeEnv& asked, const std::string& folder);

class Environments {
 public:
  static constexpr size_t kDefinedMax = 5'000;  // a daemon keeps twice as many, and serves several

  explicit Environments(client::Runtime* runtime) : runtime_(runtime) {}
  // What is asked for here is checked(). Before any other call: a driver has what it asks for, a
  // worker what it was started with.
  void begin_driver(const RuntimeEnv& asked);
  void begin_worker(Environment current, uint64_t hash);
  // What the template of a call names: this process's environment with what the call asks for.
  // Throws TypeError for a folder that cannot be copied.
  uint64_t number(const RuntimeEnv& asked, model::Language language);

 private:
  Environment environment_of(const RuntimeEnv& asked);
  std::string copies() const { return runtime_->info().session_dir + "/environments"; }

  client::Runtime* runtime_;
  Environment current_;
  std::mutex mutex_;
  std::map<RuntimeEnv, Environment> resolved_;  // once for each: folders are as they were then
  std::map<std::string, uint64_t> defined_;     // what the daemon knows, by its text
};

}  // namespace sundog::detail
