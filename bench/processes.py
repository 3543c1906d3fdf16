"""What the processes of one session use, read from /proc.

A session is the calling process with all its descendants, and every process whose environment
carries the tag that the harness gave this program (daemons that were reparented).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

TAG_NAME = "SUNDOG_BENCH_TAG"
PROC = Path("/proc")
STAT_PPID = 1  # fields of /proc/PID/stat counted after the name
CPUCLOCK_SCHED = 2  # of <linux/posix-timers.h>: nanoseconds that all threads ran


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command name: state, ppid, ..."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def session_pids() -> list[int]:
    """All live processes of this session, in the order of their numbers."""
    parents: dict[int, int] = {}
    tagged = set()
    tag = f"{TAG_NAME}={os.environ[TAG_NAME]}".encode() if TAG_NAME in os.environ else b""
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = _stat(int(entry.name))
            if fields[0] == "Z":
                continue
            parents[int(entry.name)] = int(fields[STAT_PPID])
            if tag and tag in (entry / "environ").read_bytes().split(b"\0"):
                tagged.add(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    mine = tagged | {os.getpid()}
    grown = True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= children
        grown = bool(children)
    return sorted(pid for pid in mine if pid in parents)


def cpu_seconds_each(known: Iterable[int] = ()) -> dict[int, float]:
    """CPU time, user and system, of each process of the session since it started.

    known: processes that are read at once, before /proc is searched for others: the search takes
    milliseconds of the caller's own CPU time, which belong to none of what is measured.
    """
    used = {pid: seconds for pid in known if (seconds := _cpu_seconds(pid)) is not None}
    for pid in session_pids():
        if pid not in used and (seconds := _cpu_seconds(pid)) is not None:
            used[pid] = seconds
    return used


def _cpu_seconds(pid: int) -> float | None:
    """What the process's clock says, to the moment and with threads that ended; None if it ended.

    The number of that clock is made as clock_getcpuclockid(3) makes it. What /proc says is behind
    by up to a tick for whoever runs now, or counts no threads that ended.
    """
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return None


def cpu_seconds_between(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU time used between two answers of cpu_seconds_each."""
    return sum(used - before.get(pid, 0.0) for pid, used in after.items())


def pss_bytes(pids: list[int]) -> int:
    """Proportional set size summed over `pids`: memory shared by n counts as one n-th in each."""
    return sum(_rollup(pid, "Pss:") for pid in pids)


def _rollup(pid: int, name: str) -> int:
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def wake_ups(pids: list[int]) -> int:
    """How often the threads of `pids` went to sleep by themselves so far."""
    total = 0
    for pid in pids:
        try:
            for task in (PROC / str(pid) / "task").iterdir():
                for line in (task / "status").read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches:"):
                        total += int(line.split()[1])
        except OSError:
            continue
    return total
