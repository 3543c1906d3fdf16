#include "sundog/session.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "api/session_core.h"
#include "api/waiting.h"
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

client::Entry* entry_of(const ReferencePtr& reference) {
  if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  return reference.get();
}

std::span<Reference* const> checked(std::span<Reference* const> references) {
  for (const Reference* reference : references) {
    if (reference == nullptr) throw TypeError("an empty ObjectRef refers to nothing");
  }
  return references;
}

int64_t checked_amount(const std::string& name, double amount) {
  if (!(amount >= 0) || amount > 1e14) {
    throw TypeError("an amount of " + name + " is a number of 0 or more, got " +
                    std::to_string(amount));
  }
  return std::llround(amount * model::kResourceUnit);
}

// A small value views the table of references: it is used while its reference is held.
Value incoming_of(SessionCore* core, client::Fetched fetched) {
  const Bytes bytes = fetched.bytes();
  return incoming(&core->runtime(), fetched.format, bytes, std::move(fetched.data));
}

}  // namespace

client::Resources resources_of(double num_cpus, double num_gpus,
                               const std::map<std::string, double>& custom) {
  client::Resources resources;
  auto add = [&resources](const std::string& name, double amount) {
    if (int64_t units = checked_amount(name, amount); units > 0) {
      resources.emplace_back(name, units);
    }
  };
  add("CPU", num_cpus);
  add("GPU", num_gpus);
  for (const auto& [name, amount] : custom) add(name, amount);
  return resources;
}

void throw_stream_items(const std::string& function) {
  throw TypeError(function +
                  " is called for one result: stream_items is for generators, and is how many "
                  "items one may be ahead");
}

// Its pickle stands for module:name: who reads it imports it.
ObjectId python_callable(client::Runtime* runtime, const std::string& name) {
  size_t colon = name.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == name.size()) {
    throw TypeError("what is in Python is named \"module:name\", got \"" + name + "\"");
  }
  std::string pickled = "c" + name.substr(0, colon) + "\n" + name.substr(colon + 1) + "\n.";
  return value_or_throw(runtime->put_function(as_bytes(pickled), {}, nullptr));
}

std::shared_ptr<const TaskOptions> checked_options(const std::string& function, bool python,
                                                   TaskOptions options) {
  options.runtime_env = checked(function, python, std::move(options.runtime_env));
  if (options == TaskOptions{}) return nullptr;
  return std::make_shared<const TaskOptions>(std::move(options));
}

client::TaskOptions SessionCore::described(const TaskKind& kind) {
  static const TaskOptions kDefaults;
  client::TaskOptions options;
  const TaskOptions& given = kind.options == nullptr ? kDefaults : *kind.options;
  options.name = given.name.empty() ? kind.function : given.name;
  options.method = kind.python ? "" : kind.function;
  options.max_retries = given.max_retries;
  options.retry_exceptions = given.retry_exceptions;
  options.resources = resources_of(given.num_cpus, given.num_gpus, given.resources);
  if (kind.streams) options.returns = model::Returns::kStream;
  if (kind.parts) options.returns = model::Returns::kParts;
  if (given.stream_items > 0 && !kind.streams) throw_stream_items(kind.function);
  options.stream_items = given.stream_items;
  options.language = kind.python ? model::Language::kPython : model::Language::kCpp;
  options.runtime_env = environments_.number(given.runtime_env, options.language);
  return options;
}

uint32_t SessionCore::template_of(const TaskKind& kind) {
  {
    std::lock_guard lock(mutex_);
    auto known = templates_.find(kind);
    if (known != templates_.end()) return known->second;
  }
  // Without the lock: an environment may copy a folder.
  const client::TaskOptions options = described(kind);
  std::lock_guard lock(mutex_);
  auto known = templates_.find(kind);
  if (known != templates_.end()) return known->second;  // another thread was quicker
  ObjectId function;
  if (kind.python) function = python_callable(runtime_.get(), kind.function);
  const uint32_t number = value_or_throw(runtime_->define_template(options, function));
  keys_.emplace(number, &templates_.emplace(kind, number).first->first);
  return number;
}

uint32_t SessionCore::template_of(const char* registered, bool streams) {
  const RegisteredTemplate* last = last_registered_.load(std::memory_order_acquire);
  if (last != nullptr && last->first == registered) return last->second;
  {
    std::lock_guard lock(mutex_);
    auto known = registered_.find(registered);
    if (known != registered_.end()) {
      last_registered_.store(&*known, std::memory_order_release);
      return known->second;
    }
  }
  uint32_t number = template_of(TaskKind{registered, false, {}, streams});
  std::lock_guard lock(mutex_);
  registered_.emplace(registered, number);
  return number;
}

