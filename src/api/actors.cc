// Making, finding and calling actors (sundog/actor.h). Any thread.
#include "api/pickle_reader.h"
#include "api/session_core.h"

namespace sundog::detail {
namespace {

// What a handle in Python knows of a class: its name, and that any method may be asked for by its
// name ("*"). As python/sundog/_actor_class.py packs it.
std::string described(const std::string& class_name) {
  auto text = [](std::string_view t) { return Value{t, nullptr}; };
  auto make = [](Items::Kind kind, std::vector<Value> values) {
    return Value{std::make_shared<const Items>(Items{kind, std::move(values)}), nullptr};
  };
  const Value any_method = make(
      Items::Kind::kTuple, {text("*"), Value{}, text(""), text(""), make(Items::Kind::kDict, {})});
  const Value description = make(
      Items::Kind::kTuple, {text(class_name), text(""), make(Items::Kind::kTuple, {any_method}),
                            make(Items::Kind::kTuple, {})});
  return pickle(description).stream;
}

// Of "package.module:Class" the last word; of "ns::Counter" all.
std::string class_title(const ActorKind& kind) {
  return kind.python ? kind.class_name.substr(kind.class_name.find(':') + 1) : kind.class_name;
}

uint32_t define_creation(SessionCore* core, const ActorKind& kind) {
  const ActorOptions& given = kind.options;
  client::TaskOptions options;
  options.name = class_title(kind);
  options.kind = model::CallKind::kCreateActor;
  options.language = kind.python ? model::Language::kPython : model::Language::kCpp;
  options.max_retries = 0;
  options.resources = resources_of(given.num_cpus.value_or(1), given.num_gpus, given.resources);
  options.lifetime = resources_of(given.num_cpus.value_or(0), given.num_gpus, given.resources);
  options.max_restarts = given.max_restarts;
  options.detached = given.detached;
  ObjectId function;
  if (kind.python) {
    function = python_callable(&core->runtime(), kind.class_name);
  } else {
    options.method = kind.class_name;
  }
  options.runtime_env = core->environments().number(given.runtime_env, options.language);
  return value_or_throw(core->runtime().define_template(options, function));
}

std::string_view name_space_of(SessionCore* core, const std::string& given) {
  if (!given.empty()) return given;
  const std::string& own = core->runtime().info().name_space;
  if (own.empty()) {
    throw ActorNameError(
        "a task or actor in C++ serves programs of every namespace: say in which the name is");
  }
  return own;
}

std::shared_ptr<const Handle> handle_of(SessionCore* core, client::NameAnswer answer) {
  auto descriptor = reference_of(std::move(answer.descriptor));
  const Value told = get_one(core, descriptor, kForever);
  const std::vector<Value>& parts = elements_of(told, "the description of an actor");
  if (parts.size() != 2) throw_wrong_length(parts.size(), 2);
  Handle handle{reference_of(std::move(answer.actor)), std::string(text_of(parts[0], "bytes")),
                Convert<std::vector<int64_t>>::from(parts[1]).at(0)};
  const Value description =
      unpickle({as_bytes(handle.description), {}}, nullptr, [](const ObjectId&) -> ReferencePtr {
        throw TypeError("the description of an actor holds a reference");
      });
  handle.class_name = text_of(elements_of(description, "a class").at(0), "a class's name");
  return std::make_shared<const Handle>(std::move(handle));
}

std::shared_ptr<const Handle> create(SessionCore* core, const ActorKind& kind,
                                     const Arguments& arguments) {
  Handle handle;
  handle.actor = submit(core, define_creation(core, kind), arguments);
  handle.description = described(class_title(kind));
  handle.class_name = class_title(kind);
  handle.max_task_retries = kind.options.max_task_retries;
  return std::make_shared<const Handle>(std::move(handle));
}

}  // namespace

uint32_t SessionCore::template_of_method(MethodKey key) {
  std::lock_guard lock(mutex_);
  auto known = methods_.find(key);
  if (known != methods_.end()) return known->second;
  client::TaskOptions options;
  options.name = key.title;
  options.kind = model::CallKind::kMethod;
  options.method = key.method;
  options.max_retries = key.max_task_retries;
  if (key.streams) options.returns = model::Returns::kStream;
  if (key.parts) options.returns = model::Returns::kParts;
  options.stream_items = key.stream_items;
  uint32_t number = value_or_throw(runtime_->define_template(options, {}));
  keys_.emplace(number, &methods_.emplace(std::move(key), number).first->first);
  return number;
}

ActorOptions checked_options(SessionCore* core, const std::string& class_name, bool python,
                             ActorOptions options) {
  RuntimeEnv& runtime_env = options.runtime_env;
  runtime_env = checked(class_name, python, std::move(runtime_env));
  core->environments().number(runtime_env,
                              python ? model::Language::kPython : model::Language::kCpp);
  return options;
}

std::shared_ptr<const Handle> make_actor(SessionCore* core, const ActorKind& kind,
                                         const Arguments& arguments) {
  const std::string& name = kind.options.name;
  if (name.empty()) {
    if (kind.options.get_if_exists) throw ActorNameError("get_if_exists needs a name");
    return create(core, kind, arguments);
  }
  client::Runtime& runtime = core->runtime();
  const std::string_view space = name_space_of(core, kind.options.name_space);
  client::NameAnswer claimed = value_or_throw(runtime.claim_name(space, name, nullptr));
  if (claimed.status == model::NameStatus::kFound) {
    if (kind.options.get_if_exists) return handle_of(core, std::move(claimed));
    throw ActorNameError("the name '" + name +
                         "' is taken by another actor: use get_actor, .get_if_exists = true, or "
                         "another name");
  }
  try {
    auto handle = create(core, kind, arguments);
    auto tuple = [](std::vector<Value> parts) {
      return items(Items::Kind::kTuple, std::move(parts));
    };
    const Value defaults = tuple({{handle->max_task_retries, nullptr}, {int64_t{-1}, nullptr}});
    const Value pair = tuple({{Raw{handle->description}, nullptr}, defaults});
    auto descriptor = put(core, pair);
    value_or_throw(runtime.bind_name(space, name, handle->actor.get(), descriptor.get()));
    return handle;
  } catch (...) {
    (void)runtime.bind_name(space, name, nullptr, nullptr);
    throw;
  }
}

std::shared_ptr<const Handle> find_actor(SessionCore* core, const std::string& name,
                                         const std::string& name_space) {
  const std::string_view space = name_space_of(core, name_space);
  auto found = value_or_throw(core->runtime().find_name(space, name, nullptr));
  if (found.status != model::NameStatus::kFound) {
    throw ActorNameError("no actor is named '" + name + "' in namespace '" + std::string(space) +
                         "'");
  }
  return handle_of(core, std::move(found));
}

uint32_t method_template(SessionCore* core, const Handle& handle, std::string_view method,
                         bool streams, const MethodOptions& options) {
  std::string title = options.name;
  if (title.empty()) {
    title = handle.class_name.empty() ? "" : handle.class_name + ".";
    title.append(method);
  }
  if (options.stream_items > 0 && !streams) throw_stream_items(title);
  const int retries = options.max_task_retries.value_or(static_cast<int>(handle.max_task_retries));
  return core->template_of_method(
      {std::string(method), std::move(title), retries, streams, options.stream_items});
}

void kill_actor(SessionCore* core, const Handle& handle, bool no_restart) {
  value_or_throw(core->runtime().kill_actor(handle.actor.get(), no_restart));
}

const char* checked_actor_name(const char* name) {
  if (name == nullptr) throw_not_registered("the class", "SUNDOG_ACTOR(Class, methods...)");
  return name;
}

}  // namespace sundog::detail
