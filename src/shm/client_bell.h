// How a daemon wakes a client, and how a client goes to sleep (docs/design/0002-sleep-protocol.md).
//
//   client   sleep := kWaiter (a waiting thread, on the futex of that word), kRuntime (nobody
//            waits: the runtime thread, in epoll with the client's eventfd) or kTasks (the same,
//            and an event loop is to hear of tasks);
//            fence; if the ring has more: sleep := kAwake, drain it; else sleep
//   daemon   publish ring; fence; if sleep says so: sleep := kAwake by compare-and-swap, wake
//
// The word changes kAwake -> kWaiter|kRuntime by the client only, back by either. The client
// changes it under its own lock; the daemon from its one thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "model/messages.h"
#include "shm/channel.h"

namespace sundog::shm {

// Who has to be woken for what was published.
enum class Urgency : uint8_t {
  kLater,   // nobody: read at the next occasion
  kWaiter,  // a thread that waits; a busy worker finds it when it looks for its next task
  kAnyone,  // the runtime thread too
};
inline Urgency urgency_of(const model::NodeMessage& message) {
  if (!model::is_urgent(message)) return Urgency::kLater;
  return std::holds_alternative<model::Execute>(message) ? Urgency::kWaiter : Urgency::kAnyone;
}

template <typename Message>
Urgency urgency_of() {
  return urgency_of(model::NodeMessage(std::in_place_type<Message>));
}

enum class Wake : uint8_t { kNobody, kFutex, kEventFd };

// Daemon, after publishing: decides and resets the word; the caller makes the system call.
Wake take_sleeper(std::atomic<uint32_t>* sleep, Urgency urgency);

// Daemon: take_sleeper and its system call. With messages that found no room in the ring, use
// kAnyone: a client that nobody wakes would never make room. True if somebody was woken.
bool wake_client(ChannelHeader* header, int client_eventfd, Urgency urgency);

// Client, under its lock: announces sleep; false if there is something to read (then it is awake).
bool prepare_sleep(std::atomic<uint32_t>* sleep, Sleep where, const RingReader& inbound);

}  // namespace sundog::shm
