#include "api/environments.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "api/values.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/json.h"
#include "core/environment_text.h"

namespace sundog::detail {
namespace {

constexpr std::string_view kTimeout = "\"setup_timeout_seconds\":";
constexpr DurationNs kPatience = 600 * kSecond;

// How long setting up may take; 0: without end.
DurationNs patience_of(const Environment& environment) {
  const auto config = environment.others.find("config");
  if (config == environment.others.end()) return kPatience;
  const size_t at = config->second.find(kTimeout);
  if (at == std::string::npos) return kPatience;
  const long seconds = std::strtol(config->second.c_str() + at + kTimeout.size(), nullptr, 10);
  return std::max(seconds, 0l) * kSecond;
}

// JSON is UTF-8. Any other byte becomes half of a surrogate pair, of which Python makes the byte
// again ("surrogateescape").
std::string with_escaped_bytes(std::string json) {
  if (is_utf8(json)) return json;
  std::string result;
  for (std::string_view rest = json; !rest.empty();) {
    size_t bytes = 1;
    while (bytes <= 4 && !is_utf8(rest.substr(0, bytes))) ++bytes;
    if (bytes <= 4) {
      result += rest.substr(0, bytes);
    } else {
      bytes = 1;
      result += "\\udc" + to_hex(rest.data(), 1);
    }
    rest.remove_prefix(bytes);
  }
  return result;
}

}  // namespace

Environment Environment::merged(const Environment& child) const {
  Environment result = *this;
  for (const auto& [name, value] : child.variables) result.variables[name] = value;
  if (!child.folder.empty()) result.folder = child.folder;
  for (const auto& [name, json] : child.others) {
    if (name == "pip") result.others.erase("uv");
    if (name == "uv") result.others.erase("pip");
    result.others[name] = json;
  }
  return result;
}

std::string Environment::text_for_cpp() const {
  std::string text(core::kCppEnvironment);
  text += folder;
  for (const auto& [name, value] : variables) text += '\0' + name + "=" + value;
  if (!others.empty()) text += '\0';
  for (const auto& [name, json] : others) text += '\0' + name + "=" + json;
  return text;
}

std::string Environment::text_for_python() const {
  std::map<std::string, std::string> parts = others;
  if (!variables.empty()) {
    JsonWriter writer;
    writer.begin_object();
    for (const auto& [name, value] : variables) writer.field(name, value);
    parts["env_vars"] = writer.end_object().take();
  }
  if (!folder.empty()) parts["working_dir"] = JsonWriter().value(folder).take();
  JsonWriter writer;
  writer.begin_object();
  for (const auto& [name, json] : parts) writer.key(name).raw(json);
  return with_escaped_bytes(writer.end_object().take());
}

Environment Environment::of_cpp_text(std::string_view text) {
  Environment result;
  if (!text.starts_with(core::kCppEnvironment)) return result;
  text.remove_prefix(core::kCppEnvironment.size());
  result.folder = core::next_part(&text);
  auto* parts = &result.variables;
  while (!text.empty()) {
    const std::string_view part = core::next_part(&text);
    const size_t equals = part.find('=');
    if (part.empty()) parts = &result.others;
    if (equals == part.npos) continue;
    (*parts)[std::string(part.substr(0, equals))] = part.substr(equals + 1);
  }
  return result;
}

void Environments::begin_driver(const RuntimeEnv& asked) { current_ = environment_of(asked); }

void Environments::begin_worker(Environment current, uint64_t hash) {
  std::lock_guard lock(mutex_);
  if (hash != 0) defined_.emplace(current.text_for_cpp(), hash);
  current_ = std::move(current);
}

Environment Environments::environment_of(const RuntimeEnv& asked) {
  {
    std::lock_guard lock(mutex_);
    auto known = resolved_.find(asked);
    if (known != resolved_.end()) return known->second;
  }
  Environment made = resolved(asked, copies());  // without the lock: it may copy a large folder
  std::lock_guard lock(mutex_);
  return resolved_.try_emplace(asked, std::move(made)).first->second;
}

uint64_t Environments::number(const RuntimeEnv& asked, model::Language language) {
  const bool is_cpp = language == model::Language::kCpp;
  const bool is_own = asked == RuntimeEnv{};
  if (is_own && current_.is_empty()) return 0;
  const Environment environment = is_own ? current_ : current_.merged(environment_of(asked));
  if (environment.is_empty()) return 0;
  const std::string text = is_cpp ? environment.text_for_cpp() : environment.text_for_python();
  std::lock_guard lock(mutex_);
  auto known = defined_.find(text);
  if (known != defined_.end()) return known->second;
  if (defined_.size() >= kDefinedMax) {
    throw TypeError(
        "this process has asked for " + std::to_string(kDefinedMax) +
        " different runtime environments, as many as a session keeps of one: each has workers of "
        "its own, so pass what differs from call to call as an argument");
  }
  const uint64_t hash = std::max<uint64_t>(hash64(text.data(), text.size()), 1);
  const DurationNs patience = is_cpp ? 0 : patience_of(environment);
  value_or_throw(runtime_->define_environment(hash, text, patience, 0));
  defined_.emplace(text, hash);
  return hash;
}

}  // namespace sundog::detail
