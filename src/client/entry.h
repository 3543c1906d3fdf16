// Where a RefHandle's Entry is defined: the table of objects is core::ClientCore's.
#pragma once

#include "client/runtime.h"
#include "core/client_core.h"
