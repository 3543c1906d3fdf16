"""``list_logs`` and ``get_log`` of ``sundog.util.state``: the files in a session's logs folder.

The daemon is asked which process ran a task or is an actor; the files themselves are read from
disk, a piece at a time, and only those that lie in that folder.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import time

from sundog import _explain, _paths
from sundog._core import public
from sundog.util._state_source import StateError, is_task_id, source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sundog.util._state_rows import Row, Source

PIECE_BYTES = 64 * 1024
NAMES_MAX = 10_000
INTERVAL_S = 0.2  # between looks at a file that is followed
ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]"


class Logs:
    """The logs folder of one session."""

    def __init__(self, session: str, folder: str, alive: Callable[[], bool]) -> None:
        """Of the session of this name, whose folder this is."""
        self.session = session
        self.folder = os.path.join(folder, "logs")
        self.alive = alive

    def names(self, pattern: str | None = None) -> list[str]:
        """Names of its files, sorted, at most NAMES_MAX."""
        try:
            with os.scandir(self.folder) as entries:
                found = [e.name for e in entries if e.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            found = []
        if pattern is not None:
            found = fnmatch.filter(found, pattern)
        return sorted(found)[:NAMES_MAX]

    def open(self, name: str) -> int:
        """A descriptor of one of its files.

        Raises:
            ValueError: the name is none of a file in this folder.
            StateError: there is no such file.
        """
        if not isinstance(name, str):
            raise TypeError(f"get_log(): filename is a text, got {name!r}")
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise ValueError(
                f"a log's name is one that list_logs() returns, without a folder, got {name!r}"
            )
        path = os.path.join(self.folder, name)
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            from sundog._options import did_you_mean

            near = did_you_mean(name, self.names())
            raise StateError(
                f"session {self.session} has no log {name!r} ({error.strerror}){near}"
            ) from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise StateError(f"session {self.session}: {name!r} is no file")
        return file


def of_source(asked: Source) -> Logs:
    """The logs of the session that is asked."""
    info = asked.session.info()
    session, name = asked.session, asked.session.name
    if asked.own:
        return Logs(name, str(info["session_dir"]), lambda: session.connected)
    socket = os.path.join(_paths.socket_folder(), f"{name}.sock")
    return Logs(name, str(info["session_dir"]), lambda: os.path.exists(socket))


def category(name: str) -> str:
    """Under which of Ray's words a file is listed."""
    if name.startswith("worker-"):
        return {".out": "worker_out", ".err": "worker_err"}.get(name[-4:], "internal")
    return "internal"


def check_node(asked: Source, node_id: str | None, node_ip: str | None) -> None:
    """There is one machine."""
    if node_id not in (None, asked.node):
        raise ValueError(f"node_id={node_id!r}: the session runs on node {asked.node} only")
    if node_ip not in (None, "127.0.0.1", "localhost"):
        from sundog.util import get_node_ip_address

        if node_ip != get_node_ip_address():
            raise ValueError(f"node_ip={node_ip!r}: the session runs on this machine only")


@public
def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: int = 30,
) -> dict[str, list[str]]:
    """The files in the session's logs folder.

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        node_id: None, or the id of this machine: there is no other.
        node_ip: None, or an address of this machine.
        glob_filter: which names to list, ``"*.err"``; None takes all.
        timeout: has no meaning here: a folder is read at once.

    Returns:
        Kind of log to names of files: ``worker_out`` and ``worker_err`` are what tasks and actors
        print, ``internal`` is what Sundog itself writes. At most 10,000 names.

    Raises:
        ValueError: another machine is asked for.
        ConnectionError: no session runs.
    """
    del timeout
    with source(address) as asked:
        check_node(asked, node_id, node_ip)
        found: dict[str, list[str]] = {}
        for name in of_source(asked).names(glob_filter):
            found.setdefault(category(name), []).append(name)
    return found


