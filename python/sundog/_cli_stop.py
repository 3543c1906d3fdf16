"""``sundog stop`` and ``ray stop``: ends sessions of this user, with ``--force`` also those that
do not listen.

Only two kinds of processes are ever signalled, each by a descriptor that names the process and not
its number: the daemon that made a session's socket, and, with ``--force``, the processes below it,
once it is gone. Both must belong to this user.
"""

from __future__ import annotations

import os
import select
import signal
import socket as _socket
import struct
import sys
import time

from sundog import _cli, _paths

GRACE_S, GRACE_FORCED_S = 10.0, 2.0  # between being asked to end and being told off, or killed
KILLED_S = 5.0  # after a kill


class Daemon:
    """One session's daemon."""

    def __init__(self, path: str, pid: int, fd: int) -> None:
        """Keeps the descriptor ``fd`` of the process ``pid``."""
        self.path = path
        self.session = _paths.session_of(path)
        self.pid = pid
        self.fd = fd

    def ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        return bool(select.select([self.fd], [], [], max(0.0, seconds))[0])

    def processes_below(self) -> dict[int, int]:
        """Its workers, its zygotes, what a zygote is just forking, and what tasks started: process
        to a descriptor of it."""
        children: dict[int, list[int]] = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and is_ours(int(name)):
                children.setdefault(parent_of(int(name)), []).append(int(name))
        found = {}
        parents = [self.pid]
        while parents:
            parent = parents.pop()
            for pid in children.get(parent, ()):
                try:
                    fd = os.pidfd_open(pid)
                except OSError:
                    continue
                if parent_of(pid) == parent:  # the descriptor is of that process
                    found[pid] = fd
                    parents.append(pid)
                else:
                    os.close(fd)
        return found


def stop(session: str | None, words: list[str]) -> int:
    """``stop [--force] [--grace-period SECONDS]``: 0, or 1 if a session did not end.

    Raises UsageError for a wrong command line, and if no session runs.
    """
    rest = list(words)
    force = "--force" in rest or "-f" in rest
    rest = [word for word in rest if word not in ("--force", "-f")]
    given = _cli.take_value(rest, "--grace-period", "-g")
    _cli.expect_nothing("stop", rest)
    grace = GRACE_FORCED_S if force else GRACE_S
    if given is not None:
        try:
            grace = float(given)
        except ValueError:
            grace = -1.0
        if not 0 <= grace < 1e6:
            raise _cli.UsageError(f"--grace-period wants seconds, got '{given}'")
    status, daemons = 0, []
    for path in _cli.sockets_of(session):
        daemon = daemon_of(path)
        if daemon is not None:
            daemons.append(daemon)
        elif os.path.exists(path):
            print(f"sundog: {path} is no session's: left alone", file=sys.stderr)
            status = 1
    for daemon in daemons:  # all are asked before one is waited for
        send(daemon.fd, signal.SIGTERM)
    deadline = time.monotonic() + grace
    for daemon in daemons:
        status = max(status, end(daemon, deadline, grace, force))
        os.close(daemon.fd)
    return status


def end(daemon: Daemon, deadline: float, grace: float, force: bool) -> int:
    """Waits for one, or kills it; says what came of it; the exit status."""
    name, pid = daemon.session, daemon.pid
    logs = f"its logs stay in {os.path.join(_paths.sessions(), name)}"
    if daemon.ended(deadline - time.monotonic()):
        print(f"stopped session {name}; {logs}")
        return 0
    if not force:
        print(
            f"sundog: session {name} (sundogd, pid {pid}) did not end within {grace:g} s; "
            f"sundog stop --force --session {name} kills it",
            file=sys.stderr,
        )
        return 1
    below = daemon.processes_below()
    send(daemon.fd, signal.SIGKILL)
    gone = daemon.ended(KILLED_S)
    left = killed(below) if gone else 0
    for fd in below.values():
        os.close(fd)
    if not gone:
        print(f"sundog: session {name} (sundogd, pid {pid}) cannot be killed", file=sys.stderr)
        return 1
    forget(daemon.path)
    some = "a process" if left == 1 else f"{left} processes"
    beside = f", and {some} that it left" if left else ""
    print(f"killed session {name}: sundogd (pid {pid}), which did not end{beside}; {logs}")
    return 0


def killed(below: dict[int, int]) -> int:
    """Kills what does not end by itself when its daemon is gone; how many that were."""
    waiting = set(below.values())
    wait_for(waiting, GRACE_FORCED_S)
    left = len(waiting)
    for fd in waiting:
        send(fd, signal.SIGKILL)
    wait_for(waiting, KILLED_S)
    return left


def wait_for(waiting: set[int], seconds: float) -> None:
    """Takes those out that end within so many seconds."""
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        waiting -= set(select.select(list(waiting), [], [], left)[0])


def forget(path: str) -> None:
    """Removes what the daemon would have removed."""
    folder, name = os.path.split(path)
    for entry in os.listdir(folder):
        if entry == name or entry.startswith(f"{name}."):
            try:
                os.unlink(os.path.join(folder, entry))
            except OSError:
                continue


def daemon_of(path: str) -> Daemon | None:
    """Who made the socket, if that is a daemon of this user and lives."""
    with _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except OSError:
            return None
        told = probe.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("3i", told)
        if uid != os.getuid():
            return None
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return None
    if is_ours(pid) and program_of(pid) == "sundogd":
        return Daemon(path, pid, fd)
    os.close(fd)  # the number is another process's by now
    return None


def is_ours(pid: int) -> bool:
    """Whether the process is this user's."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()
    except OSError:
        return False


def program_of(pid: int) -> str:
    """What the kernel calls it."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """Its parent; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def send(fd: int, number: int) -> None:
    """Signals the process of a descriptor, which may be gone."""
    try:
        signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
