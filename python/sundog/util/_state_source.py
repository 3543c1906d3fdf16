"""Which session ``sundog.util.state`` asks, and what it raises if that cannot tell."""

from __future__ import annotations

import contextlib

from sundog import _core, _paths
from sundog.exceptions import SundogError
from sundog.util import _state_rows as rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sundog.util._state_rows import Source


class StateError(SundogError, RuntimeError):
    """What was asked for could not be told completely."""


StateError.__module__ = "sundog.util.state"


@contextlib.contextmanager
def source(address: str | None) -> Iterator[Source]:
    """The session to ask: this process's own, else the one that the address means."""
    session = _core.current_session()
    if session is not None and session.connected:
        if address not in (None, "auto", "local", session.name):
            raise ValueError(
                f"address={address!r}: this process is in session {session.name}, and asks that one"
            )
        yield rows.Source(session, own=True)
        return
    sockets = _paths.running_sockets()
    if address not in (None, "auto", "local"):
        sockets = [p for p in sockets if address in (p, _paths.session_of(p))]
    if not sockets:
        raise ConnectionError("no session to ask runs: call sundog.init() first")
    joined = _core.connect("", [], 0, "state", sockets[0], only_asks=True)
    try:
        yield rows.Source(joined)
    finally:
        joined.close()


def is_task_id(text: str) -> bool:
    """Whether a task could have this id."""
    return len(text) == 32 and not set(text) - set("0123456789abcdef")
