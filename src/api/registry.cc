#include "api/registry.h"

#include <map>

namespace sundog::detail {
namespace {

struct RegisteredActor {
  ActorType type;
  std::map<std::string, InvokeMethod, std::less<>> methods;
};
struct Registry {
  std::map<std::string, Invoke, std::less<>> functions;
  std::map<std::string, RegisteredActor, std::less<>> actors;
};
// A function's static: registrations of other files come in any order.
Registry& registry() {
  static Registry all;
  return all;
}

template <typename Map>
std::string list_of_names(const Map& map) {
  std::string text;
  for (const auto& [name, what] : map) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

const RegisteredActor& registered_actor(std::string_view name) {
  auto known = registry().actors.find(name);
  if (known != registry().actors.end()) return known->second;
  throw Error("this worker has no actor class \"" + std::string(name) +
              "\": register it with SUNDOG_ACTOR; it has: " + list_of_names(registry().actors));
}

}  // namespace

void register_function(const char* name, Invoke invoke) { registry().functions[name] = invoke; }
void register_actor(const char* name, ActorType type) { registry().actors[name].type = type; }
void register_method(const char* class_name, const char* name, InvokeMethod invoke) {
  registry().actors[class_name].methods[name] = invoke;
}

Invoke function_named(std::string_view name) {
  auto known = registry().functions.find(name);
  if (known != registry().functions.end()) return known->second;
  throw Error("this worker has no function \"" + std::string(name) +
              "\": register it with SUNDOG_REMOTE; it has: " + list_of_names(registry().functions));
}

ActorType actor_named(std::string_view name) { return registered_actor(name).type; }

InvokeMethod method_named(std::string_view class_name, std::string_view method) {
  const RegisteredActor& actor = registered_actor(class_name);
  auto known = actor.methods.find(method);
  if (known != actor.methods.end()) return known->second;
  throw Error("actor class " + std::string(class_name) + " has no method \"" + std::string(method) +
              "\": name it in SUNDOG_ACTOR; it has: " + list_of_names(actor.methods));
}

void throw_argument_count(size_t given, size_t wanted) {
  throw TypeError("the function takes " + std::to_string(wanted) + " arguments, got " +
                  std::to_string(given));
}

void throw_generator() {
  throw TypeError(
      "the function is a generator: from Python call it with num_returns=\"streaming\", from C++ "
      "by "
      "its name as task<sundog::Generator<T>>(name)");
}

void throw_no_generator() {
  throw TypeError(
      "the function is called for a stream, but it returns no sundog::Generator: call it for one "
      "result, or let it yield");
}

void throw_no_constructor(size_t given) {
  throw TypeError("the class has no public constructor of " + std::to_string(given) +
                  " arguments, or more than one");
}

void throw_not_registered(const char* what, const char* macro) {
  throw Error(std::string(what) + " is not registered in this program: write " + macro +
              " at namespace scope of a source file that is linked into it");
}

}  // namespace sundog::detail
