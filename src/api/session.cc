#include "sundog/session.h"

#include "api/session_core.h"
#include "model/resources.h"
#include "os/clock.h"

namespace sundog {
namespace detail {
namespace {

TimeNs deadline_of(Seconds timeout) {
  constexpr double kLongest = 1e9;  // s; more is for ever
  if (timeout.count() > kLongest) return kNever;
  return os::now() + static_cast<DurationNs>(timeout.count() * kSecond);
}

std::vector<client::Entry*> entries_of(std::span<const std::shared_ptr<Reference>> references) {
  std::vector<client::Entry*> entries;
  for (const auto& reference : references) {
    if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
    entries.push_back(reference->entry());
  }
  return entries;
}

// A pickle that stands for module:function: its reader imports it.
std::string pickled_function(const std::string& name) {
  size_t colon = name.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == name.size()) {
    throw TypeError("a Python function is named \"module:function\", got \"" + name + "\"");
  }
  return "c" + name.substr(0, colon) + "\n" + name.substr(colon + 1) + "\n.";
}

}  // namespace

uint32_t SessionCore::template_of(const TaskKind& kind) {
  std::lock_guard lock(mutex_);
  auto known = templates_.find(kind);
  if (known != templates_.end()) return known->second;
  client::TaskOptions options;
  options.name = kind.name;
  options.max_retries = kind.max_retries;
  for (const auto& [name, amount] : kind.resources) {
    options.resources.emplace_back(name, static_cast<int64_t>(amount * model::kResourceUnit + 0.5));
  }
  ObjectId function;
  options.language = kind.python ? model::Language::kPython : model::Language::kCpp;
  if (kind.python) {
    std::string pickled = pickled_function(kind.name);
    function = value_or_throw(runtime_->put_function(as_bytes(pickled), {}, nullptr));
  }
  uint32_t number = value_or_throw(runtime_->define_template(options, function));
  templates_.emplace(kind, number);
  return number;
}

void SessionCore::shutdown() {
  runtime_->shutdown();
  std::lock_guard lock(mutex_);
  for (WorkerProcess& worker : workers_) worker.reap();
  workers_.clear();
}

std::unique_ptr<client::Room> place(client::Runtime* runtime, Outgoing* outgoing,
                                    client::OutValue* inline_value) {
  inline_value->format = outgoing->format();
  if (outgoing->is_inline()) {
    inline_value->bytes = outgoing->small_bytes();
    return nullptr;
  }
  auto room = value_or_throw(runtime->allocate(outgoing->size(), nullptr));
  outgoing->write(room->data());
  return room;
}

std::shared_ptr<Reference> put(SessionCore* core, const Value& value) {
  if (std::holds_alternative<std::shared_ptr<Reference>>(value.content)) {
    throw TypeError("an ObjectRef is put already: pass it as it is");
  }
  Outgoing outgoing(value);
  client::OutValue inline_value;
  auto room = place(&core->runtime(), &outgoing, &inline_value);
  auto handle = room == nullptr ? core->runtime().put(inline_value, nullptr)
                                : core->runtime().put_room(std::move(room), outgoing.format(), {});
  return std::make_shared<Reference>(value_or_throw(std::move(handle)));
}

std::shared_ptr<Reference> submit(SessionCore* core, const TaskKind& kind,
                                  std::span<const Value> arguments) {
  uint32_t number = core->template_of(kind);
  std::vector<client::Argument> positional;
  std::vector<std::unique_ptr<Outgoing>> small;
  std::vector<std::shared_ptr<Reference>> held;
  for (const Value& value : arguments) {
    const auto* reference = std::get_if<std::shared_ptr<Reference>>(&value.content);
    if (reference != nullptr) {
      positional.push_back({model::Format::kRef, {}, entries_of({reference, 1})[0]});
      continue;
    }
    auto outgoing = std::make_unique<Outgoing>(value);
    if (outgoing->is_inline()) {
      positional.push_back({outgoing->format(), outgoing->small_bytes(), nullptr});
      small.push_back(std::move(outgoing));
    } else {  // an object that lives until the task has ended
      held.push_back(put(core, value));
      positional.push_back({model::Format::kRef, {}, held.back()->entry()});
    }
  }
  std::vector<client::RefHandle> results;
  client::CallSpec call;
  call.template_id = number;
  call.positional = positional;
  value_or_throw(core->runtime().submit(call, &results));
  return std::make_shared<Reference>(std::move(results.at(0)));
}

std::vector<Value> get(SessionCore* core, std::span<const std::shared_ptr<Reference>> references,
                       Seconds timeout) {
  std::vector<client::Fetched> fetched;
  value_or_throw(
      core->runtime().get(entries_of(references), deadline_of(timeout), nullptr, &fetched));
  std::vector<Value> values;
  for (client::Fetched& one : fetched) {
    Bytes bytes = one.data->bytes();
    values.push_back(incoming(one.format, bytes, std::move(one.data)));
  }
  return values;
}

std::vector<bool> wait(SessionCore* core, std::span<const std::shared_ptr<Reference>> references,
                       size_t num_ready, Seconds timeout) {
  std::vector<bool> ready;
  value_or_throw(core->runtime().wait(entries_of(references), num_ready, deadline_of(timeout),
                                      nullptr, &ready));
  return ready;
}

}  // namespace detail

const std::string& Session::address() const { return core_->address(); }
void Session::shutdown() { core_->shutdown(); }

Session init(const InitOptions& options) {
  detail::LaunchPlan plan = detail::plan_session(options);
  auto runtime = detail::value_or_throw(client::Runtime::connect_driver(plan.config));
  std::vector<detail::WorkerProcess> workers;
  for (const std::string& program : options.workers) workers.emplace_back(program, plan.socket);
  return Session(
      std::make_shared<detail::SessionCore>(std::move(runtime), plan.socket, std::move(workers)));
}

}  // namespace sundog
