"""Questions to the daemon about its state."""

from __future__ import annotations

import json

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# model::Question
DUMP, EXPLAIN, TIMELINE, STATUS, MEMORY, OUTPUT, NAMES, ACTORS = 1, 2, 3, 4, 5, 6, 7, 8
PENDING_CALLS, JOBS = 9, 10
OBJECTS_TOLD_MAX = 10_000  # in answer to MEMORY (core/node_report.cc)
LINKS_MAX = 4  # of a chain of reasons in one sentence
ANSWER_SECONDS_MAX = 1.0  # what nobody can say by then is not worth the wait


def ask(ref: _core.ObjectRef[Any]) -> dict[str, Any] | None:
    """What the daemon knows of an object; None if it cannot be asked."""
    session = _core.current_session()
    if session is None:
        return None
    try:
        told: dict[str, Any] = json.loads(session.query(EXPLAIN, ref.hex()))
    except Exception:
        return None
    return told


def of_first_missing(
    refs: Sequence[_core.ObjectRef[Any]],
) -> tuple[_core.ObjectRef[Any], dict[str, Any]] | None:
    """The first object that is not there, and what the daemon knows of it.

    Returns:
        None if all are there, or there is no answer within ANSWER_SECONDS_MAX: the daemon may be
        stopped.
    """
    import threading

    found: list[tuple[_core.ObjectRef[Any], dict[str, Any]]] = []

    def search() -> None:  # to its end, or the session's
        for ref in refs:
            told = ask(ref)
            if told is None:
                return
            if not told.get("ready"):
                found.append((ref, told))
                return

    searching = threading.Thread(target=search, daemon=True)
    searching.start()
    searching.join(ANSWER_SECONDS_MAX)
    return found[0] if found else None


def why_not(told: dict[str, Any]) -> str:
    """Why an object is not there, link by link down to what holds all of them up; empty if the
    daemon does not say."""
    chain = [str(link).rstrip(".") for link in told.get("chain") or ()]
    if len(chain) > LINKS_MAX:
        chain[1 : 1 + len(chain) - LINKS_MAX] = ["…"]
    return ": ".join(link for link in chain if link)


def status(session: _core.Session) -> dict[str, Any]:
    """Resources, store and tasks of the session."""
    told: dict[str, Any] = json.loads(session.query(STATUS))
    return told
