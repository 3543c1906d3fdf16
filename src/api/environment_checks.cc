// What a program asks of a runtime environment: checked, and made independent of this process. As
// python/sundog/_environment_checks.py has it.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "api/environments.h"
#include "api/folder_copies.h"
#include "base/json.h"
#include "sundog/errors.h"

namespace sundog::detail {
namespace {

namespace fs = std::filesystem;

constexpr int kTimeoutSeconds = 600;
constexpr int kTimeoutSecondsMax = 1'000'000;

struct ListPart {
  const char* name;
  const std::vector<std::string>& entries;
};
std::array<ListPart, 5> lists_of(const RuntimeEnv& asked) {
  return {{{"pip", asked.pip},
           {"uv", asked.uv},
           {"py_modules", asked.py_modules},
           {"preload", asked.preload},
           {"excludes", asked.excludes}}};
}

[[noreturn]] void refuse(const std::string& what, const std::string& why) {
  throw TypeError(what + ": runtime_env" + why);
}

// The absolute path of a folder, or of a file with this ending.
std::string local_path(const std::string& part, const std::string& given, const char* ending) {
  auto refuse_path = [&](const std::string& why) {
    const std::string kind = *ending == '\0' ? "" : std::string(" or a ") + ending + " file";
    throw TypeError("runtime_env['" + part + "'] is a folder" + kind + ", got '" + given +
                    "': " + why);
  };
  if (given.find("://") != given.npos) {
    refuse_path("nothing is downloaded in this version; fetch it first");
  }
  const char* home = std::getenv("HOME");
  const bool of_home = home != nullptr && (given == "~" || given.starts_with("~/"));
  std::error_code error;
  const fs::path named = of_home ? home + given.substr(1) : given;
  fs::path path = fs::absolute(named, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "data/" is "data"
  if (fs::is_directory(path, error)) return path;
  if (*ending != '\0' && fs::is_regular_file(path, error) && path.extension() == ending) {
    return path;
  }
  if (!fs::exists(path, error)) refuse_path(path.native() + " does not exist");
  if (path.extension() == ".zip" || path.extension() == ".whl") {
    refuse_path("a program in C++ unpacks nothing; unpack it first");
  }
  refuse_path(path.native() + (*ending == '\0' ? " is no folder" : " is neither"));
  return {};
}

// A package that lies in a folder of this program, from anywhere: "-e ./mine[extra]".
std::string placed(const std::string& package) {
  const size_t space = package.rfind(' ');
  const size_t begin = space == package.npos ? 0 : space + 1;
  const size_t end = std::min(package.find('[', begin), package.size());
  const std::string folder = package.substr(begin, end - begin);
  if (folder != "." && folder != ".." && !folder.starts_with("./") && !folder.starts_with("../")) {
    return package;
  }
  const fs::path path = fs::absolute(folder).lexically_normal();
  return package.substr(0, begin) + path.native() + package.substr(end);
}

std::string json_list(const std::vector<std::string>& entries) {
  JsonWriter writer;
  writer.begin_array();
  for (const std::string& entry : entries) writer.value(entry);
  return writer.end_array().take();
}

void check_variables(const std::string& what, const RuntimeEnv& asked) {
  for (const auto& [name, value] : asked.env_vars) {
    const bool has_nul = (name + value).find('\0') != name.npos;
    if (!name.empty() && name.find('=') == name.npos && !has_nul) continue;
    refuse(what, "['env_vars']: '" + name +
                     "' cannot be a variable of the environment: a name is not empty and has no "
                     "'=', and there is no NUL in either");
  }
}

void check_hook(const std::string& what, const std::string& hook) {
  const size_t first = hook.find_first_not_of('.'), last = hook.find_last_not_of('.');
  const size_t dot = hook.find('.', std::min(first, hook.size()));
  if (hook.empty() || (dot != hook.npos && dot < last)) return;
  refuse(what, "['worker_process_setup_hook'] is 'module.function' of Python, got '" + hook + "'");
}

// Why a shell makes no words of it; empty if it does. As shlex.split of Python.
std::string why_no_command(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return "nothing is named";
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && quote != '\'') {
      if (++i == text.size()) return "nothing is behind its last backslash";
    } else if (quote != '\0') {
      if (text[i] == quote) quote = '\0';
    } else if (text[i] == '\'' || text[i] == '"') {
      quote = text[i];
    }
  }
  return quote == '\0' ? "" : "a quotation mark is not closed";
}

void check_command(const std::string& what, const std::string& command) {
  if (command.empty()) return;
  const std::string why = why_no_command(command);
  if (why.empty()) return;
  refuse(what, "['py_executable'] is a command as a shell reads it, got '" + command + "': " + why);
}

bool has_timeout(const RuntimeEnv& asked) {
  return asked.setup_timeout_seconds != 0 && asked.setup_timeout_seconds != kTimeoutSeconds;
}

}  // namespace

