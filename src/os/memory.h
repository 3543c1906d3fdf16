// Shared memory: sealed memfds and their mappings. Any thread, like a descriptor or a pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "os/fd.h"

namespace sundog::os {

// A zeroed memfd of `size` bytes that nobody can shrink, grow or seal further: no process that
// maps it can be made to fault by another. Sparse until pages are touched or allocated.
Result<Fd> create_sealed_memory(const char* name, uint64_t size);
// The same memory through a descriptor that can only be mapped and read for reading.
Result<Fd> reopen_read_only(int memory);
// Size of the memory behind a descriptor, and the bytes of pages it really has.
Result<uint64_t> memory_size(int memory);
Result<uint64_t> memory_resident(int memory);
// Makes the pages of the range now, in the calling process's cgroup.
Status allocate_pages(int memory, uint64_t offset, uint64_t size);
// Gives the pages of the range back to the machine; it reads as zeros afterwards.
Status punch_hole(int memory, uint64_t offset, uint64_t size);
// Fills `out` from `offset` on.
Status read_memory(int memory, uint64_t offset, std::span<std::byte> out);

enum class Access { kNone, kRead, kReadWrite };
enum class Sharing { kShared, kPrivate };

// Owns one mapping; move only.
class Mapping {
 public:
  Mapping() = default;
  // `offset` is a multiple of the page size. kPrivate with kReadWrite needs only a readable
  // descriptor: a write makes a page of this process's own. Not part of core dumps.
  static Result<Mapping> map(int memory, uint64_t offset, uint64_t size, Access access,
                             Sharing sharing);
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();

  std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  Bytes bytes() const { return {data_, size_}; }
  explicit operator bool() const { return data_ != nullptr; }

  // Of the first `bytes`, up to a whole page: the cost is that of the pages, not of the mapping.
  Status protect(Access access, uint64_t bytes);
  // Replaces the mapping where it lies by a private, writable one of the same bytes of `memory`:
  // a thread that writes meanwhile writes to the one or to the other, and never faults.
  Status become_private(int memory, uint64_t offset);
  // A child made by fork does not have this mapping.
  void keep_from_children();
  // Makes 2 MB pages of every aligned part where the kernel can; false where it cannot.
  bool collapse_to_huge_pages() { return collapse_to_huge_pages(0, size_); }
  bool collapse_to_huge_pages(uint64_t offset, uint64_t size);

 private:
  Mapping(std::byte* data, uint64_t size) : data_(data), size_(size) {}

  std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace sundog::os
