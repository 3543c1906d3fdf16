// What happens to a NodeCore and what it asks its shell to do (DESIGN section 3).
//
// A shell (the daemon, or the simulator) turns each ring record, process death, lost or won claim
// and timer into an Event, calls NodeCore::step, and performs the Effects in their order before
// the next step: views inside effects point into the core and die with the next step.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "model/events.h"
#include "model/limits.h"
#include "model/messages.h"

namespace sundog::core {

// ---------------------------------------------------------------- events

struct FromClient {
  ClientId client;
  model::ClientMessage message;
};
// A process attached. Drivers open a job; workers serve one (job, runtime environment, language).
struct ClientConnected {
  ClientId client;
  model::Role role = model::Role::kDriver;
  model::Language language = model::Language::kPython;
  JobId job;  // workers started for a job; 0: any job (C++ workers that joined)
  uint64_t runtime_env = 0;
  uint32_t pid = 0;
  uint64_t spawn_token = 0;  // of SpawnWorker, 0 if it came by itself
  bool warm = true;          // false: forked before all was imported that workers are to have
  uint32_t weight = model::kJobWeightUnit;  // drivers: of the job beside others
};
// The process is gone and its ring is drained.
struct ClientGone {
  ClientId client;
  model::DeathCause cause;
};
// Answer to RevokeClaim: won means that the worker will not run the task.
struct ClaimRevoked {
  ClientId worker;
  uint32_t slot = 0;
  uint32_t generation = 0;
  bool won = false;
};
struct SpawnFailed {
  uint64_t spawn_token = 0;
  std::string_view reason;
};
// Time passed; at or after the moment of the last SetTimer.
struct Tick {};
// A driver asked for a start of `count` workers ahead of demand (init).
struct Prestart {
  JobId job;
  model::Language language = model::Language::kPython;
  uint64_t runtime_env = 0;
  uint32_t count = 0;
};
// Workers that are asked for from now on have imported everything beforehand.
struct WorkersWarm {};

// Answers to PrepareEnvironment. Failed also when workers of it, ready before, cannot be started
// any more; `reason` is for people and has the end of the log.
struct EnvironmentReady {
  uint64_t hash = 0;
  uint32_t attempt = 0;
};
struct EnvironmentFailed {
  uint64_t hash = 0;
  uint32_t attempt = 0;
  std::string_view reason;
};

using Event = std::variant<FromClient, ClientConnected, ClientGone, ClaimRevoked, SpawnFailed, Tick,
                           Prestart, WorkersWarm, EnvironmentReady, EnvironmentFailed>;

// ---------------------------------------------------------------- effects

struct ToClient {
  ToClient() = default;
  // The message is built where it stays.
  template <typename Message, typename... Parts>
  ToClient(ClientId to, std::in_place_type_t<Message> which, Parts&&... parts)
      : client(to), message(which, std::forward<Parts>(parts)...) {}

  ClientId client;
  model::NodeMessage message;
};
// Compare-and-swap OFFERED(generation) -> REVOKED; answer with ClaimRevoked.
struct RevokeClaim {
  ClientId worker;
  uint32_t slot = 0;
  uint32_t generation = 0;
};
struct SpawnWorker {
  uint64_t token = 0;
  JobId job;
  model::Language language = model::Language::kPython;
  uint64_t runtime_env = 0;
  std::span<const uint32_t> gpus;  // what it may see, 0-based; empty: as the driver does
};
// End the process (SIGKILL to its group); ClientGone follows.
struct KillClient {
  ClientId client;
  std::string_view reason;
};
// Bytes that nobody references or pins any more: may be recycled, poisoned or punched.
struct ExtentFreed {
  model::Extent extent;
};
// Ask for a Tick at `at`; replaces the earlier one. kNever: none.
struct SetTimer {
  TimeNs at = kNever;
};
struct RecordTask {
  model::TaskEvent event;
};
// The shell answers the Query (timeline) itself; the core cannot.
struct AnswerTimeline {
  ClientId client;
  uint32_t request = 0;
};
// Nothing of the job is left, nor will be: its driver has ended, and no detached actor lives.
struct JobSettled {
  JobId job;
};
// Make ready what workers of this runtime environment need; nothing waits for it but its tasks.
struct PrepareEnvironment {
  uint64_t hash = 0;
  uint32_t attempt = 0;
  std::string_view description;  // JSON
};
// The attempt took too long: end it. No answer is expected.
struct AbortEnvironment {
  uint64_t hash = 0;
  uint32_t attempt = 0;
};
// Nobody has used it for a while: what was started for it ends.
struct EndEnvironment {
  uint64_t hash = 0;
};

using Effect =
    std::variant<ToClient, RevokeClaim, SpawnWorker, KillClient, ExtentFreed, SetTimer, RecordTask,
                 AnswerTimeline, JobSettled, PrepareEnvironment, AbortEnvironment, EndEnvironment>;
// Views and numbers only: a step's effects are forgotten without looking at them.
static_assert(std::is_trivially_destructible_v<Effect>);
using Effects = std::vector<Effect>;

}  // namespace sundog::core
