"""put and get of a small value, in loops of one second."""

import time

from bench.programs.contestant import init, report, sundog

SECONDS = 1.0
BATCH = 100
WARM_UP = 20


def rate_of_put() -> float:
    start = time.perf_counter()
    done = 0
    while time.perf_counter() < start + SECONDS:
        for i in range(BATCH):
            sundog.put(i)
        done += BATCH
    return done / (time.perf_counter() - start)


def rate_of_get() -> float:
    ref = sundog.put(41)
    start = time.perf_counter()
    done = 0
    while time.perf_counter() < start + SECONDS:
        for _ in range(BATCH):
            value = sundog.get(ref)
        done += BATCH
    assert value == 41
    return done / (time.perf_counter() - start)


def main() -> None:
    init(num_cpus=2)
    for i in range(WARM_UP):
        assert sundog.get(sundog.put(i)) == i
    report("put, small value", rate_of_put(), "/s")
    report("get, small value", rate_of_get(), "/s")


if __name__ == "__main__":
    main()
