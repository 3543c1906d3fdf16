#include "base/ids.h"

#include "base/hash.h"
#include "base/task_family.h"

namespace sundog {
namespace {

TaskId with_job(JobId job, std::array<uint64_t, 2> digest) {
  TaskId id;
  std::memcpy(id.bytes.data(), &job.value, 4);
  std::memcpy(id.bytes.data() + 4, &digest[1], 4);
  std::memcpy(id.bytes.data() + 8, &digest[0], 8);
  return id;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

TaskFamily::TaskFamily(JobId job, const TaskId& parent, uint32_t parent_attempt) : job_(job) {
  struct {
    std::array<uint8_t, 16> parent;
    uint32_t attempt;
    uint32_t job;
  } key{parent.bytes, parent_attempt, job.value};
  static_assert(sizeof key == 24);  // no padding is hashed
  const auto digest = hash128(&key, sizeof key);
  seed_ = digest[0];
  salt_ = static_cast<uint32_t>(digest[1]);
}

TaskId TaskId::make(JobId job, const TaskId& parent, uint32_t parent_attempt, uint64_t call_index) {
  return TaskFamily(job, parent, parent_attempt).child(call_index);
}

TaskId TaskId::root_of(JobId job) { return with_job(job, {0x73756e646f67ull, 0}); }

TaskId TaskId::for_function(JobId job, std::array<uint64_t, 2> digest) {
  return with_job(job, digest);
}

std::string to_hex(const void* data, size_t size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto* bytes = static_cast<const uint8_t*>(data);
  std::string out(size * 2, '0');
  for (size_t i = 0; i < size; ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4];
    out[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return out;
}

std::string TaskId::hex() const { return to_hex(bytes.data(), bytes.size()); }
std::string NodeId::hex() const { return to_hex(bytes.data(), bytes.size()); }
std::string ObjectId::hex() const { return to_hex(this, sizeof *this); }

bool ObjectId::from_hex(std::string_view text, ObjectId* out) {
  if (text.size() != 2 * sizeof(ObjectId)) return false;
  std::array<uint8_t, sizeof(ObjectId)> raw;
  for (size_t i = 0; i < raw.size(); ++i) {
    int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    raw[i] = static_cast<uint8_t>(high << 4 | low);
  }
  std::memcpy(out, raw.data(), raw.size());
  return true;
}

}  // namespace sundog