uint32_t SessionCore::define_part(const TaskKind* whole) {
  TaskKind part = *whole;
  part.parts = true;
  return template_of(part);
}
uint32_t SessionCore::define_part(const MethodKey* whole) {
  MethodKey part = *whole;
  part.parts = true;
  return template_of_method(std::move(part));
}

uint32_t SessionCore::template_of_part(uint32_t number) {
  std::unique_lock lock(mutex_);
  if (auto known = parts_.find(number); known != parts_.end()) return known->second;
  const auto key = keys_.find(number);
  if (key == keys_.end()) {
    throw TypeError("no function or method is called by the number " + std::to_string(number) +
                    " in this session: num_returns() is for a task or method that came from it");
  }
  const TemplateKey whole = key->second;
  lock.unlock();
  const uint32_t part = std::visit([this](auto* each) { return define_part(each); }, whole);
  lock.lock();
  parts_.emplace(number, part);
  return part;
}

void SessionCore::shutdown() {
  if (prints_output_ && runtime_->connected()) {  // what tasks printed comes before the end
    (void)runtime_->query(model::Question::kOutput, {}, nullptr);
    runtime_->wait_delivered(os::now() + kSecond);
  }
  runtime_->shutdown();
  watcher_.join();
  std::lock_guard lock(mutex_);
  for (WorkerProcess& worker : workers_) worker.reap();
  workers_.clear();
}

void SessionCore::print_output() {
  prints_output_ = true;
  runtime_->on_output([](const model::Output& output) {
    FILE* to = output.is_stderr ? stderr : stdout;
    const std::string prefix =
        "(" + std::string(output.task_name) + " pid=" + std::to_string(output.pid) + ") ";
    std::string_view text = output.text;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      std::fprintf(to, "%s%.*s\n", prefix.c_str(), static_cast<int>(end - at), text.data() + at);
      at = end + 1;
    }
    std::fflush(to);
  });
  runtime_->on_notice([](const model::Notice& notice) {
    std::fprintf(stderr, "sundog: %.*s\n", static_cast<int>(notice.text.size()),
                 notice.text.data());
  });
}

uint32_t template_of(SessionCore* core, const TaskKind& kind) { return core->template_of(kind); }
uint32_t template_of(SessionCore* core, const char* name, bool streams) {
  return core->template_of(name, streams);
}

uint32_t template_of_parts(SessionCore* core, uint32_t number, uint32_t count) {
  return count == 1 ? core->template_of_part(number) : number;
}

std::unique_ptr<client::Room> place(client::Runtime* runtime, Outgoing* outgoing,
                                    client::OutValue* inline_value) {
  inline_value->format = outgoing->format();
  inline_value->contained = outgoing->contained();
  if (outgoing->is_inline()) {
    inline_value->bytes = outgoing->in_one_piece();
    return nullptr;
  }
  auto room = value_or_throw(runtime->allocate(outgoing->size(), nullptr));
  outgoing->write(room->data());
  return room;
}

ReferencePtr put(SessionCore* core, const Value& value) {
  if (std::holds_alternative<ReferencePtr>(value.content)) {
    throw TypeError("an ObjectRef is put already: pass it as it is");
  }
  Outgoing outgoing(value);
  client::OutValue inline_value;
  auto room = place(&core->runtime(), &outgoing, &inline_value);
  auto handle = room == nullptr ? core->runtime().put(inline_value, nullptr)
                                : core->runtime().put_room(std::move(room), outgoing.format(),
                                                           outgoing.contained());
  return reference_of(value_or_throw(std::move(handle)));
}

Value get_one(SessionCore* core, const ReferencePtr& reference, const Until& until) {
  client::Entry* entry = entry_of(reference);
  Waiting waiting(core, until.stop);
  waiting.check();
  std::vector<client::Fetched> fetched;
  waiting.value_or_throw(core->runtime().get({&entry, 1}, deadline_of(until.timeout),
                                             waiting.yielder(), &fetched,
                                             client::Reading::kInPlace));
  return incoming_of(core, std::move(fetched.at(0)));
}

void get(SessionCore* core, std::span<Reference* const> references, const Until& until,
         const std::function<void(const Value&)>& take) {
  Waiting waiting(core, until.stop);
  waiting.check();
  std::vector<client::Fetched> fetched;
  waiting.value_or_throw(core->runtime().get(checked(references), deadline_of(until.timeout),
                                             waiting.yielder(), &fetched,
                                             client::Reading::kInPlace));
  Value number;  // serves for all of them, with no owner
  for (client::Fetched& one : fetched) {
    if (one.format == model::Format::kInt64) {
      number.content = scalar<int64_t>(one.bytes());
    } else if (one.format == model::Format::kFloat64) {
      number.content = scalar<double>(one.bytes());
    } else {
      take(incoming_of(core, std::move(one)));
      continue;
    }
    take(number);
  }
}