@public
def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = 30,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Generator[str, None, None]:
    """What a log has, piece by piece.

    One of ``filename``, ``actor_id``, ``task_id`` and ``pid`` says which log. The log of a task
    or an actor is that of its process, with what the process printed in other tasks.

    Args:
        address: None or "auto": the session of this process, else this user's newest one.
        node_id: None, or the id of this machine: there is no other.
        node_ip: None, or an address of this machine.
        filename: a name that ``list_logs()`` returns.
        actor_id: of an actor, as hex digits.
        task_id: of a task, as hex digits.
        pid: of a worker.
        follow: go on with what is added, until the session ends or the generator is closed.
        tail: how many lines from the end; -1 for all.
        timeout: has no meaning here: a file is read at once.
        suffix: ``"out"`` or ``"err"``: which of the two of a process.
        encoding: of the text; None yields bytes.
        errors: what to do with bytes that are no text, as ``bytes.decode`` has it.
        submission_id: None: there are no submitted jobs.
        attempt_number: which attempt of the task, from 0.
        _interval: seconds between two looks at a file that is followed.
        filter_ansi_code: leave out colours and other escape sequences of terminals.

    Returns:
        A generator of texts of at most 64 KB, which need not end with a line.

    Raises:
        TypeError: an argument of another type.
        ValueError: not exactly one log is named, or an argument that makes no sense.
        StateError: there is no such log.
        ConnectionError: no session runs.
    """
    del timeout
    if submission_id is not None:
        raise ValueError("get_log(): there are no submitted jobs here: leave out submission_id")
    named = {"filename": filename, "actor_id": actor_id, "task_id": task_id, "pid": pid}
    given = [name for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            "get_log() wants one of filename, actor_id, task_id and pid, got "
            f"{' and '.join(given) or 'none of them'}"
        )
    if suffix not in ("out", "err"):
        raise ValueError(f"get_log(): suffix is 'out' or 'err', got {suffix!r}")
    lines = checked_tail(tail)
    with source(address) as asked:
        check_node(asked, node_id, node_ip)
        if asked.own and not asked.session.is_worker:
            asked.session.query(_explain.OUTPUT)  # what tasks printed until now is in the files
        logs = of_source(asked)
        if filename is None:
            filename = f"worker-{process(asked, actor_id, task_id, attempt_number, pid)}.{suffix}"
        os.close(logs.open(filename))  # now, not at the generator's first step, there is an error
    pieces = read(logs, filename, lines, logs.alive if follow else None, _interval or INTERVAL_S)
    return decoded(pieces, encoding, errors or "strict", filter_ansi_code)


def checked_tail(tail: object) -> int:
    """How many lines from the end; -1 for all."""
    if isinstance(tail, bool) or not isinstance(tail, int):
        raise TypeError(f"get_log(): tail is a number of lines, got {tail!r}")
    if tail < -1:
        raise ValueError(f"get_log(): tail is a number of lines, or -1 for all, got {tail}")
    return tail


def process(
    asked: Source, actor: str | None, task: str | None, attempt: int, pid: int | None
) -> int:
    """The process of an actor or of an attempt of a task, or the one that is given."""
    if pid is not None:
        if isinstance(pid, bool) or not isinstance(pid, int):
            raise TypeError(f"get_log(): pid is an integer, got {pid!r}")
        return pid
    found: Row | None
    if actor is not None:
        what, key = f"actor {actor}", "pid"
        found = next((row for row in asked.actors() if row["actor_id"] == actor), None)
    else:
        what, key = f"task {task}", "worker_pid"
        if attempt:
            what += f", attempt {attempt}"
        digits = str(task).lower()
        rows = asked.tasks(digits) if is_task_id(digits) else iter(())
        found = next((row for row in rows if row["attempt_number"] == attempt), None)
    if found is None:
        raise StateError(f"session {asked.session.name} knows no {what}")
    if not found[key]:
        raise StateError(f"{what} has no log: no process ran it yet, or it is forgotten")
    return int(found[key])


# ---------------------------------------------------------------- reading


def read(
    logs: Logs, name: str, lines: int, alive: Callable[[], bool] | None, interval: float
) -> Generator[bytes, None, None]:
    """A file's bytes, at most PIECE_BYTES at a time. ``alive``: go on while that is true."""
    file = logs.open(name)
    try:
        if lines >= 0:
            os.lseek(file, tail_offset(file, lines), os.SEEK_SET)
        end = None if alive else os.fstat(file).st_size  # a file that grows while it is read ends
        last = False
        while True:
            left = PIECE_BYTES
            if end is not None:
                left = min(left, max(0, end - os.lseek(file, 0, os.SEEK_CUR)))
            piece = os.read(file, left)
            if piece:
                yield piece
            elif alive is None or last:
                return
            else:
                last = not alive()  # look once more: it may have written before it ended
                if not last:
                    time.sleep(interval)
    finally:
        os.close(file)


def tail_offset(file: int, lines: int) -> int:
    """Where the last so many lines begin; a last one without its newline is one too."""
    at = size = os.fstat(file).st_size
    if lines == 0:
        return size
    wanted = lines
    while at > 0:
        begin = max(0, at - PIECE_BYTES)
        block = os.pread(file, at - begin, begin)
        if at == size and not block.endswith(b"\n"):
            wanted -= 1
        place = len(block)
        while (place := block.rfind(b"\n", 0, place)) >= 0:
            if wanted == 0:
                return begin + place + 1
            wanted -= 1
        at = begin
    return 0


def decoded(
    pieces: Iterator[bytes], encoding: str | None, errors: str, without_escapes: bool
) -> Generator[str, None, None]:
    """The pieces as texts; a character that two of them share comes with the second."""
    import codecs
    import re

    if encoding is None:
        yield from pieces  # type: ignore[misc]
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    kept = ""  # an escape sequence that is not whole yet
    for piece in pieces:
        text = kept + decoder.decode(piece)
        kept = ""
        if without_escapes:
            text = re.sub(ESCAPES, "", text)
            at = text.rfind("\x1b")
            if 0 <= len(text) - at < 64 and at >= 0:
                text, kept = text[:at], text[at:]
        if text:
            yield text
    if kept or (text := decoder.decode(b"", final=True)):
        yield kept or text
