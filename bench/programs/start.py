"""Start of a session: init returns, and eight first results from there."""

import time

from bench.programs.contestant import init, report, sundog


@sundog.remote
def number(i: int) -> int:
    return i


def main() -> None:
    start = time.perf_counter()
    init(num_cpus=4)
    ready = time.perf_counter()
    results = sundog.get([number.remote(i) for i in range(8)])
    done = time.perf_counter()
    assert results == list(range(8)), results
    report("init returns", ready - start, "s")
    report("eight first results", done - ready, "s")


if __name__ == "__main__":
    main()
