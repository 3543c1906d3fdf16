#include "os/fresh_pages.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/bytes.h"

namespace sundog::os {
namespace {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

void* page_of(const std::byte* address) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) / kSmallPage * kSmallPage);
}

}  // namespace

bool is_page_missing(const std::byte* address) {
  unsigned char there = 1;
  return mincore(page_of(address), kSmallPage, &there) == 0 && (there & 1) == 0;
}

bool make_large_page(std::byte* address) {
  // A range without any page answers EINVAL: one page is touched before.
  auto* word = reinterpret_cast<std::atomic<uint8_t>*>(address);
  word->fetch_or(0, std::memory_order_relaxed);
  uintptr_t start = reinterpret_cast<uintptr_t>(address) / kLargePage * kLargePage;
  return madvise(reinterpret_cast<void*>(start), kLargePage, MADV_COLLAPSE) == 0;
}

bool make_small_pages(std::byte* start, uint64_t size) {
  auto first = reinterpret_cast<uintptr_t>(page_of(start));
  uintptr_t end = round_up(reinterpret_cast<uintptr_t>(start) + size, kSmallPage);
  return madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE) == 0;
}

std::optional<PageFiller> PageFiller::open() {
  Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!fd) return std::nullopt;
  uffdio_api api = {};
  api.api = UFFD_API;
  if (ioctl(fd.get(), UFFDIO_API, &api) != 0) return std::nullopt;
  return PageFiller(std::move(fd));
}

uint64_t PageFiller::fill(std::byte* to, const std::byte* from, uint64_t size) {
  if (!fd_) return 0;
  uffdio_register range = {};
  range.range = {reinterpret_cast<uintptr_t>(to), size};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (ioctl(fd_.get(), UFFDIO_REGISTER, &range) != 0) return 0;
  uint64_t filled = 0;
  while (filled < size) {
    uffdio_copy copy = {};
    copy.dst = reinterpret_cast<uintptr_t>(to) + filled;
    copy.src = reinterpret_cast<uintptr_t>(from) + filled;
    copy.len = size - filled;
    const bool ok = ioctl(fd_.get(), UFFDIO_COPY, &copy) == 0;
    if (copy.copy > 0) filled += static_cast<uint64_t>(copy.copy);
    if (!ok && (errno != EAGAIN || copy.copy <= 0)) break;
  }
  // While it is registered a touch of a missing page would wait for an answer of ours.
  if (ioctl(fd_.get(), UFFDIO_UNREGISTER, &range.range) != 0) fd_.reset();
  return filled;
}

}  // namespace sundog::os
