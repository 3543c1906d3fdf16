// The whole C++ API: session.h and actor.h for programs that call, remote.h and worker.h for
// programs that are called.
#pragma once

#include "sundog/actor.h"        // IWYU pragma: export
#include "sundog/arrow.h"        // IWYU pragma: export
#include "sundog/async.h"        // IWYU pragma: export
#include "sundog/calls.h"        // IWYU pragma: export
#include "sundog/containers.h"   // IWYU pragma: export
#include "sundog/environment.h"  // IWYU pragma: export
#include "sundog/errors.h"       // IWYU pragma: export
#include "sundog/generator.h"    // IWYU pragma: export
#include "sundog/ref.h"          // IWYU pragma: export
#include "sundog/remote.h"       // IWYU pragma: export
#include "sundog/session.h"      // IWYU pragma: export
#include "sundog/stream.h"       // IWYU pragma: export
#include "sundog/tensor.h"       // IWYU pragma: export
#include "sundog/until.h"        // IWYU pragma: export
#include "sundog/value.h"        // IWYU pragma: export
#include "sundog/worker.h"       // IWYU pragma: export
