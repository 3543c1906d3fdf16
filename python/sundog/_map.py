"""``sundog.map``: a function over many items, in chunks of a few milliseconds.

A chunk is one task. How many items it has follows the time that items took so far, so that trivial
items cost no task each and long ones are not lumped together. The iterator that ``map`` returns
belongs to the thread that reads it; it reads its input no further ahead than a window of chunks.
"""

from __future__ import annotations

import itertools
import operator
import sys
import time

from sundog import _core, _function
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any, TypeVar

    R = TypeVar("R")
    # Nanoseconds a call, bytes of the first result, results, what the next item raised.
    Done = tuple[int, int, list[Any], "_core.ObjectRef[Any] | None"]

UNIT = 10_000
CHUNK_NS = 5_000_000  # what a chunk is to take
GROWTH_MAX = 8  # from one chunk to the next, so that one wrong measurement costs little
ITEMS_MAX = 1 << 16
CHUNK_BYTES_MAX = 8 << 20
CHUNKS_AHEAD = 4  # a CPU: one runs, the others hide the way to the worker and uneven chunks
CHUNKS_AHEAD_MIN = 8


class Chunk:
    """What a task of ``map`` runs: the function over several items."""

    def __init__(self, func: Callable[..., Any], star: bool, keep: bool) -> None:
        """``star``: an item is a tuple of arguments; ``keep``: what came before a failed item is
        kept. The name ``func`` is where partials have it: messages call the task so."""
        self.func = func
        self.star = star
        self.keep = keep

    def __call__(self, items: list[Any]) -> Done:
        """In the worker."""
        results: list[Any] = []
        began = time.perf_counter_ns()
        if self.star:
            calls: Iterator[Any] = itertools.starmap(self.func, items)
        else:
            calls = map(self.func, items)
        error = None
        try:
            results.extend(calls)
        except Exception as raised:
            if not self.keep:
                raise
            error = _core.put_error(raised, _function.name_of(self.func))
        elapsed = time.perf_counter_ns() - began
        return elapsed // (len(results) + 1), size_of(results[0]) if results else 0, results, error


def size_of(value: object) -> int:
    """About how many bytes a value has."""
    size = getattr(value, "nbytes", None)
    return size if isinstance(size, int) else sys.getsizeof(value)


