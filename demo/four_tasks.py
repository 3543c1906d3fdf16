"""Exercise 1: independent calls run side by side."""

from __future__ import annotations

import time

from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog


@sundog.remote
def one_second_of_work(number: int) -> int:
    time.sleep(1)
    return number


def run() -> Outcome:
    """Four one-second tasks on four CPUs take one second."""
    with session(num_cpus=4, settle=0.5):
        start = time.perf_counter()
        numbers = sundog.get([one_second_of_work.remote(number) for number in range(4)])
        took = time.perf_counter() - start
    require(numbers == [0, 1, 2, 3], f"the tasks returned {numbers}")
    return Outcome(seconds(took), require_window(took, 1.0, 1.1, "four tasks"), "1.006 s")
