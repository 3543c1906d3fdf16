"""Exercise 4: an actor keeps its state between calls, and two actors work side by side."""

from __future__ import annotations

import time

from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog

ROUNDS = 5


class Tally:
    """Counts, half a second a step."""

    def __init__(self) -> None:
        self.steps = 0

    def clear(self) -> None:
        self.steps = 0

    def step(self) -> int:
        time.sleep(0.5)
        self.steps += 1
        return self.steps


TallyActor = sundog.remote(Tally)


def run() -> Outcome:
    """Five steps on each of two actors take as long as five steps on one."""
    with session(num_cpus=4, settle=0.5):
        left, right = TallyActor.remote(), TallyActor.remote()
        start = time.perf_counter()
        left.clear.remote()
        right.clear.remote()
        steps = [tally.step.remote() for _ in range(ROUNDS) for tally in (left, right)]
        counted = sundog.get(steps)
        took = time.perf_counter() - start
    require(counted == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5], f"the actors counted {counted}")
    return Outcome(seconds(took), require_window(took, 2.5, 3.0, "two actors"), "2.510 s")
