"""Seed 002's first program: a loop of four one-second calls, before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from demo.outcome import Outcome, require, require_window, seconds

CALLS = 4
NAP_SECONDS = 1.0
AFTER_SECONDS_MAX = 1.01
NO_INIT_SECONDS_MAX = 1.1


def nap(i: int) -> int:
    """Stands for a second of work."""
    time.sleep(NAP_SECONDS)
    return i


def before() -> Outcome:
    """The plain loop, one call after the other."""
    start = time.perf_counter()
    numbers = [nap(i) for i in range(CALLS)]
    took = time.perf_counter() - start
    require(numbers == [0, 1, 2, 3], f"the loop returned {numbers}")
    window = require_window(took, 4.0, 4.1, "the plain loop")
    return Outcome(seconds(took), window, "4.005 s")


def run_program(*arguments: str) -> float:
    """Runs the script in a fresh process; the seconds that it measured."""
    program = Path(__file__).with_name("first_loop_program.py")
    result = subprocess.run(
        [sys.executable, str(program), *arguments],
        env={**os.environ, "SUNDOG_NUM_CPUS": str(CALLS)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    require(result.returncode == 0, f"{program.name} ended with exit code {result.returncode}")
    report = json.loads(result.stdout.splitlines()[-1])
    require(report["numbers"] == [0, 1, 2, 3], f"the tasks returned {report['numbers']}")
    return float(report["seconds"])


def after() -> Outcome:
    """The same calls as tasks, begun the moment init() returned."""
    took = run_program("init")
    window = require_window(took, 1.0, AFTER_SECONDS_MAX, "the four tasks")
    return Outcome(seconds(took), window, "1.014 s", f"{CALLS / took:.2f} x, no warm-up")


def without_init() -> Outcome:
    """A fresh process that calls no init(): import and start are part of the figure."""
    took = run_program()
    window = require_window(took, 1.0, NO_INIT_SECONDS_MAX, "the fresh process")
    return Outcome(seconds(took), window, "", "import and start included")
