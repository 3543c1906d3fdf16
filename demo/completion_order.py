"""Exercise 7: results in the order in which their tasks end, whatever the order of the calls."""

from __future__ import annotations

import time

from demo.outcome import Outcome, require, seconds
from demo.runtime import session, sundog

TASKS = 10


@sundog.remote
def random_nap() -> tuple[float, float]:
    import numpy as np

    nap = np.random.uniform(0, 5)
    time.sleep(nap)
    return time.time(), nap


def run() -> Outcome:
    """Ten tasks of 0 to 5 s on five CPUs, taken one by one with wait()."""
    moments, naps = [], []
    with session(num_cpus=5, settle=0.5):
        start = time.perf_counter()
        pending = [random_nap.remote() for _ in range(TASKS)]
        while pending:
            ready, pending = sundog.wait(pending)
            moment, nap = sundog.get(ready[0])
            moments.append(moment)
            naps.append(nap)
        took = time.perf_counter() - start
    require(moments == sorted(moments), "results did not come in the order of completion")
    require(len(set(naps)) == TASKS, "two tasks drew the same random number")
    return Outcome(seconds(took), "in order", "6.875 s", f"naps of {sum(naps):.1f} s on 5 CPUs")
