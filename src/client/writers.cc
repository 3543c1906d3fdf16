#include "client/writers.h"

#include <string>
#include <vector>

#include "os/socket.h"
#include "wire/hello.h"

namespace sundog::client {
namespace {

// Only our own code ever writes through these mappings: what a user writes into becomes a private
// view when it is put (Room::become_private). So the protection only finds our own mistakes, and a
// build that users run does without it: it costs two changes of every page's entry a put, for
// 800 MB in 4 KB pages 30 ms, as much as the copy itself.
#ifdef SUNDOG_CHECKED
constexpr bool kProtectSealed = true;
#else
constexpr bool kProtectSealed = false;
#endif

bool overlap(const model::Extent& a, const model::Extent& b) {
  return a.arena == b.arena && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

}  // namespace

Result<os::Fd> WritableRanges::ask_descriptor(uint32_t arena) {
  os::MutexLock lock(&control_mutex_);
  wire::WantWritable want;
  want.arena = arena;
  Status sent = os::send_packet(control_, {reinterpret_cast<const std::byte*>(&want), sizeof want});
  if (!sent) return Failure{sent.error()};
  os::Received answer = os::receive_packet(control_);
  if (answer.status != os::ReceiveStatus::kPacket) {
    return Failure{"no writable memory: the daemon closed the connection " + answer.error};
  }
  auto descriptor = wire::parse_control<wire::Descriptor>(answer.data);
  if (!descriptor || descriptor->arena != arena || answer.fds.size() != 1) {
    return Failure{"the daemon did not hand over writable memory of arena " +
                   std::to_string(arena)};
  }
  return std::move(answer.fds[0]);
}

Result<os::Mapping> WritableRanges::open(const model::Extent& extent) {
  std::vector<os::Mapping> stale;  // unmapped after the lock
  {
    os::MutexLock lock(&mutex_);
    os::Mapping found;
    for (auto it = kept_.begin(); it != kept_.end();) {
      if (!overlap(it->extent, extent)) {
        ++it;
        continue;
      }
      bool covers = it->extent.offset == extent.offset && it->extent.size >= extent.size;
      kept_bytes_ -= it->mapping.size();
      (covers ? found : stale.emplace_back()) = std::move(it->mapping);
      it = kept_.erase(it);
    }
    if (found && (!kProtectSealed || found.protect(os::Access::kReadWrite, extent.size))) {
      return found;
    }
  }
  auto memory = ask_descriptor(extent.arena);
  if (!memory) return Failure{memory.error()};
  return os::Mapping::map(memory->get(), extent.offset, extent.size, os::Access::kReadWrite,
                          os::Sharing::kShared);
}

void WritableRanges::seal(const model::Extent& extent, os::Mapping mapping) {
  if (kProtectSealed && !mapping.protect(os::Access::kRead, extent.size)) return;
  std::vector<os::Mapping> dropped;  // unmapped after the lock
  os::MutexLock lock(&mutex_);
  model::Extent covered = extent;
  covered.size = mapping.size();
  kept_bytes_ += mapping.size();
  kept_.push_back({covered, std::move(mapping)});
  while (kept_.size() > kKeptMax || kept_bytes_ > kKeptBytesMax) {
    kept_bytes_ -= kept_.front().mapping.size();
    dropped.push_back(std::move(kept_.front().mapping));
    kept_.pop_front();
  }
}

}  // namespace sundog::client
