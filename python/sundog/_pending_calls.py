"""``max_pending_calls``: how many calls of an actor a process has under way, and no more.

What is counted here is never less than the truth: each call counts one more. Only when that
reaches the limit is the daemon asked, so that a call costs no question.
"""

from __future__ import annotations

import threading

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PendingCalls:
    """The calls of one actor through its handles in this process."""

    def __init__(self, ref: _core.ObjectRef[Any], limit: int) -> None:
        """None yet."""
        self.actor = ref.hex()
        self.limit = limit
        self.at_most = 0
        self.lock = threading.Lock()

    def admit(self, method: str) -> None:
        """Counts a call that is about to be made.

        Raises:
            PendingCallsLimitExceeded: as many as allowed are under way.
        """
        with self.lock:
            if self.at_most >= self.limit:
                self.at_most = count(self.actor)
            if self.at_most < self.limit:
                self.at_most += 1
                return
        from sundog.exceptions import PendingCallsLimitExceeded

        raise PendingCallsLimitExceeded(
            f"{method}: calls of this actor that wait or run: {self.at_most}, and "
            f"max_pending_calls={self.limit} allows no more: get() some results first"
        )


def count(actor: str) -> int:
    """How many calls of the actor this process made that have not ended."""
    from sundog import _explain

    session = _core.current_session()
    return 0 if session is None else int(session.query(_explain.PENDING_CALLS, actor))


_known: dict[str, PendingCalls] = {}  # by the actor's id; few classes have a limit


def pending_calls_of(ref: _core.ObjectRef[Any], limit: int) -> PendingCalls:
    """The one count of this process and actor."""
    found = _known.get(ref.hex())
    if found is None or found.limit != limit:
        found = _known[ref.hex()] = PendingCalls(ref, limit)
    return found
