// A program whose tasks in Python have runtime environments, for
// tests/e2e/test_cpp_environments.py: prints what each saw, a line a task.
//
//   cpp_environments PYTHON FOLDER    FOLDER/says.py, FOLDER/beside/words
#include <iostream>

#include "sundog/sundog.h"

namespace {

std::string in_python(sundog::Session& session, const std::string& function) {
  return session.get(session.python_task<std::string>(function).remote());
}
SUNDOG_REMOTE(in_python);

}  // namespace

int main(int argc, char** argv) {
  sundog::InitOptions options;
  options.num_cpus = 2;
  if (argc > 2) {
    options.python = argv[1];
    options.runtime_env.env_vars = {
        {"COLOUR", "green"}, {"SIZE", "small \"xs\""}, {"BYTES", "\xff\xc3\xa9"}};
    options.runtime_env.py_modules = {std::string(argv[2]) + "/says.py"};
  }
  auto session = sundog::init(argc, argv, options);
  const std::string beside = std::string(argv[2]) + "/beside";
  auto told = session.python_task<std::string>("says:told");
  auto red = sundog::RuntimeEnv{.env_vars = {{"COLOUR", "red"}}, .working_dir = beside};
  std::cout << session.get(told.remote()) << "\n"
            << session.get(told.options({.runtime_env = red}).remote()) << "\n"
            << session.get(session.task(in_python).remote("says:told")) << "\n"
            << session.get(
                   session.task(in_python).options({.runtime_env = red}).remote("says:told"))
            << "\n";
  auto teller = session.python_actor("says:Teller").options({.runtime_env = red}).remote();
  std::cout << session.get(teller.call<std::string>("told").remote()) << "\n";
  std::cout << session.get(session.python_task<std::string>("says:told_bytes").remote()) << "\n"
            << session.get(session.task(in_python).remote("says:told_bytes")) << "\n";
  auto broken = told.options({.runtime_env = {.py_executable = "/no/python"}});
  try {
    session.get(broken.remote());
  } catch (const sundog::RuntimeEnvSetupError& error) {
    std::cout << error.what() << "\n";
  }
}
