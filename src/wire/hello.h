// The handshake on the control socket (unix SOCK_SEQPACKET), fixed layout.
//
//   client -> daemon   Hello
//   daemon -> client   Welcome, with descriptors [channel memfd, doorbell memfd, bell eventfd,
//                      client eventfd, then one read-only arena memfd for each arena]
//   or                 Goodbye (refused: the sentence says why), then the socket closes
// Later, in lockstep and always begun by the client:
//   WantWritable{arena}  ->  Descriptor with [arena memfd, writable], or Goodbye
// A hang-up on either side means that the other process is gone.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "model/limits.h"
#include "model/messages.h"

namespace sundog::wire {

constexpr uint32_t kHelloMagic = 0x53554e44;  // "SUND"

enum class ControlType : uint32_t {
  kHello = 1,
  kWelcome = 2,
  kGoodbye = 3,
  kWantWritable = 4,
  kDescriptor = 5
};

struct Hello {
  uint32_t magic = kHelloMagic;
  uint32_t type = static_cast<uint32_t>(ControlType::kHello);
  uint32_t protocol = model::kProtocolVersion;
  uint8_t role = 0;      // model::Role
  uint8_t language = 0;  // model::Language
  uint16_t pad = 0;
  uint32_t pid = 0;
  uint32_t job = 0;  // drivers: 0, the daemon gives one; workers: as told by the zygote
  uint64_t runtime_env = 0;
  uint64_t spawn_token = 0;
  uint32_t prestart = 0;       // drivers: workers to start at once
  uint32_t job_weight = 0;     // drivers: beside other jobs, in 1/1000; 0: 1
  char entry_point[256] = {};  // drivers: script or "-c", for people; C++ workers: their program
  char name_space[128] = {};   // drivers: where the job's actors are named; empty: by job
};

struct Welcome {
  uint32_t magic = kHelloMagic;
  uint32_t type = static_cast<uint32_t>(ControlType::kWelcome);
  uint32_t protocol = model::kProtocolVersion;
  uint32_t client = 0;  // ClientId
  uint32_t job = 0;
  uint32_t daemon_pid = 0;
  uint8_t node[16] = {};
  uint8_t session[16] = {};  // printable, zero-terminated: "a1b2c3d4"
  uint64_t store_bytes = 0;
  uint64_t total_memory_bytes = 0;
  int64_t num_cpus = 0;  // 1/10000
  int64_t num_gpus = 0;
  uint32_t num_arenas = 1;
  uint32_t pad = 0;
  uint64_t arena_bytes[4] = {};  // virtual size of each arena
  char session_dir[512] = {};
  char name_space[128] = {};  // as the job's driver said it; empty: it named none
};

struct Goodbye {
  uint32_t magic = kHelloMagic;
  uint32_t type = static_cast<uint32_t>(ControlType::kGoodbye);
  char reason[504] = {};
};

struct WantWritable {
  uint32_t magic = kHelloMagic;
  uint32_t type = static_cast<uint32_t>(ControlType::kWantWritable);
  uint32_t arena = 0;
  uint32_t pad = 0;
};

struct Descriptor {
  uint32_t magic = kHelloMagic;
  uint32_t type = static_cast<uint32_t>(ControlType::kDescriptor);
  uint32_t arena = 0;
  uint32_t pad = 0;
};

// Which struct a packet holds: parse_control<that> is next. Fails without magic or with an
// unknown type.
Result<ControlType> control_type(Bytes packet);

// Copies a packet into T after checking size, magic, type, protocol and zero-termination.
template <typename T>
Result<T> parse_control(Bytes packet);

}  // namespace sundog::wire
