#include "shm/client_bell.h"

#include "os/fd.h"
#include "os/futex.h"

namespace sundog::shm {

Wake take_sleeper(std::atomic<uint32_t>* sleep, Urgency urgency) {
  if (urgency == Urgency::kLater) return Wake::kNobody;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint32_t seen = sleep->load(std::memory_order_relaxed);
  const bool waiter = seen == static_cast<uint32_t>(Sleep::kWaiter);
  const bool runtime =
      seen == static_cast<uint32_t>(Sleep::kTasks) ||
      (seen == static_cast<uint32_t>(Sleep::kRuntime) && urgency == Urgency::kAnyone);
  if (!waiter && !runtime) return Wake::kNobody;
  // A word that changed meanwhile was changed by the client, which then looks into its ring itself.
  if (!sleep->compare_exchange_strong(seen, static_cast<uint32_t>(Sleep::kAwake),
                                      std::memory_order_seq_cst)) {
    return Wake::kNobody;
  }
  return waiter ? Wake::kFutex : Wake::kEventFd;
}

bool wake_client(ChannelHeader* header, int client_eventfd, Urgency urgency) {
  switch (take_sleeper(&header->sleep, urgency)) {
    case Wake::kFutex:
      os::futex_wake(&header->sleep, 1, os::FutexScope::kShared);
      return true;
    case Wake::kEventFd:
      os::signal_eventfd(client_eventfd);
      return true;
    default:
      return false;
  }
}

bool prepare_sleep(std::atomic<uint32_t>* sleep, Sleep where, const RingReader& inbound) {
  sleep->store(static_cast<uint32_t>(where), std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!inbound.has_more()) return true;
  sleep->store(static_cast<uint32_t>(Sleep::kAwake), std::memory_order_seq_cst);
  return false;
}

}  // namespace sundog::shm
