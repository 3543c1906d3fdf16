// Identity: jobs, tasks, objects, nodes and clients (DESIGN section 4).
//
// Plain values without I/O, shared by every layer and written to the wire as they lie in
// memory (little endian; the project supports x86-64 and aarch64 Linux only).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace sundog {

// A driver's session-wide number. 0 means "no job".
struct JobId {
  uint32_t value = 0;
  auto operator<=>(const JobId&) const = default;
};

// One attached process (driver, worker or tool) of one daemon. The index addresses the doorbell
// bit and the tables; the generation tells a reused index from its predecessor.
struct ClientId {
  uint32_t value = 0;  // generation << 12 | index
  static constexpr uint32_t kIndexBits = 12;
  static constexpr uint32_t kIndexMax = (1u << kIndexBits) - 1;
  static constexpr ClientId make(uint32_t index, uint32_t generation) {
    return ClientId{generation << kIndexBits | index};
  }
  constexpr uint32_t index() const { return value & kIndexMax; }
  constexpr uint32_t generation() const { return value >> kIndexBits; }
  constexpr bool is_nil() const { return value == 0; }  // generations start at 1
  auto operator<=>(const ClientId&) const = default;
};

// 16 bytes: the job's number, then 12 bytes of hash(job, parent task, parent attempt, call index).
// The job in clear lets the daemon check that a client makes ids for its own job only.
struct alignas(4) TaskId {
  std::array<uint8_t, 16> bytes{};

  static TaskId make(JobId job, const TaskId& parent, uint32_t parent_attempt, uint64_t call_index);
  // The task that stands for a driver's own program, parent of what it submits.
  static TaskId root_of(JobId job);
  // Content-addressed: the function object whose pickled bytes hash to `digest`.
  static TaskId for_function(JobId job, std::array<uint64_t, 2> digest);

  JobId job() const {
    uint32_t v;
    std::memcpy(&v, bytes.data(), 4);
    return JobId{v};
  }
  bool is_nil() const { return *this == TaskId{}; }
  uint64_t hash() const {
    uint64_t v;
    std::memcpy(&v, bytes.data() + 8, 8);
    return v;
  }
  std::string hex() const;
  // Two words instead of a call of memcmp: look-ups compare ids more often than anything else.
  bool operator==(const TaskId& other) const {
    uint64_t a[2], b[2];
    std::memcpy(a, bytes.data(), sizeof a);
    std::memcpy(b, other.bytes.data(), sizeof b);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
  }
  auto operator<=>(const TaskId&) const = default;
};

// 20 bytes, 40 hex digits: the task that makes the object and the result's index; the top bit of
// the index marks a put, so that puts and results never collide.
struct alignas(4) ObjectId {
  TaskId task;
  uint32_t index = 0;
  static constexpr uint32_t kPutBit = 0x80000000u;

  bool is_put() const { return (index & kPutBit) != 0; }
  bool is_nil() const { return *this == ObjectId{}; }
  uint64_t hash() const { return task.hash() ^ (index * 0x9E3779B97F4A7C15ull); }
  std::string hex() const;
  // False and *out untouched unless `text` is exactly 40 hex digits.
  static bool from_hex(std::string_view text, ObjectId* out);
  auto operator<=>(const ObjectId&) const = default;
};
static_assert(sizeof(TaskId) == 16 && sizeof(ObjectId) == 20);

// A machine of the session; 16 random bytes. Nil means "this node" in a single-node session.
struct alignas(4) NodeId {
  std::array<uint8_t, 16> bytes{};
  bool is_nil() const { return *this == NodeId{}; }
  uint64_t hash() const {
    uint64_t v;
    std::memcpy(&v, bytes.data(), 8);
    return v;
  }
  std::string hex() const;
  auto operator<=>(const NodeId&) const = default;
};

// Lower-case hex of any bytes.
std::string to_hex(const void* data, size_t size);

struct IdHash {
  // The ids are hashes already; they are mixed once so that a table's low bits are good.
  using is_avalanching = void;
  template <typename Id>
  size_t operator()(const Id& id) const {
    return id.hash() * 0x9E3779B97F4A7C15ull;
  }
};

}  // namespace sundog
