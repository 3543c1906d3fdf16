// The session behind sundog::Session: a Runtime, the templates it knows, and, if init started it,
// what has to end with it. Any thread.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <variant>

#include "api/current_call.h"
#include "api/environments.h"
#include "api/launch.h"
#include "api/values.h"
#include "api/watcher.h"
#include "client/runtime.h"
#include "sundog/actor.h"
#include "sundog/session.h"

namespace sundog::detail {

class SessionCore {
 public:
  SessionCore(std::unique_ptr<client::Runtime> runtime, std::string address,
              std::vector<WorkerProcess> workers)
      : runtime_(std::move(runtime)), address_(std::move(address)), workers_(std::move(workers)) {}
  ~SessionCore() { shutdown(); }

  client::Runtime& runtime() { return *runtime_; }
  Watcher& watcher() { return watcher_; }
  // Of a worker; null for a driver.
  CurrentCall* current_call() { return current_call_.get(); }
  // `current`: the environment that the process was started with, and its hash.
  void become_worker(Environment current, uint64_t hash) {
    environments_.begin_worker(std::move(current), hash);
    current_call_ = std::make_unique<CurrentCall>(runtime_.get());
  }
  // Those of this process, and of what is called from here.
  Environments& environments() { return environments_; }
  const std::string& address() const { return address_; }
  uint32_t template_of(const TaskKind& kind);
  uint32_t template_of(const char* registered, bool streams);
  // The same function or method with the same options, its one result a part of what it returns.
  // Throws TypeError for a number that is none of these.
  uint32_t template_of_part(uint32_t number);
  // What the daemon tells methods apart by.
  struct MethodKey {
    std::string method, title;
    int max_task_retries = 0;
    bool streams = false;
    uint32_t stream_items = 0;
    bool parts = false;
    auto operator<=>(const MethodKey&) const = default;
  };
  uint32_t template_of_method(MethodKey key);
  // What workers print, and the daemon's notices, go to our own stdout and stderr.
  void print_output();
  void shutdown();

 private:
  // What a template is defined by. May copy a folder.
  client::TaskOptions described(const TaskKind& kind);
  uint32_t define_part(const TaskKind* whole);
  uint32_t define_part(const MethodKey* whole);

  std::unique_ptr<CurrentCall> current_call_;  // outlives the Runtime, which calls it
  std::unique_ptr<client::Runtime> runtime_;
  Watcher watcher_{runtime_.get()};
  Environments environments_{runtime_.get()};
  const std::string address_;
  std::mutex mutex_;
  std::map<TaskKind, uint32_t> templates_;
  using RegisteredTemplate = std::pair<const char* const, uint32_t>;
  std::unordered_map<const char*, uint32_t> registered_;  // by the registration's own text
  // What was looked up last, of registered_, whose elements stay: a loop of calls takes no lock.
  std::atomic<const RegisteredTemplate*> last_registered_{nullptr};
  std::map<MethodKey, uint32_t> methods_;
  using TemplateKey = std::variant<const TaskKind*, const MethodKey*>;  // of these two maps
  std::unordered_map<uint32_t, TemplateKey> keys_;
  std::unordered_map<uint32_t, uint32_t> parts_;  // those of a part, by those of the whole
  std::vector<WorkerProcess> workers_;
  bool prints_output_ = false;
};

// Amounts of a template; zeros are left out.
client::Resources resources_of(double num_cpus, double num_gpus,
                               const std::map<std::string, double>& custom);
// Of a call for one result.
[[noreturn]] void throw_stream_items(const std::string& function);
// Makes a Python function or class known: "module:name".
ObjectId python_callable(client::Runtime* runtime, const std::string& name);

// Writes a value where it belongs: into `inline_value` if it travels in the message, else into
// room of the store. `outgoing` outlives `inline_value`.
std::unique_ptr<client::Room> place(client::Runtime* runtime, Outgoing* outgoing,
                                    client::OutValue* inline_value);

}  // namespace sundog::detail
