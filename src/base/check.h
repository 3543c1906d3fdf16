// CHECK is for our own bugs and always on; never for bytes from a peer, a user or a disk.
#pragma once

namespace sundog {

// Prints "file:line: CHECK failed: what" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* what);

}  // namespace sundog

#define SUNDOG_CHECK(condition)                               \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::sundog::check_failed(__FILE__, __LINE__, #condition); \
  } while (0)
