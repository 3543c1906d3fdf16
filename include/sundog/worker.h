// A worker: a program whose registered functions run as tasks and whose registered classes are
// actors (sundog/remote.h).
//
//   int main(int argc, char** argv) { return sundog::worker_main(argc, argv); }
//
// A program that also calls needs no worker_main: sundog::init(argc, argv) does both.
#pragma once

#include "sundog/session.h"

namespace sundog {

// Runs tasks until the session ends: `--address PATH` names its socket. The exit code.
int worker_main(int argc, char** argv);

}  // namespace sundog
