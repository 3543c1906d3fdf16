"""``sundog logs`` and ``ray logs``: the logs of a session, also of one that has ended."""

from __future__ import annotations

import os
import sys

from sundog import _cli, _paths
from sundog.util import _state_logs, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

TAIL = 1000  # lines, unless --tail says how many
SUBJECTS = {"actor": "--id", "task": "--id", "worker": "--pid"}


def show(session: str | None, words: list[str]) -> int:
    """``logs [NAME | PATTERN | actor --id ID | task --id ID | worker --pid PID] [--tail N] ...``.

    Raises UsageError for a wrong command line, SundogError or OSError if there is no such log.
    """
    rest = list(words)
    follow = take_flag(rest, "--follow", "-f")
    suffix = "err" if take_flag(rest, "--err") else "out"
    suffix = _cli.take_value(rest, "--suffix") or suffix
    tail = number("--tail", _cli.take_value(rest, "--tail") or str(TAIL))
    id, pid = _cli.take_value(rest, "--id", "-a"), _cli.take_value(rest, "--pid", "-p")
    rest = [word for word in rest if word != "cluster"] if rest[:1] == ["cluster"] else rest
    name = rest.pop(0) if rest else None
    _cli.expect_nothing("logs", rest)
    options: dict[str, Any] = {
        "follow": follow,
        "tail": tail,
        "suffix": suffix,
        "errors": "replace",
    }
    try:
        if name in SUBJECTS:
            return copy(state.get_log(address(session), **of_process(name, id, pid), **options))
        if id is not None or pid is not None:
            raise _cli.UsageError("logs: --id and --pid follow actor, task or worker")
        logs = of_session(session)
        names = logs.names(name)
        if name is None or (names != [name] and any(c in name for c in "*?[")):
            return table(logs, names)
        os.close(logs.open(name))
    except ValueError as error:
        raise _cli.UsageError(str(error)) from None
    pieces = _state_logs.read(
        logs, name, tail, logs.alive if follow else None, _state_logs.INTERVAL_S
    )
    return copy(_state_logs.decoded(pieces, "utf-8", "replace", without_escapes=False))


def take_flag(words: list[str], *names: str) -> bool:
    """Takes a word out of the words; whether it was there."""
    found = [word for word in words if word in names]
    for word in found:
        words.remove(word)
    return bool(found)


def number(option: str, text: str) -> int:
    """An option's number, from -1 on."""
    if not text.removeprefix("-").isdigit() or int(text) < -1:
        raise _cli.UsageError(f"{option} wants a number of lines, or -1 for all, got '{text}'")
    return int(text)


def of_process(subject: str, id: str | None, pid: str | None) -> dict[str, Any]:
    """What ``get_log`` is asked for."""
    value = pid if subject == "worker" else id
    option = SUBJECTS[subject]
    if value is None:
        raise _cli.UsageError(f"logs {subject} wants {option}: sundog list {subject}s shows them")
    if subject != "worker":
        return {f"{subject}_id": value}
    if not value.isdigit():
        raise _cli.UsageError(f"--pid wants a number, got '{value}'")
    return {"pid": int(value)}


def address(session: str | None) -> str:
    """The running session to ask."""
    return _cli.sockets_of(session)[0]


def of_session(session: str | None) -> _state_logs.Logs:
    """The logs of the session that is named, which may have ended, or of the newest that runs."""
    if session is not None and session not in map(_paths.session_of, _paths.running_sockets()):
        if session in all_sessions():
            return _state_logs.Logs(session, folder_of(session), lambda: False)
        raise _cli.UsageError(f"no session {session} of this user is on this machine")
    if session is None and not _paths.running_sockets() and (ended := all_sessions()):
        newest = max(ended, key=lambda name: os.stat(folder_of(name)).st_mtime)
        print(f"sundog: no session runs; these are the logs of {newest}", file=sys.stderr)
        return _state_logs.Logs(newest, folder_of(newest), lambda: False)
    socket = address(session)
    name = _paths.session_of(socket)
    return _state_logs.Logs(name, folder_of(name), lambda: os.path.exists(socket))


def all_sessions() -> list[str]:
    """Names of those whose folders are there."""
    try:
        return [name for name in os.listdir(_paths.sessions()) if os.path.isdir(folder_of(name))]
    except OSError:
        return []


def folder_of(session: str) -> str:
    """A session's folder."""
    return os.path.join(_paths.sessions(), session)


def table(logs: _state_logs.Logs, names: list[str]) -> int:
    """One line a file; which one has anything in it is seen from its size."""
    sizes = []
    for name in names:
        try:
            sizes.append(f"{os.stat(os.path.join(logs.folder, name)).st_size:,}")
        except OSError:
            sizes.append("gone")
    width = max((len(size) for size in sizes), default=0)
    for size, name in zip(sizes, names, strict=True):
        print(f"{size.rjust(width)}  {name}")
    print(f"{len(names)} logs of session {logs.session}, in {logs.folder}")
    return 0


def copy(pieces: Generator[str, None, None]) -> int:
    """Onto stdout; Ctrl-C ends what is followed."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # head has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
