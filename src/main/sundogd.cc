// sundogd: the daemon of one machine. The only place that reads its flags.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/limits.h"
#include "node/node_shell.h"
#include "os/machine.h"

namespace {

using sundog::Failure;
using sundog::Result;
using sundog::Status;
using sundog::node::NodeOptions;

constexpr const char* kVersion = "0.1.0";
constexpr int64_t kStoreShareDivisor = 10;  // the store's default: 3 of 10 parts of the memory
constexpr int64_t kStoreShare = 3;
constexpr int64_t kMemoryBytesMax = int64_t{1} << 48;  // amounts are counted in 1/10000

struct Flag {
  const char* name;
  const char* value;  // what it takes, null: nothing
  const char* help;
  std::function<Status(NodeOptions*, std::string_view)> set;
};

Result<double> parse_amount(std::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != 0 || !(value >= 0) || value > 1e14) {
    return Failure{"'" + copy + "' is not an amount of 0 or more"};
  }
  return value;
}

Status set_amount(int64_t* to, std::string_view text) {
  auto value = parse_amount(text);
  if (!value) return Failure{value.error()};
  *to = static_cast<int64_t>(*value * sundog::model::kResourceUnit + 0.5);
  return sundog::ok_status();
}

template <typename T>
Status set_number(T* to, std::string_view text) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *to);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Failure{"'" + std::string(text) + "' is not a whole number"};
  }
  return sundog::ok_status();
}

Status set_text(std::string* to, std::string_view text) {
  *to = text;
  return sundog::ok_status();
}

Status add_resource(NodeOptions* options, std::string_view text) {
  const size_t sign = text.rfind('=');  // a name may have one of its own
  if (sign == 0 || sign == std::string_view::npos) {
    return Failure{"'" + std::string(text) + "' is not NAME=AMOUNT, for example disk=2"};
  }
  int64_t amount = 0;
  if (Status s = set_amount(&amount, text.substr(sign + 1)); !s) return s;
  options->resources.emplace_back(text.substr(0, sign), amount);
  return sundog::ok_status();
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {"--control-fd", "N", "socket of the first driver, an inherited descriptor",
       [](NodeOptions* o, std::string_view v) { return set_number(&o->control_fd, v); }},
      {"--session", "NAME", "short name of the session",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->session, v); }},
      {"--session-dir", "DIR", "folder for logs, made with mode 0700",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->session_dir, v); }},
      {"--socket", "PATH", "unix socket to listen on",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->socket_path, v); }},
      {"--num-cpus", "X", "default: min(affinity, cgroup quota)",
       [](NodeOptions* o, std::string_view v) { return set_amount(&o->num_cpus, v); }},
      {"--num-gpus", "X", "default: 0",
       [](NodeOptions* o, std::string_view v) { return set_amount(&o->num_gpus, v); }},
      {"--store-bytes", "N", "object store; default: 30 % of min(RAM, cgroup limit)",
       [](NodeOptions* o, std::string_view v) { return set_number(&o->store_bytes, v); }},
      {"--memory-bytes", "N", "memory that tasks may ask for; default: what the store leaves of it",
       [](NodeOptions* o, std::string_view v) { return set_number(&o->memory_bytes, v); }},
      {"--resource", "NAME=X", "a custom resource; may be given again", add_resource},
      {"--python", "EXE", "interpreter of the zygote; without it there are no Python workers",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->python, v); }},
      {"--zygote", "FILE", "the zygote's script",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->zygote, v); }},
      {"--zygote-config", "FILE", "the driver's paths and flags as JSON, removed at the end",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->zygote_config, v); }},
      {"--cpp-worker", "PROGRAM", "what runs C++ tasks; default: the first C++ worker that joins",
       [](NodeOptions* o, std::string_view v) { return set_text(&o->cpp_worker, v); }},
      {"--stay", nullptr, "go on when no driver is left",
       [](NodeOptions* o, std::string_view) {
         o->stay = true;
         return sundog::ok_status();
       }},
  };
  return all;
}

