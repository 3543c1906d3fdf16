// The session behind sundog::Session: a Runtime, the templates it knows, and, if init started it,
// what has to end with it. Any thread.
#pragma once

#include <map>
#include <mutex>

#include "api/launch.h"
#include "api/values.h"
#include "client/runtime.h"
#include "sundog/session.h"

namespace sundog::detail {

class SessionCore {
 public:
  SessionCore(std::unique_ptr<client::Runtime> runtime, std::string address,
              std::vector<WorkerProcess> workers)
      : runtime_(std::move(runtime)), address_(std::move(address)), workers_(std::move(workers)) {}
  ~SessionCore() { shutdown(); }

  client::Runtime& runtime() { return *runtime_; }
  const std::string& address() const { return address_; }
  uint32_t template_of(const TaskKind& kind);
  void shutdown();

 private:
  std::unique_ptr<client::Runtime> runtime_;
  const std::string address_;
  std::mutex mutex_;
  std::map<TaskKind, uint32_t> templates_;
  std::vector<WorkerProcess> workers_;
};

// Writes a value where it belongs: into `inline_value` if it travels in the message, else into
// room of the store.
std::unique_ptr<client::Room> place(client::Runtime* runtime, Outgoing* outgoing,
                                    client::OutValue* inline_value);

}  // namespace sundog::detail
