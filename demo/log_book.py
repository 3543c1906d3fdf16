"""Exercise 5: tasks write to one actor through its handle, and the driver reads meanwhile."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from demo.outcome import Outcome, require, require_window, seconds
from demo.runtime import session, sundog

EXPERIMENTS = 3
STEP_SECONDS = 1.0
STEPS = 60  # a minute: the session ends long before


class LogBook:
    """Lines by experiment."""

    def __init__(self) -> None:
        self.pages: defaultdict[int, list[str]] = defaultdict(list)

    def write(self, experiment: int, line: str) -> None:
        self.pages[experiment].append(line)

    def read(self) -> dict[int, list[str]]:
        return dict(self.pages)


LogBookActor = sundog.remote(LogBook)


@sundog.remote
def experiment(number: int, book: Any) -> None:
    for step in range(STEPS):
        time.sleep(STEP_SECONDS)
        book.write.remote(number, f"step {step}")


def read_until(book: Any, lines: int) -> dict[int, list[str]]:
    """Asks again and again, until each experiment has written so many lines."""
    while True:
        pages = sundog.get(book.read.remote())
        require(isinstance(pages, dict), f"the actor returned {pages!r}")
        if sum(len(page) >= lines for page in pages.values()) == EXPERIMENTS:
            return dict(pages)


def run() -> Outcome:
    """Three experiments of a minute: their first lines are there after a second."""
    with session(num_cpus=4, settle=0.5):
        book = LogBookActor.remote()
        start = time.perf_counter()
        running = [experiment.remote(number, book) for number in range(EXPERIMENTS)]
        first = read_until(book, 1)
        took = time.perf_counter() - start
        second = read_until(book, 2)
        require(sundog.wait(running, timeout=0)[0] == [], "an experiment ended early")
    every = range(EXPERIMENTS)
    require(first == {number: ["step 0"] for number in every}, f"the first lines are {first}")
    require(second == {number: ["step 0", "step 1"] for number in every}, f"then {second}")
    window = require_window(took, STEP_SECONDS, 1.1 * STEP_SECONDS, "the first lines")
    return Outcome(seconds(took), window, "", "read while three tasks write")
