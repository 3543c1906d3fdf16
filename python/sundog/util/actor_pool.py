"""``ActorPool``: calls on whichever of several actors is free.

It lives in one process and belongs to the threads of that process that take turns with it; it makes
and ends no actors.
"""

from __future__ import annotations

from collections import deque

from sundog import _core
from sundog._core import public
from sundog.exceptions import SundogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeAlias

    Submit: TypeAlias = Callable[[Any, Any], "_core.ObjectRef[Any]"]


class ActorPool:
    """Hands values to actors, each of which has one at a time.

    >>> pool = ActorPool([Model.remote(), Model.remote()])
    >>> list(pool.map(lambda actor, value: actor.predict.remote(value), range(8)))
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        """Takes handles of actors, which the caller made."""
        self._idle: deque[Any] = deque(actors)
        # By the first of a call's results: number, actor, and what the call returned.
        self._running: dict[_core.ObjectRef[Any], tuple[int, Any, Any]] = {}
        self._by_number: dict[int, _core.ObjectRef[Any]] = {}
        self._waiting: deque[tuple[Submit, Any]] = deque()
        self._next_number = 0
        self._next_result = 0

    @public
    def map(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the values; results of earlier calls are dropped.

        Args:
            fn: ``lambda actor, value: actor.method.remote(value)``.
            values: all of them are read at once.
        """
        self._drop_results()
        for value in values:
            self.submit(fn, value)
        return self._take(self.get_next)

    @public
    def map_unordered(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """As ``map``, results as they are ready."""
        self._drop_results()
        for value in values:
            self.submit(fn, value)
        return self._take(self.get_next_unordered)

    def _take(self, get: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield get()

    def _drop_results(self) -> None:
        """Nobody wants what was submitted before; it runs all the same."""
        while self._running:
            self._forget(next(iter(self._running)))

    @public
    def submit(self, fn: Submit, value: Any) -> None:
        """Calls an actor that is free, or the first one that will be."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.popleft()
        try:
            made: Any = fn(actor, value)
            ref = made[0] if isinstance(made, list) else made
        except BaseException:
            self._idle.appendleft(actor)
            raise
        self._running[ref] = (self._next_number, actor, made)
        self._by_number[self._next_number] = ref
        self._next_number += 1

    def has_next(self) -> bool:
        """Whether a result is to come."""
        return bool(self._by_number)

    @public
    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        Args:
            timeout: seconds; None waits without end.
            ignore_if_timedout: after the timeout this result is dropped, and the next call gets
                the one after it.

        Raises:
            TimeoutError: it was not ready in time.
            StopIteration: nothing was submitted, or all results are taken.
        """
        if not self.has_next():
            raise StopIteration("no more results: submit() something")
        ref = self._by_number[self._next_result]
        if timeout is not None and not _core.wait([ref], timeout=timeout)[0]:
            if not ignore_if_timedout:
                raise ResultTimeoutError(
                    "the next result was not ready in time; it can be asked for"
                )
            self._forget(ref)
            raise ResultTimeoutError("the next result was not ready in time; it was dropped")
        return _core.get(self._forget(ref))

    @public
    def get_next_unordered(
        self, timeout: float | None = None, ignore_if_timedout: bool = False
    ) -> Any:
        """The result that is ready first.

        Args:
            timeout: seconds; None waits without end.
            ignore_if_timedout: after the timeout, the oldest result is dropped.

        Raises:
            TimeoutError: none was ready in time.
            StopIteration: nothing was submitted, or all results are taken.
        """
        if not self.has_next():
            raise StopIteration("no more results: submit() something")
        ready, _ = _core.wait(list(self._by_number.values()), num_returns=1, timeout=timeout)
        if not ready:
            if not ignore_if_timedout:
                raise ResultTimeoutError("no result was ready in time; they can be asked for again")
            self._forget(self._by_number[self._next_result])
            raise ResultTimeoutError("no result was ready in time; the oldest was dropped")
        return _core.get(self._forget(ready[0]))

    def _forget(self, ref: _core.ObjectRef[Any]) -> Any:
        """The call is no more ours; what it returned: a reference, or a list of several."""
        number, actor, made = self._running.pop(ref)
        del self._by_number[number]
        self._return(actor)
        while self._next_result < self._next_number and self._next_result not in self._by_number:
            self._next_result += 1
        return made

    def _return(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def has_free(self) -> bool:
        """Whether an actor is idle and nothing waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool; None if there is none."""
        return self._idle.popleft() if self.has_free() else None

    @public
    def push(self, actor: Any) -> None:
        """Puts an actor into the pool.

        Raises:
            ValueError: it is there already.
        """
        if actor in self._idle or any(actor == busy for _, busy, _ in self._running.values()):
            raise ValueError(f"{actor!r} is in the pool already")
        self._return(actor)


class ResultTimeoutError(SundogError, TimeoutError):
    """A result was not ready in time."""
