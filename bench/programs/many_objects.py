"""Many references: 10,000 to one task, 3,000 results of one, get of 2,000 objects in the store."""

import time
from collections.abc import Callable

import numpy as np

from bench.programs.contestant import CANNOT, cores, init, percentile, report, sundog, up_to

ROUNDS = 5
ARGUMENTS = 10_000
RESULTS = 3_000
OBJECTS = 2_000
OBJECT_BYTES = 128 * 1024


@sundog.remote
def count(*values: int) -> int:
    return len(values)


def many_results() -> list[int]:
    return list(range(RESULTS))


def report_median(name: str, call: Callable[[], None]) -> None:
    """Reports the median of a few rounds, the first (which may start a worker) left out."""
    call()
    samples = []
    for _ in up_to(ROUNDS):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    report(name, percentile(samples, 0.5), "s", low=min(samples), high=max(samples))


def main() -> None:
    init(num_cpus=cores())
    arguments = [sundog.put(i) for i in range(ARGUMENTS)]

    def to_one_task() -> None:
        assert sundog.get(count.remote(*arguments)) == ARGUMENTS

    objects = [sundog.put(np.full(OBJECT_BYTES, i % 251, np.uint8)) for i in range(OBJECTS)]

    def get_all() -> None:
        arrays = sundog.get(objects)
        assert len(arrays) == OBJECTS and arrays[-1][-1] == (OBJECTS - 1) % 251

    report_median("10,000 refs to one task", to_one_task)
    if "num_returns" not in CANNOT:
        results = sundog.remote(num_returns=RESULTS)(many_results)

        def from_one_task() -> None:
            assert sundog.get(results.remote()) == list(range(RESULTS))

        report_median("3,000 results of one task", from_one_task)
    report_median("get of 2,000 store objects", get_all)


if __name__ == "__main__":
    main()
