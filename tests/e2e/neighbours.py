"""Tests with time windows on a machine that others use too.

A window that was missed while other processes kept the processors busy says nothing about Sundog;
one that was missed on a quiet machine does. So a miss is tried again when the machine is quiet, and
where it never is the test is skipped and says so. `make test` runs tests that are marked `alone`
one by one, after all others.
"""

import contextlib
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator

import pytest

ATTEMPTS_MAX = 3
QUIET_CORES = 0.4  # what others may use, on average, for a miss to count as ours
QUIET_SECONDS = 0.5  # how long nobody else may work before the next attempt
PATIENCE_SECONDS = 20.0


def busy_seconds() -> float:
    """CPU seconds of all processes since the machine started, idling and waiting aside."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """CPU seconds of this process and of all that ended below it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


class Others:
    """How many processors others use, from the moment that this is made."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.used = busy_seconds() - own_seconds()

    def cores(self) -> float:
        """Their average so far."""
        used = busy_seconds() - own_seconds() - self.used
        return used / max(time.monotonic() - self.began, 1e-3)

    def check(self, seconds: float) -> None:
        """Fails if more than `seconds` have passed and the machine was quiet meanwhile; warns if
        others kept it busy."""
        took, cores = time.monotonic() - self.began, self.cores()
        if took >= seconds:
            told = f"{took:.2f} s of {seconds} s have passed; others used {cores:.1f} cores"
            assert cores >= QUIET_CORES, told
            warnings.warn(told, stacklevel=2)


def wait_for_quiet() -> None:
    """Returns when nobody else has worked for a moment, or after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        others = Others()
        time.sleep(QUIET_SECONDS)  # the measurement itself
        if others.cores() < QUIET_CORES:
            return


def in_its_window(attempt: Callable[[], None]) -> None:
    """Runs a test with a time window up to ATTEMPTS_MAX times. It fails if the last missed it on
    a quiet machine; what missed it while others kept the machine busy is skipped and says so."""
    for left in reversed(range(ATTEMPTS_MAX)):
        others = Others()
        try:
            attempt()
        except AssertionError as error:
            cores = others.cores()
            if cores < QUIET_CORES and left == 0:
                raise
            told = f"missed its window while others used {cores:.1f} cores: {str(error)[:200]}"
            if left == 0:
                pytest.skip(told)
            print(told)
            wait_for_quiet()
        else:
            return


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """For what cannot be tried again: `Others.check` of what runs in it."""
    others = Others()
    yield
    others.check(seconds)
