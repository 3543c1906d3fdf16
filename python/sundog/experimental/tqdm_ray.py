"""Progress bars of tasks and actors, drawn by the program: ``for x in tqdm(items): …`` in a worker.

The names are those of the library tqdm, which is not needed. A bar belongs to the thread that moves
it; it tells the program of itself a few times a second, beside what the worker prints.
"""

from __future__ import annotations

import itertools
import os
import sys
import time

from sundog import _bars, _core
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any

__all__ = ["safe_print", "tqdm"]

TELL_SECONDS = 0.1

_numbers = itertools.count(1)


class tqdm:
    """A progress bar that also works in tasks and actors."""

    @public
    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: float | None = None,
        unit: str | None = None,
        position: int | None = None,
        *,
        flush_interval_s: float = TELL_SECONDS,
    ) -> None:
        """Shows the bar.

        Args:
            iterable: what to go through; None: ``update`` moves the bar.
            desc: in front of the bar.
            total: how many steps there are; by default the iterable's length, if it has one.
            unit: what a step is called.
            position: where the bar stands among others; by default in the order of their creation.
            flush_interval_s: seconds between two messages of a worker.

        Raises:
            ValueError: neither an iterable nor a total.
        """
        if iterable is None and total is None:
            raise ValueError("tqdm() takes an iterable or a total")
        if total is None:
            total = getattr(iterable, "__len__", lambda: None)()
        number = next(_numbers)
        self._iterable = iterable
        self._interval = flush_interval_s
        self._began = self._told = time.monotonic()
        self._closed = False
        self.n: float = 0
        self._state: dict[str, Any] = {
            "bar": number,
            "desc": desc or "",
            "total": total,
            "unit": unit or "it",
            "position": number if position is None else position,
        }
        self._tell()

    def __iter__(self) -> Iterator[Any]:
        """Goes through the iterable, and closes the bar at its end."""
        if self._iterable is None:
            raise ValueError("this bar has no iterable: call update()")
        try:
            for item in self._iterable:
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> None:
        """Moves the bar by so many steps."""
        self.n += n
        if time.monotonic() - self._told >= self._interval:
            self._tell()

    def set_description(self, desc: str) -> None:
        """Changes what is in front of the bar."""
        self._state["desc"] = desc
        self._tell()

    def refresh(self) -> None:
        """Shows the bar as it is now."""
        self._tell()

    def close(self) -> None:
        """The bar is done: it is shown once more, and stays as a line."""
        if not self._closed:
            self._closed = True
            self._tell()

    def __enter__(self) -> tqdm:
        """The bar."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it."""
        self.close()

    def _tell(self) -> None:
        self._told = now = time.monotonic()
        state = {**self._state, "n": self.n, "seconds": now - self._began, "closed": self._closed}
        session = _core.current_session()
        if session is not None and session.is_worker:
            if sys.stdout is not None:
                sys.stdout.write(_bars.message(state))
                sys.stdout.flush()
        else:
            _bars.show(os.getpid(), state)


def safe_print(*values: object, sep: str = " ", end: str = "\n") -> None:
    """Prints without breaking bars that are shown."""
    with _bars.Aside():
        print(*values, sep=sep, end=end, flush=True)
