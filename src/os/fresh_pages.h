// Pages of shared memory made by the process that is about to fill them (DESIGN section 6): large
// ones where the kernel has some, else small ones that are born with their bytes. Nothing here
// faults where memory is short or a call is forbidden; it says that it made nothing.
//
// Any thread, on mappings of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "os/fd.h"

namespace sundog::os {

constexpr uint64_t kSmallPage = 4096;
constexpr uint64_t kLargePage = 2ull << 20;

// Whether nobody has made the page there yet, or it was only allocated: the kernel zeroes that at
// its first touch. False also where the kernel does not say.
bool is_page_missing(const std::byte* address);

// One large page of the aligned 2 MB around `address`, as far as they are mapped as one; what lies
// there already keeps its bytes. The page of `address` is made in any case. False: none was made.
bool make_large_page(std::byte* address);

// Small pages of the range, zeroed; false where some could not be had.
bool make_small_pages(std::byte* start, uint64_t size);

// Makes small pages with the bytes that they shall hold, in one pass: they are neither zeroed
// first nor does each cost a fault (userfaultfd, which needs no privilege to be used like this).
class PageFiller {
 public:
  // Nullopt where the kernel, or a container's filter of system calls, does not have it.
  static std::optional<PageFiller> open();
  // Fills whole pages from `to` on, as long as they are missing; returns the bytes filled.
  uint64_t fill(std::byte* to, const std::byte* from, uint64_t size);

 private:
  explicit PageFiller(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace sundog::os
