"""Who belongs to a session and what it left behind, read from /proc and the file system."""

from __future__ import annotations

import os
import platform
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

TAG_NAME = "SUNDOG_SOAK_TAG"
LEFTOVER_SECONDS_MAX = 1.0
LOG_BYTES_MAX = 64 << 20
PROC = Path("/proc")
# Numbers of system calls that people will meet in the list of states.
CALLS = {
    "x86_64": {
        "0": "read",
        "1": "write",
        "7": "poll",
        "9": "mmap",
        "11": "munmap",
        "28": "madvise",
        "46": "sendmsg",
        "47": "recvmsg",
        "202": "futex",
        "230": "clock_nanosleep",
        "232": "epoll_wait",
        "281": "epoll_pwait",
        "285": "fallocate",
    }
}.get(platform.machine(), {})


@dataclass(frozen=True)
class Process:
    """A live process; `started` tells it from a later one with the same number."""

    pid: int
    parent: int
    started: int
    state: str = field(compare=False)
    command: str = field(compare=False)


def process(pid: int) -> Process | None:
    """What /proc says of `pid`; None if it is gone or a zombie."""
    try:
        head, _, tail = (PROC / str(pid) / "stat").read_text().rpartition(")")
        fields = tail.split()
        if fields[0] in "ZX":
            return None
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return None
    name = command.strip()[:120] or head
    return Process(pid, int(fields[1]), int(fields[19]), fields[0], name)


def all_processes() -> list[Process]:
    """Every live process that we may look at."""
    found = (process(int(name)) for name in os.listdir(PROC) if name.isdigit())
    return [one for one in found if one is not None]


def tagged(tag: str) -> list[Process]:
    """Live processes whose environment carries the session's tag."""
    needle = f"{TAG_NAME}={tag}".encode()
    found = []
    for one in all_processes():
        try:
            if needle in (PROC / str(one.pid) / "environ").read_bytes().split(b"\0"):
                found.append(one)
        except OSError:
            continue
    return found


@dataclass(frozen=True)
class Session:
    """The processes of a driver's session at one moment."""

    daemon: Process | None
    zygotes: list[Process]
    workers: list[Process]

    @property
    def everyone(self) -> list[Process]:
        """Daemon, zygotes and workers."""
        return [*([self.daemon] if self.daemon else []), *self.zygotes, *self.workers]


def session_of(driver_pid: int) -> Session:
    """Finds the daemon among the driver's children, its zygotes and workers among the daemon's."""
    everyone = all_processes()
    daemon = next(
        (one for one in everyone if one.parent == driver_pid and "sundogd" in one.command), None
    )
    if daemon is None:
        return Session(None, [], [])
    children = [one for one in everyone if one.parent == daemon.pid]
    candidates = [one for one in children if logs_as_zygote(one)]
    # A worker has the zygote's output for the first moments of its life.
    zygotes = sorted(candidates, key=lambda one: (one.started, one.pid))[:1]
    return Session(daemon, zygotes, [one for one in children if one not in zygotes])


def logs_as_zygote(one: Process) -> bool:
    """Whether its standard output is the zygote's log; workers have a pipe to the daemon."""
    try:
        return os.readlink(PROC / str(one.pid) / "fd/1").endswith("zygote.log")
    except OSError:
        return False


def alive(one: Process) -> bool:
    """Whether that very process still runs."""
    now = process(one.pid)
    return now is not None and now.started == one.started


def run_state(pid: int) -> str:
    """`running`, `sleeping` or `in the kernel`, and the system call if it may be read."""
    one = process(pid)
    if one is None:
        return "gone"
    name = {"R": "running", "S": "sleeping", "D": "in the kernel"}.get(one.state, one.state)
    try:
        call = (PROC / str(pid) / "syscall").read_text().split()[0]
    except OSError:
        return name
    return name if call in ("running", "-1") else f"{name} in {CALLS.get(call, f'call {call}')}"


def sockets_below(folder: Path) -> list[str]:
    """Socket files below `folder`, and bound unix sockets whose path lies there."""
    files = [str(path) for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
    bound = [
        line.split()[-1]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if str(folder) in line
    ]
    return sorted({*files, *bound})


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def await_nothing_left(
    tag: str, known: list[Process], folder: Path, shm_before: set[str], since: float
) -> list[str]:
    """Waits until nothing of a session is left; what still is there a second after `since`.

    since: time.monotonic() of the death after which everything must go.
    """
    while True:
        left = {one.pid: one for one in known if alive(one)}
        left.update({one.pid: one for one in tagged(tag)})
        problems = [f"process {one.pid} lives on: {one.command}" for one in left.values()]
        problems += [f"socket {path} is left" for path in sockets_below(folder / "run")]
        problems += [f"/dev/shm/{name} is left" for name in set(shm_names()) - shm_before]
        if not problems:
            break
        if time.monotonic() > since + LEFTOVER_SECONDS_MAX:
            return problems
        time.sleep(0.01)
    size = folder_bytes(folder / "home")
    return [f"the log folder holds {size} bytes"] if size > LOG_BYTES_MAX else []


def shm_names() -> list[str]:
    """Names in /dev/shm, if there is one."""
    try:
        return os.listdir("/dev/shm")
    except OSError:
        return []
