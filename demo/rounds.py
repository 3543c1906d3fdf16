"""`make demo ROUNDS=10`: each exercise so many times, how often it was inside its window, and the
longest time beside the window. What must hold each time is the item's own; nothing is averaged."""

from __future__ import annotations

import re
import time

from demo.outcome import DemoError, Outcome
from demo.table import Item, show

FIGURE = re.compile(r"([\d.]+)(?: (m?s))?")


def figures(took: str) -> tuple[float, ...]:
    """The seconds in an outcome's figure: `12.30 ms`, or `0.105 / 0.211 s`."""
    unit = 1e-3 if took.endswith("ms") else 1.0
    return tuple(float(number) * unit for number, _ in FIGURE.findall(took))


def run_rounds(item: Item, rounds: int) -> bool:
    """Runs one item so many times and shows its line; False unless all of them passed."""
    part, what, run = item
    passed: list[Outcome] = []
    failed: list[str] = []
    for _ in range(rounds):
        try:
            passed.append(run())
        except DemoError as error:
            failed.append(str(error))
    count = f"{len(passed)} of {rounds}"
    if not passed:
        show(part, what, Outcome(count, remark=failed[-1]))
        return False
    worst = max(passed, key=lambda outcome: figures(outcome.took))
    best = min(passed, key=lambda outcome: figures(outcome.took))
    remark = failed[-1] if failed else f"longest {worst.took}, shortest {best.took}"
    show(part, what, Outcome(count, worst.must, worst.seed, remark))
    return not failed


def all_rounds(items: list[Item], rounds: int) -> int:
    """Each item so many times; 0 if every one passed every time, else 1."""
    begin = time.perf_counter()
    good = sum(run_rounds(item, rounds) for item in items)
    took = time.perf_counter() - begin
    print(f"{good} of {len(items)} passed {rounds} times of {rounds}, in {took:.0f} s")
    return 0 if good == len(items) else 1
