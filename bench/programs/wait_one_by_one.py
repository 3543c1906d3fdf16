"""wait() one by one over 1,000 references, until none is left: how many such rounds a second."""

import time

from bench.programs.contestant import cores, init, report, sundog

REFS = 1000
SECONDS = 2.0


@sundog.remote
def nothing() -> None:
    return None


def drain() -> None:
    pending = [nothing.remote() for _ in range(REFS)]
    taken = 0
    while pending:
        ready, pending = sundog.wait(pending)
        taken += len(ready)
    assert taken == REFS


def main() -> None:
    init(num_cpus=cores())
    drain()
    start = time.perf_counter()
    rounds = 0
    while time.perf_counter() < start + SECONDS:
        drain()
        rounds += 1
    report("wait, one by one over 1,000", rounds / (time.perf_counter() - start), "rounds/s")


if __name__ == "__main__":
    main()
