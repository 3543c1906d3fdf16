"""The module under test and how a program reports: one JSON line for each figure.

SUNDOG_BENCH_MODULE names the module: `sundog` or `ray`, both with the same names, or one of
bench/peers, which give the same names to other libraries.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import processes

AGAIN_SECONDS_MAX = 15.0
MODULE = os.environ.get("SUNDOG_BENCH_MODULE", "sundog")

if TYPE_CHECKING:
    import sundog as sundog
else:
    sundog = importlib.import_module(MODULE)

# Parts of a program that the module has no call for.
CANNOT: frozenset[str] = getattr(sundog, "CANNOT", frozenset())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def init(num_cpus: int, **options: Any) -> None:
    """Starts a session as a user would, without asking for anything special."""
    if MODULE == "ray":
        options.setdefault("logging_level", "error")
    sundog.init(num_cpus=num_cpus, **options)


def report(metric: str, value: float, unit: str, **more: float) -> None:
    """Prints one figure for the harness. `more`: p50, p99, cpu_us (per operation), ..."""
    print(json.dumps({"metric": metric, "value": value, "unit": unit, **more}), flush=True)


def percentile(samples: list[float], share: float) -> float:
    """The sample below which `share` (0..1) of all samples lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True)
class Measured:
    """One timed call: wall seconds, and CPU seconds of all processes of the session."""

    seconds: float
    cpu_seconds: float


def measured(work: Callable[[], None]) -> Measured:
    """Runs `work` once. Reading /proc happens outside the timed part, for both kinds of time."""
    before = processes.cpu_seconds_each()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    used = processes.cpu_seconds_between(before, processes.cpu_seconds_each(before))
    return Measured(took, used)


def up_to(count: int, least: int = 1) -> Iterator[int]:
    """Numbers below `count`, fewer if that takes long: a slow peer has to end too."""
    end = time.perf_counter() + AGAIN_SECONDS_MAX
    for number in range(count):
        if number >= least and time.perf_counter() > end:
            return
        yield number


def measured_again(work: Callable[[], None], times: int) -> list[Measured]:
    """Runs `work` so often, or fewer times if that takes long."""
    return [measured(work) for _ in up_to(times)]


def report_rate(metric: str, operations: int, runs: list[Measured]) -> None:
    """Reports the median rate of `runs`, each of `operations` operations, and CPU for each."""
    rates = [operations / run.seconds for run in runs]
    cpu = [run.cpu_seconds / operations * 1e6 for run in runs]
    middle = percentile(rates, 0.5)
    report(metric, middle, "/s", cpu_us=percentile(cpu, 0.5), low=min(rates), high=max(rates))
