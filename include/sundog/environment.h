// Runtime environments: what the workers of a session, a task or an actor have and others have not.
//
//   auto session = sundog::init(argc, argv, {.runtime_env = {.env_vars = {{"LEVEL", "3"}}}});
//   auto count = session.task(count_words).options({.runtime_env = {.working_dir = "data"}});
//
// A call's environment is that of the process which makes it, with the call's own parts in place
// of those; variables are merged. What the call itself submits has it too, in either language.
#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

namespace sundog {

// What is asked for; a part that is empty is not. Whatever is wrong with one throws TypeError where
// it is given, by init() or options(); what cannot be set up is the RuntimeEnvSetupError of the
// calls that wait for it. A path that is not absolute is one from the folder that the program is in
// then; "~" is the user's.
struct RuntimeEnv {
  // Names to values; ${NAME} in a value is what the program's environment has.
  std::map<std::string, std::string> env_vars = {};
  // A folder. Workers begin in a copy, made when it is asked for first: at most 524 MB, without
  // what its .gitignore files and `excludes` name.
  std::string working_dir = {};
  // Of what is copied: patterns as in .gitignore.
  std::vector<std::string> excludes = {};

  // For what is in Python alone, as in sundog.init(runtime_env=...): they make an interpreter
  // ready, which a worker in C++ has not. A task or actor in C++ takes none of them as its own
  // option.
  std::vector<std::string> pip = {};           // what to install, by pip or
  std::vector<std::string> uv = {};            // by uv
  std::vector<std::string> py_modules = {};    // folders of packages, or .py files; they are copied
  std::string py_executable = {};              // the command of another interpreter
  std::string worker_process_setup_hook = {};  // "module.function", which each worker begins with
  std::vector<std::string> preload = {};       // modules to be imported ahead
  int setup_timeout_seconds = 0;               // how long setting up may take; 0: 600, -1: any time

  auto operator<=>(const RuntimeEnv&) const = default;
};

}  // namespace sundog
