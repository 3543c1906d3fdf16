#include "os/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace sundog::os {

void fill_random(void* data, size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    ssize_t got = ::getrandom(at, size, 0);
    SUNDOG_CHECK(got > 0 || errno == EINTR);
    if (got < 0) continue;
    at += got;
    size -= static_cast<size_t>(got);
  }
}

}  // namespace sundog::os
