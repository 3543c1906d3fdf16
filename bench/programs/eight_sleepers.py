"""Exercise 10's start: eight tasks of 0.1 s in eight processes, from the return of init."""

import os
import time

from bench.programs.contestant import init, report, sundog


@sundog.remote
def sleeper() -> tuple[int, float, float]:
    begin = time.monotonic()
    time.sleep(0.1)
    return os.getpid(), begin, time.monotonic()


def main() -> None:
    init(num_cpus=8)
    start = time.perf_counter()
    naps = sundog.get([sleeper.remote() for _ in range(8)])
    took = time.perf_counter() - start
    processes = len({pid for pid, _, _ in naps})
    overlapping = max(begin for _, begin, _ in naps) < min(end for _, _, end in naps)
    report("eight sleepers after init", took, "s")
    report("... processes used", processes, "")
    report("... all eight overlap", float(overlapping), "")


if __name__ == "__main__":
    main()
