"""The iterators of ``Pool.imap`` and ``Pool.imap_unordered``.

A thread of its own reads the input, for it may wait for whatever it likes; it ends with the input.
Chunks end on the watching thread; the person's thread takes them.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from multiprocessing import TimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class Results:
    """Chunks of results, in order or as they come."""

    def __init__(self, ordered: bool) -> None:
        """Knows not yet how many there will be."""
        self._changed = threading.Condition()
        # Guarded by `_changed`.
        self._ordered = ordered
        self._ready: deque[tuple[list[Any], BaseException | None]] = deque()
        self._early: dict[int, tuple[list[Any], BaseException | None]] = {}
        self._next = 0  # the number that comes next, if they are ordered
        self._taken = 0
        self._length: int | None = None

    def _set(self, number: int, value: list[Any], error: BaseException | None) -> None:
        with self._changed:
            self._early[number] = value, error
            if not self._ordered:
                self._ready.append(self._early.pop(number))
            while self._next in self._early:
                self._ready.append(self._early.pop(self._next))
                self._next += 1
            self._changed.notify_all()

    def _set_length(self, length: int) -> None:
        with self._changed:
            self._length = length
            self._changed.notify_all()

    def __iter__(self) -> Iterator[list[Any]]:
        """Chunks."""
        return self

    def next(self, timeout: float | None = None) -> list[Any]:
        """The next chunk.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it did not come in ``timeout`` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._taken == self._length, timeout)
            if not self._ready:
                if self._taken == self._length:
                    raise StopIteration
                raise TimeoutError
            value, error = self._ready.popleft()
            self._taken += 1
        if error is not None:
            raise error
        return value

    __next__ = next

    def singly(self) -> Singly:
        """Items, where a chunk is one."""
        return Singly(self)


class Singly:
    """Results one by one; ``next`` takes a timeout as the standard library's does."""

    def __init__(self, chunks: Results) -> None:
        """Chunks of one item each."""
        self._chunks = chunks

    def __iter__(self) -> Singly:
        """Itself."""
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it did not come in ``timeout`` seconds.
        """
        return self._chunks.next(timeout)[0]

    __next__ = next


def start_feeding(
    results: Results,
    items: Iterator[Any],
    size: int,
    send: Callable[[int, list[Any]], bool],
) -> threading.Thread:
    """Starts the thread that sends the input in chunks; ``send`` says whether to go on."""

    def feed() -> None:
        for number in itertools.count():
            try:
                chunk = list(itertools.islice(items, size))
            except Exception as error:  # of the person's iterator: it comes in its place
                results._set(number, [], error)
                results._set_length(number + 1)
                return
            if not chunk or not send(number, chunk):
                results._set_length(number)
                return

    thread = threading.Thread(target=feed, name="sundog-imap", daemon=True)
    thread.start()
    return thread
