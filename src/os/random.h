// Random bytes from the kernel, for names and seeds. Any thread; never fails, never blocks once the
// machine is up. std::random_device is not used: GCC 12's ties a program to glibc 2.36.
#pragma once

#include <cstddef>

namespace sundog::os {

void fill_random(void* data, size_t size);

}  // namespace sundog::os
