"""Exercise 8: an array put once is shared by every task that names it."""

from __future__ import annotations

import time
from typing import Any

from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog

TASKS = 20


@sundog.remote
def evaluate(weights: Any, number: int) -> tuple[int, float]:
    return number, float(weights[number])


def run() -> Outcome:
    """Twenty tasks on one array of a million numbers, put once."""
    import numpy as np

    weights = np.random.default_rng(8).standard_normal(1_000_000)
    with session(num_cpus=4, settle=0.5):
        start = time.perf_counter()
        shared = sundog.put(weights)
        answers = sundog.get([evaluate.remote(shared, number) for number in range(TASKS)])
        took = time.perf_counter() - start
    require(
        answers == [(number, float(weights[number])) for number in range(TASKS)],
        f"the tasks returned {answers}",
    )
    return Outcome(seconds(took), require_window(took, 0.0, 1.0, "put and 20 tasks"), "0.107 s")
