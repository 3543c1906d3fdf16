"""Exercise 10: a resource with a name of one's own limits some tasks and not others."""

from __future__ import annotations

import time
from typing import Any

from demo.outcome import Outcome, require, require_window
from demo.runtime import session, sundog

CPUS = 8
LICENCES = 4.0
ONE_ROUND = (0.1, 0.19)
TWO_ROUNDS = (0.2, 0.29)


@sundog.remote
def free() -> None:
    time.sleep(0.1)


@sundog.remote(resources={"licence": 1})
def licensed() -> None:
    time.sleep(0.1)


def timed(frees: int, licenseds: int, window: tuple[float, float]) -> float:
    """Runs so many of each kind at once; their seconds, checked against the window."""
    start = time.perf_counter()
    refs: list[Any] = [free.remote() for _ in range(frees)]
    refs += [licensed.remote() for _ in range(licenseds)]
    sundog.get(refs)
    took = time.perf_counter() - start
    require_window(took, *window, f"{frees} free and {licenseds} licensed tasks")
    return took


def run() -> Outcome:
    """Eight CPUs and four licences: each kind is limited by what it needs, and by nothing else."""
    with session(num_cpus=CPUS, resources={"licence": LICENCES}):
        one = [timed(8, 0, ONE_ROUND), timed(0, 4, ONE_ROUND), timed(4, 4, ONE_ROUND)]
        two = [timed(9, 0, TWO_ROUNDS), timed(0, 5, TWO_ROUNDS), timed(5, 4, TWO_ROUNDS)]
    require(max(one) < min(two), "a second round was not longer than one round")
    took = f"{max(one):.3f} / {max(two):.3f} s"
    return Outcome(took, "< 0.19 / < 0.29 s", "", "six mixes; one round / two, no warm-up")
