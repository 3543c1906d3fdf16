#include "os/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>

namespace sundog::os {
namespace {

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

constexpr uint64_t kHugePage = 2ull << 20;

int protection(Access access) {
  switch (access) {
    case Access::kNone:
      return PROT_NONE;
    case Access::kRead:
      return PROT_READ;
    default:
      return PROT_READ | PROT_WRITE;
  }
}

Result<struct stat> stat_of(int memory) {
  struct stat info;
  if (fstat(memory, &info) != 0) return Failure{system_error("read the size of shared memory")};
  return info;
}

// An address range whose distance to a 2 MB boundary is that of `offset`: only there can a huge
// page of the memory be mapped as one. Null if there is none; the kernel's choice is used then.
void* reserve_aligned(uint64_t offset, uint64_t size) {
  uint64_t span = size + kHugePage;
  void* start = mmap(nullptr, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  auto first = reinterpret_cast<uintptr_t>(start);
  uintptr_t place = first + (offset - first) % kHugePage;
  uintptr_t end = round_up(place + size, 4096);
  if (place > first) munmap(start, place - first);
  if (first + span > end) munmap(reinterpret_cast<void*>(end), first + span - end);
  return reinterpret_cast<void*>(place);
}

}  // namespace

Result<Fd> create_sealed_memory(const char* name, uint64_t size) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return Failure{system_error("create shared memory")};
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return Failure{system_error("size shared memory to " + std::to_string(size) + " bytes")};
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Failure{system_error("seal shared memory")};
  }
  return fd;
}

Result<Fd> reopen_read_only(int memory) {
  Fd fd(open(("/proc/self/fd/" + std::to_string(memory)).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Failure{system_error("reopen shared memory read-only through /proc/self/fd")};
  return fd;
}

Result<uint64_t> memory_size(int memory) {
  auto info = stat_of(memory);
  if (!info) return Failure{info.error()};
  return static_cast<uint64_t>(info->st_size);
}

Result<uint64_t> memory_resident(int memory) {
  auto info = stat_of(memory);
  if (!info) return Failure{info.error()};
  return static_cast<uint64_t>(info->st_blocks) * 512;
}

Status allocate_pages(int memory, uint64_t offset, uint64_t size) {
  while (fallocate(memory, 0, static_cast<off_t>(offset), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) {
      return Failure{system_error("make " + std::to_string(size) + " bytes of shared memory")};
    }
  }
  return ok_status();
}

Status punch_hole(int memory, uint64_t offset, uint64_t size) {
  if (fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(size)) != 0) {
    return Failure{system_error("give back " + std::to_string(size) + " bytes of shared memory")};
  }
  return ok_status();
}

Status read_memory(int memory, uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    ssize_t n = pread(memory, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure{system_error("read shared memory")};
    if (n == 0) return Failure{std::string("cannot read shared memory: it ends before the range")};
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
  return ok_status();
}

Result<Mapping> Mapping::map(int memory, uint64_t offset, uint64_t size, Access access,
                             Sharing sharing) {
  int flags = sharing == Sharing::kShared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  void* place = size >= kHugePage ? reserve_aligned(offset, size) : nullptr;
  if (place != nullptr) flags |= MAP_FIXED;
  void* data = mmap(place, size, protection(access), flags, memory, static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    int error_number = errno;
    if (place != nullptr) munmap(place, size);
    errno = error_number;
    return Failure{system_error("map " + std::to_string(size) + " bytes of shared memory")};
  }
  madvise(data, size, MADV_DONTDUMP);
  return Mapping(static_cast<std::byte*>(data), size);
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

Status Mapping::protect(Access access, uint64_t bytes) {
  if (mprotect(data_, std::min(bytes, size_), protection(access)) != 0) {
    return Failure{system_error("change the protection of a mapping")};
  }
  return ok_status();
}

Status Mapping::become_private(int memory, uint64_t offset) {
  void* data = mmap(data_, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED,
                    memory, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return Failure{system_error("make a mapping private")};
  madvise(data_, size_, MADV_DONTDUMP);
  return ok_status();
}

void Mapping::keep_from_children() { madvise(data_, size_, MADV_DONTFORK); }

bool Mapping::collapse_to_huge_pages(uint64_t offset, uint64_t size) {
  auto start = reinterpret_cast<uintptr_t>(data_) + offset;
  uintptr_t first = round_up(start, kHugePage);
  uintptr_t last = (start + size) / kHugePage * kHugePage;
  bool all = true;
  for (uintptr_t at = first; at < last; at += kHugePage) {
    // A range without any page answers EINVAL: one page is touched before.
    auto* word = reinterpret_cast<std::atomic<uint8_t>*>(at);
    word->fetch_or(0, std::memory_order_relaxed);
    all = madvise(reinterpret_cast<void*>(at), kHugePage, MADV_COLLAPSE) == 0 && all;
  }
  return all && last > first;
}

}  // namespace sundog::os