std::string part_of_python(const RuntimeEnv& asked) {
  for (const ListPart& list : lists_of(asked)) {
    if (!list.entries.empty() && &list.entries != &asked.excludes) return list.name;
  }
  if (!asked.py_executable.empty()) return "py_executable";
  if (!asked.worker_process_setup_hook.empty()) return "worker_process_setup_hook";
  return has_timeout(asked) ? "setup_timeout_seconds" : "";
}

void check_environment(const std::string& what, const RuntimeEnv& asked) {
  check_variables(what, asked);
  for (const ListPart& list : lists_of(asked)) {
    if (std::find(list.entries.begin(), list.entries.end(), "") == list.entries.end()) continue;
    refuse(what, "['" + std::string(list.name) + "'] is a list of strings that are not empty");
  }
  if (!asked.pip.empty() && !asked.uv.empty()) {
    refuse(what, " has 'pip' and 'uv': one of them installs packages, not both");
  }
  if (!asked.excludes.empty() && asked.working_dir.empty() && asked.py_modules.empty()) {
    refuse(what, "['excludes'] is for what is copied: give 'working_dir' or 'py_modules' too");
  }
  check_command(what, asked.py_executable);
  check_hook(what, asked.worker_process_setup_hook);
  const int seconds = asked.setup_timeout_seconds;
  if (seconds < -1 || seconds > kTimeoutSecondsMax) {
    refuse(what, ": setup_timeout_seconds is from 1 second on, or -1 for any time, got " +
                     std::to_string(seconds));
  }
}

void check_environment_of_cpp(const std::string& what, const RuntimeEnv& asked) {
  const std::string part = part_of_python(asked);
  if (part.empty()) return;
  refuse(what, " of what is in C++ is 'env_vars' and 'working_dir', got '" + part +
                   "', which is for making an interpreter ready: a C++ worker has none. Give it to "
                   "python_task or python_actor, or to init for all that is in Python");
}

RuntimeEnv with_absolute_paths(RuntimeEnv asked) {
  if (!asked.working_dir.empty()) {
    asked.working_dir = local_path("working_dir", asked.working_dir, "");
  }
  for (std::string& path : asked.py_modules) path = local_path("py_modules", path, ".py");
  for (auto* packages : {&asked.pip, &asked.uv}) {
    for (std::string& package : *packages) package = placed(package);
  }
  return asked;
}

RuntimeEnv checked(const std::string& what, bool python, RuntimeEnv asked) {
  check_environment(what, asked);
  if (!python) check_environment_of_cpp(what, asked);
  return with_absolute_paths(std::move(asked));
}

Environment resolved(const RuntimeEnv& asked, const std::string& folder) {
  Environment result;
  result.variables = asked.env_vars;
  if (!asked.working_dir.empty()) {
    result.folder = copy_of_folder(asked.working_dir, asked.excludes, folder);
  }
  std::vector<std::string> modules;
  for (const std::string& path : asked.py_modules) {
    const std::string name = fs::path(path).filename();
    modules.push_back(fs::is_directory(path) ? copy_of_folder(path, asked.excludes, folder, name)
                                             : copy_of_file(path, folder));
  }
  if (!modules.empty()) result.others["py_modules"] = json_list(modules);
  for (const auto& [tool, packages] : {std::pair{"pip", &asked.pip}, {"uv", &asked.uv}}) {
    if (packages->empty()) continue;
    result.others[tool] = "{\"packages\":" + json_list(*packages) + "}";
  }
  if (!asked.preload.empty()) result.others["preload"] = json_list(asked.preload);
  for (const auto& [name, text] :
       {std::pair{"py_executable", &asked.py_executable},
        {"worker_process_setup_hook", &asked.worker_process_setup_hook}}) {
    if (!text->empty()) result.others[name] = JsonWriter().value(*text).take();
  }
  if (has_timeout(asked)) {
    const std::string seconds = std::to_string(asked.setup_timeout_seconds);
    result.others["config"] = "{\"setup_timeout_seconds\":" + seconds + "}";
  }
  return result;
}

}  // namespace sundog::detail
