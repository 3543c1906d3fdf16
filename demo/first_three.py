"""Exercise 6: wait() hands out whichever tasks are ready first, so slow ones hold nobody up."""

from __future__ import annotations

import time

import numpy as np
from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog

TASKS = 6


@sundog.remote
def uneven(number: int) -> tuple[int, float]:
    time.sleep(np.random.RandomState(5 + number).uniform(0, 4))
    return number, time.time()


def run() -> Outcome:
    """Of six tasks of 0 to 4 s, take the three quickest, then the rest."""
    with session(num_cpus=TASKS, settle=0.5):
        start = time.perf_counter()
        quick_refs, slow_refs = sundog.wait(
            [uneven.remote(number) for number in range(TASKS)], num_returns=3
        )
        quick = sundog.get(quick_refs)
        took = time.perf_counter() - start
        slow = sundog.get(slow_refs)
    require(len(quick) == 3 and len(slow) == 3, f"wait() split {len(quick)} and {len(slow)}")
    require({number for number, _ in quick + slow} == set(range(TASKS)), "a task is missing")
    require(
        max(moment for _, moment in quick) < min(moment for _, moment in slow),
        "a task of the second batch ended before one of the first",
    )
    return Outcome(seconds(took), require_window(took, 0.8, 1.5, "the first three"), "0.893 s")