void print_help() {
  printf(
      "usage: sundogd --session NAME --session-dir DIR [--control-fd N | --socket PATH] …\n\n"
      "The daemon of one machine of a Sundog session. Programs start it themselves.\n\n");
  for (const Flag& flag : flags()) {
    std::string left = std::string(flag.name) + (flag.value ? " " + std::string(flag.value) : "");
    printf("  %-22s %s\n", left.c_str(), flag.help);
  }
  printf("  %-22s %s\n  %-22s %s\n", "--help", "this text", "--version", "the version");
}

// How many single-letter changes lie between two words.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string unknown_flag(std::string_view name) {
  const Flag* nearest = nullptr;
  size_t best = 4;  // farther is no suggestion
  for (const Flag& flag : flags()) {
    size_t distance = edit_distance(name, flag.name);
    if (distance < best) {
      best = distance;
      nearest = &flag;
    }
  }
  std::string text = "unknown flag '" + std::string(name) + "'";
  if (nearest != nullptr) text += "; did you mean '" + std::string(nearest->name) + "'?";
  return text + " (sundogd --help lists all)";
}

// Takes "--name value" and "--name=value".
Status parse_flags(const std::vector<std::string_view>& words, NodeOptions* options) {
  for (size_t i = 0; i < words.size(); ++i) {
    size_t sign = words[i].find('=');
    std::string_view name = words[i].substr(0, sign);
    const Flag* flag = nullptr;
    for (const Flag& f : flags()) {
      if (f.name == name) flag = &f;
    }
    if (flag == nullptr) return Failure{unknown_flag(name)};
    std::string_view value;
    if (flag->value != nullptr && sign != std::string_view::npos) {
      value = words[i].substr(sign + 1);
    } else if (flag->value != nullptr) {
      if (++i == words.size()) {
        return Failure{std::string(flag->name) + " needs a value: " + flag->name + " " +
                       flag->value};
      }
      value = words[i];
    }
    if (Status s = flag->set(options, value); !s) {
      return Failure{std::string(flag->name) + ": " + s.error()};
    }
  }
  return sundog::ok_status();
}

Status complete(NodeOptions* options) {
  if (options->session.empty() || options->session.size() > 15) {
    return Failure{std::string("--session must name the session in 1 to 15 letters")};
  }
  if (options->session_dir.empty() || options->session_dir[0] != '/') {
    return Failure{std::string("--session-dir must be an absolute path")};
  }
  if (options->control_fd < 0 && options->socket_path.empty()) {
    return Failure{std::string("give --control-fd or --socket: nobody could attach otherwise")};
  }
  if (options->python.empty() != options->zygote.empty() ||
      options->python.empty() != options->zygote_config.empty()) {
    return Failure{std::string("--python, --zygote and --zygote-config go together")};
  }
  if (options->num_cpus < 0) {
    options->num_cpus = sundog::os::usable_cpus().value * sundog::model::kResourceUnit;
  }
  if (options->store_bytes == 0) {
    int64_t memory = sundog::os::usable_memory().value;
    options->store_bytes = static_cast<uint64_t>(memory / kStoreShareDivisor * kStoreShare);
  }
  if (options->memory_bytes < 0) {
    int64_t left = sundog::os::usable_memory().value - static_cast<int64_t>(options->store_bytes);
    options->memory_bytes = std::max<int64_t>(left, 0);
  }
  if (options->memory_bytes > kMemoryBytesMax) {
    return Failure{"--memory-bytes: at most " + std::to_string(kMemoryBytesMax)};
  }
  return sundog::ok_status();
}

int fail(const std::string& text) {
  fprintf(stderr, "sundogd: %s\n", text.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv + 1, argv + argc);
  for (std::string_view word : words) {
    if (word == "--help" || word == "-h") {
      print_help();
      return 0;
    }
    if (word == "--version") {
      printf("sundogd %s, protocol %u\n", kVersion, sundog::model::kProtocolVersion);
      return 0;
    }
  }
  NodeOptions options;
  if (Status s = parse_flags(words, &options); !s) return fail(s.error());
  if (Status s = complete(&options); !s) return fail(s.error());
  ::signal(SIGPIPE, SIG_IGN);
  // Nothing here reads from a terminal, and workers must not take the driver's input.
  int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing > 0) {
    ::dup2(nothing, 0);
    ::close(nothing);
  }
  auto shell = sundog::node::NodeShell::create(std::move(options));
  if (!shell) return fail(shell.error());
  shell.value()->run();
  return 0;
}
