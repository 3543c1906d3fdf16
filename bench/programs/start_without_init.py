"""Start of a session by its first call: no init, four results."""

import os
import time

from bench.programs.contestant import report, sundog

os.environ["SUNDOG_NUM_CPUS"] = "4"


@sundog.remote
def number(i: int) -> int:
    return i


def main() -> None:
    start = time.perf_counter()
    results = sundog.get([number.remote(i) for i in range(4)])
    done = time.perf_counter()
    assert results == list(range(4)), results
    report("no init, four results", done - start, "s")


if __name__ == "__main__":
    main()