class Chunks:
    """The chunks of one ``map`` that are on their way."""

    def __init__(
        self,
        function: _function.RemoteFunction[Any],
        items: Iterable[Any],
        expected: int,
        chunksize: int | None,
    ) -> None:
        """``expected``: how many items there will be, 0 if nobody knows."""
        session = _core.current_session()
        cpus = int(str(session.info()["num_cpus"])) // UNIT if session is not None else 1
        from collections import deque

        self.function = function
        self.items = iter(items)
        self.expected = expected
        self.sent = 0
        self.cpus = max(1, cpus)
        self.ahead = max(CHUNKS_AHEAD_MIN, CHUNKS_AHEAD * self.cpus)
        self.fixed = chunksize
        self.size = chunksize or 1
        self.sending = 0, 0  # nanoseconds an item to send the last chunk, bytes of its first item
        self.running: deque[_core.ObjectRef[Done]] = deque()
        self.exhausted = False

    def fill(self) -> None:
        """Submits chunks until the window is full or the input ends."""
        while len(self.running) < self.ahead and not self.exhausted:
            size = self.next_size()
            items = list(itertools.islice(self.items, size))
            if len(items) < size:
                self.exhausted = True
            if not items:
                return
            began = time.perf_counter_ns()
            self.running.append(self.function.remote(items))
            self.sent += len(items)
            if self.fixed is None:
                took = (time.perf_counter_ns() - began) // len(items)
                self.sending = took, size_of(items[0])
                self.size = min(self.size, self.wanted(*self.sending))

    def next_size(self) -> int:
        """How many items the next chunk has: less near the end, so that all CPUs end together."""
        left = self.expected - self.sent
        if self.fixed is None and self.expected and left < self.size * self.cpus * 2:
            return max(1, left // (self.cpus * 2))
        return self.size

    def wanted(self, item_ns: int, item_bytes: int) -> int:
        """How many items a chunk should have."""
        fitting = min(CHUNK_NS // max(1, item_ns), CHUNK_BYTES_MAX // max(1, item_bytes), ITEMS_MAX)
        return max(1, min(fitting, self.size * GROWTH_MAX))

    def learn(self, item_ns: int, result_bytes: int) -> None:
        """Adjusts the size to what an item took, there or on its way there."""
        sent_ns, sent_bytes = self.sending
        self.size = self.wanted(max(item_ns, sent_ns), max(result_bytes, sent_bytes))

    def next_done(self, ordered: bool) -> Done:
        """Waits for the next chunk in order, or for any."""
        if not ordered and len(self.running) > 1:
            ready, _ = _core.wait(list(self.running), num_returns=1)
            self.running.remove(ready[0])
            done = _core.get(ready[0])
        else:
            done = _core.get(self.running.popleft())
        if self.fixed is None and done[2]:
            self.learn(done[0], done[1])
        return done

    def results(self, ordered: bool) -> Generator[Any, None, None]:
        """What ``map`` returns."""
        try:
            while self.running:
                _, _, results, error = self.next_done(ordered)
                self.fill()
                yield from results
                if error is not None:
                    _core.get(error)
        finally:
            self.running.clear()


def function_of(
    function: Any, star: bool, options: dict[str, object]
) -> _function.RemoteFunction[Any]:
    """The remote function of chunks.

    Raises:
        TypeError: not a function.
        ValueError: an option that ``map`` cannot have.
    """
    given: dict[str, object] = {}
    if isinstance(function, _function.RemoteFunction):
        given = dict(function._options.given)
        function = function.__wrapped__
    elif not callable(function):
        raise TypeError(f"map() takes a function first, got {type(function).__name__}")
    given.update(options)
    if given.get("num_returns") not in (None, 1):
        raise ValueError("map() gives one result an item: leave num_returns out")
    chunk = Chunk(function, star, keep=not given.get("retry_exceptions"))
    return _function.RemoteFunction(chunk, given)


if TYPE_CHECKING:

    def map_items(
        function: Callable[..., R],
        *iterables: Iterable[Any],
        chunksize: int | None = None,
        ordered: bool = True,
        **options: object,
    ) -> Iterator[R]: ...

else:

    def map_items(function, *iterables, chunksize=None, ordered=True, **options):
        """Calls a function for every item, on all CPUs; the results, as an iterator.

        Work begins at once. Items are sent in chunks of a few milliseconds, sized by what items
        took so far; an iterable is read only a window of chunks ahead of what was taken from the
        result, so that it may have no end.

        Args:
            function: a function, or a remote one, whose options count then.
            iterables: one for each argument of the function; the shortest ends it.
            chunksize: items a chunk; None measures.
            ordered: results come in the order of the items; False: as they are ready.
            options: of the chunks' tasks, as for ``sundog.remote``: num_cpus, name, …

        Returns:
            An iterator of results. What the function raised for an item is raised where its result
            would be, after the results before it (of its chunk, those before it if not ordered),
            and ends the iterator. With retry_exceptions=True a whole chunk is tried again.

        Raises:
            TypeError: not a function, or a wrong type of an option.
            ValueError: a chunksize under 1, no iterable, or an option that does not exist.
        """
        if not iterables:
            raise ValueError("map() takes a function and at least one iterable")
        if chunksize is not None and (not isinstance(chunksize, int) or chunksize < 1):
            raise ValueError(f"chunksize is a number of items from 1 on, got {chunksize!r}")
        star = len(iterables) > 1
        remote = function_of(function, star, options)
        expected = min(operator.length_hint(it) for it in iterables)
        if _core.current_session() is None:
            from sundog import _session

            _session.start_by_default()
        items = zip(*iterables) if star else iterables[0]  # noqa: B905
        chunks = Chunks(remote, items, expected, chunksize)
        chunks.fill()
        return chunks.results(ordered)


map_items = public(map_items)
