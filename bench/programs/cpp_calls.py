"""What a call costs the program that makes it, from C++ and from Python: the same empty function of
the same C++ workers, 1,000 calls and then their values, each driver in turn.

build/release/cpp_calls is the driver in C++ and the worker of both; SUNDOG_CPP_CALLS names another
build of it. CPU is that of the driver's process alone.
"""

import json
import os
import subprocess
import time
from pathlib import Path

import sundog
from bench.programs.contestant import percentile, report

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("SUNDOG_CPP_CALLS", str(ROOT / "build/release/cpp_calls"))
BATCHES, CALLS, TURNS = 10, 1000, 5


def from_cpp() -> tuple[float, float]:
    """(CPU microseconds a call, calls a second) of the driver in C++."""
    command = [PROGRAM, str(BATCHES), str(CALLS)]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return told["cpu_seconds"] / told["calls"] * 1e6, told["calls"] / told["seconds"]


def from_python() -> tuple[float, float]:
    """The same of this process."""
    same = sundog.cpp_function("same")
    with sundog.init(cpp_worker=PROGRAM, logging_level="warning"):

        def batch() -> None:
            assert len(sundog.get([same.remote(i) for i in range(CALLS)])) == CALLS

        for _ in range(3):
            batch()
        cpu, begin = time.process_time(), time.perf_counter()
        for _ in range(BATCHES):
            batch()
        took, used = time.perf_counter() - begin, time.process_time() - cpu
    return used / (BATCHES * CALLS) * 1e6, BATCHES * CALLS / took


def main() -> None:
    turns = [(from_cpp(), from_python()) for _ in range(TURNS)]
    cpp = percentile([ours[0] for ours, _ in turns], 0.5)
    python = percentile([theirs[0] for _, theirs in turns], 0.5)
    report("driver's CPU, a call from C++", cpp, "us")
    report("driver's CPU, a call from Python", python, "us")
    report("... C++ to Python", cpp / python, "x")
    report("1,000 calls from C++, then get", percentile([c[1] for c, _ in turns], 0.5), "/s")
    report("1,000 calls from Python, then get", percentile([p[1] for _, p in turns], 0.5), "/s")


if __name__ == "__main__":
    main()
