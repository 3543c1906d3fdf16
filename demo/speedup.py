"""Serial against parallel runs of the same work, with equal results."""

from __future__ import annotations

import os

from demo.outcome import Outcome, require

SPEEDUP_MIN = 1.5


def compare(serial_seconds: float, parallel_seconds: float, remark: str) -> Outcome:
    """The line for a speed-up; fails under SPEEDUP_MIN where there are two cores."""
    cores = len(os.sched_getaffinity(0))
    ratio = serial_seconds / parallel_seconds
    took = f"{serial_seconds:.2f} -> {parallel_seconds:.2f} s"
    if cores < 2:
        return Outcome(took, "", "", f"{ratio:.2f} x; one core only, nothing to gain; {remark}")
    require(
        ratio >= SPEEDUP_MIN,
        f"{took} is a speed-up of {ratio:.2f}, on {cores} cores it must be {SPEEDUP_MIN}",
    )
    return Outcome(took, f">= {SPEEDUP_MIN} x", "", f"{ratio:.2f} x; {remark}")