namespace {

// Waits for all; whether each lies in its entry.
bool await_small(SessionCore* core, std::span<Reference* const> references, const Until& until) {
  Waiting waiting(core, until.stop);
  waiting.check();
  return waiting.value_or_throw(core->runtime().await_small(
      checked(references), deadline_of(until.timeout), waiting.yielder()));
}

}  // namespace

bool get_numbers(SessionCore* core, std::span<Reference* const> references, const Until& until,
                 int64_t* out) {
  if (!await_small(core, references, until)) return false;
  for (const Reference* reference : references) {
    if (reference->format != model::Format::kInt64) return false;
    std::memcpy(out++, reference->small.data(), sizeof *out);
  }
  return true;
}

bool get_numbers(SessionCore* core, std::span<Reference* const> references, const Until& until,
                 double* out) {
  if (!await_small(core, references, until)) return false;
  for (const Reference* reference : references) {
    if (reference->format == model::Format::kFloat64) {
      std::memcpy(out++, reference->small.data(), sizeof *out);
    } else if (reference->format == model::Format::kInt64) {
      *out++ = static_cast<double>(scalar<int64_t>(reference->small_value()));
    } else {
      return false;
    }
  }
  return true;
}

std::vector<bool> wait(SessionCore* core, std::span<Reference* const> references, size_t num_ready,
                       const Until& until) {
  Waiting waiting(core, until.stop);
  waiting.check();
  std::vector<bool> ready;
  waiting.value_or_throw(core->runtime().wait(
      checked(references), num_ready, deadline_of(until.timeout), waiting.yielder(), &ready));
  return ready;
}

std::vector<size_t> wait_mixed(SessionCore* core, std::span<const Waitable> things,
                               size_t num_ready, const Until& until) {
  std::vector<ReferencePtr> looked_at;
  std::vector<size_t> ready, positions;
  for (size_t i = 0; i < things.size(); ++i) {
    ReferencePtr at = things[i].reference;
    if (things[i].is_stream && at != nullptr) at = coming_item(core, at.get());
    if (at == nullptr && !things[i].is_stream) {
      throw TypeError("an empty ObjectRef refers to nothing");
    }
    if (at == nullptr) {  // its stream is over
      if (ready.size() < num_ready) ready.push_back(i);
      continue;
    }
    looked_at.push_back(std::move(at));
    positions.push_back(i);
  }
  if (ready.size() < num_ready && !looked_at.empty()) {
    std::vector<Reference*> references;
    for (const ReferencePtr& each : looked_at) references.push_back(each.get());
    const std::vector<bool> there = wait(core, references, num_ready - ready.size(), until);
    for (size_t i = 0; i < there.size(); ++i) {
      if (there[i]) ready.push_back(positions[i]);
    }
    std::sort(ready.begin(), ready.end());
  }
  return ready;
}

ReferencePtr coming_item(SessionCore* core, Reference* completed) {
  client::RefHandle item = core->runtime().peek_item(completed->id.task);
  return item ? reference_of(std::move(item)) : nullptr;
}

ReferencePtr next_item(SessionCore* core, Reference* completed, const Until& until) {
  Waiting waiting(core, until.stop);
  waiting.check();
  client::RefHandle item = waiting.value_or_throw(
      core->runtime().next_item(completed->id.task, deadline_of(until.timeout), waiting.yielder()));
  return item ? reference_of(std::move(item)) : nullptr;
}

void close_stream(SessionCore* core, Reference* completed) {
  core->runtime().close_stream(completed->id.task);
}

}  // namespace detail

const std::string& Session::address() const { return core_->address(); }
void Session::shutdown() { core_->shutdown(); }

Session init(const InitOptions& options) {
  detail::LaunchPlan plan = detail::plan_session(options);
  auto runtime = detail::value_or_throw(client::Runtime::connect_driver(plan.config));
  std::vector<detail::WorkerProcess> workers;
  for (const std::string& program : plan.joining_workers) {
    workers.emplace_back(program, plan.socket);
  }
  auto core =
      std::make_shared<detail::SessionCore>(std::move(runtime), plan.socket, std::move(workers));
  core->print_output();
  core->environments().begin_driver(plan.runtime_env);
  return Session(std::move(core));
}

}  // namespace sundog
