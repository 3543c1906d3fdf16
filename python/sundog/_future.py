"""ObjectRef.future(): the value as a concurrent.futures.Future."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def future_of(ref: _core.ObjectRef[Any]) -> Future[Any]:
    """A future that a thread of its own resolves when the object is here."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def resolve() -> None:
        try:
            future.set_result(_core.get(ref))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=resolve, name="sundog-future", daemon=True).start()
    return future
