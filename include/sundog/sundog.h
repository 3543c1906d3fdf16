// The whole C++ API: session.h for programs that call, worker.h for programs that are called.
#pragma once

#include "sundog/errors.h"   // IWYU pragma: export
#include "sundog/session.h"  // IWYU pragma: export
#include "sundog/tensor.h"   // IWYU pragma: export
#include "sundog/value.h"    // IWYU pragma: export
#include "sundog/worker.h"   // IWYU pragma: export
