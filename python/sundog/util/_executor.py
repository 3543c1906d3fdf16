"""``Executor``: the interface of `concurrent.futures` (PEP 3148) on a session.

Calls run as tasks on the session's workers, or, with an initializer or a number of calls after
which a process is replaced, in processes of the executor's own. Any thread may use it; callbacks of
futures run on a thread of ours, one after the other.
"""

from __future__ import annotations

import atexit
import itertools
import time
import weakref
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool

from sundog import _core, _function
from sundog._core import public
from sundog.util import _lanes, _payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_executors: weakref.WeakSet[Executor] = weakref.WeakSet()
_registered = False


class Executor(futures.Executor):
    """Calls functions in other processes: a ``concurrent.futures.ProcessPoolExecutor``.

    >>> with Executor() as executor:
    ...     print(list(executor.map(square, range(4))))
    """

    @public
    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
        **options: Any,
    ) -> None:
        """In the running session, or in one that it starts.

        Args:
            max_workers: calls that run at once, at most; None: as many as the session has CPUs.
            initializer, initargs: what each process of the executor's own calls when it begins.
            max_tasks_per_child: calls after which such a process is replaced.
            options: of the tasks, or of the processes, as for ``sundog.remote``; a call that is
                tried again by itself is not what an executor's user expects: max_retries is 0.

        Raises:
            ValueError: no worker, or an option that does not exist.
            TypeError: an initializer that cannot be called, an option of a wrong type.
        """
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        cpus = _lanes.session_cpus()
        self._max_workers = max_workers or cpus
        if initializer is not None or max_tasks_per_child is not None:
            encoded = _payload.encode((initializer, initargs))
            given = {"num_cpus": 0, **options}
            self._lanes = _lanes.Lanes(
                self._max_workers,
                lambda: _lanes.ActorLane(encoded, max_tasks_per_child, given),
            )
        else:
            self._lanes = self._task_lanes(cpus, options)
        self._codes = _payload.Codes()
        self._shut_down = False
        self._broken: BaseException | None = None
        remember(self)

    def _task_lanes(self, cpus: int, options: dict[str, Any]) -> _lanes.Lanes:
        """Lanes of tasks. More than there are CPUs share them; one more than these waits at the
        daemon, so that no CPU rests while an end is being told."""
        session = _core.current_session()
        assert session is not None
        share = min(1.0, cpus / self._max_workers)
        if session.is_worker:  # whoever waits for a future there keeps its CPU
            share = 0
        given = {"num_cpus": share, "max_retries": 0, **options}
        function: _function.RemoteFunction[Any] = _function.RemoteFunction(_payload.run, given)
        count = self._max_workers + (self._max_workers == cpus and not session.is_worker)
        return _lanes.Lanes(count, lambda: _lanes.TaskLane(function))

    @public
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """``fn(*args, **kwargs)`` in another process; a future.

        Raises:
            RuntimeError: the executor was shut down.
            BrokenExecutor: the initializer raised.
        """
        return self._send(fn, _payload.CALL, (args, kwargs))

    def _send(
        self,
        fn: Callable[..., Any],
        mode: int,
        sent: Any,
        name: str = "",
        stored: _payload.Stored | None = None,
    ) -> futures.Future[Any]:
        if self._broken is not None:
            raise BrokenProcessPool(str(self._broken)) from self._broken
        if self._shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: futures.Future[Any] = futures.Future()

        def ends(value: Any, error: BaseException | None) -> None:
            if isinstance(error, _lanes.InitializerError):
                error = self._break(error)
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        try:
            code = self._codes.code_of(fn)
            encoded = _payload.encode(sent if code else (fn, sent), stored)
        except Exception as error:
            from sundog import _unpicklable

            future.set_running_or_notify_cancel()
            ends(None, _unpicklable.exception("cannot send a call", "call", sent, error))
            return future
        begins = future.set_running_or_notify_cancel
        name = name or _function.name_of(fn)
        self._lanes.submit(_lanes.Call(name, code, mode, encoded, begins, ends))
        return future

    def _break(self, error: BaseException) -> BrokenProcessPool:
        """The initializer raised: nothing can run here."""
        self._broken = error
        broken = BrokenProcessPool(str(error))
        broken.__cause__ = error
        for call in self._lanes.take_waiting():
            if call.begins():
                call.ends(None, broken)
        return broken

    @public
    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """``map(fn, *iterables)`` in other processes; an iterator of results in order.

        Args:
            fn: called with an item of each iterable.
            iterables: read at once; the shortest ends it.
            timeout: seconds from now until which results are waited for.
            chunksize: items a call. ``sundog.map`` measures how many that should be.

        Raises:
            ValueError: a chunksize under 1.
            TimeoutError: by the iterator, when a result is not there in time.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        items = zip(*iterables)  # noqa: B905
        sent = []
        while chunk := list(itertools.islice(items, chunksize)):
            sent.append(self._send(fn, _payload.STAR_CHUNK, chunk))
        return results_of(sent, end)

    @public
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls.

        Args:
            wait: until those that were submitted have ended.
            cancel_futures: those that have not begun are cancelled.
        """
        self._shut_down = True
        if cancel_futures:
            for call in self._lanes.take_waiting():
                future = getattr(call.begins, "__self__", None)
                if isinstance(future, futures.Future):
                    future.cancel()
                    future.set_running_or_notify_cancel()
        self._lanes.finish()
        if wait:
            self._lanes.wait()


def results_of(sent: list[futures.Future[Any]], end: float | None) -> Iterator[Any]:
    """Results of chunks in order; futures that nobody waits for any more are cancelled."""
    sent.reverse()
    try:
        while sent:
            left = None if end is None else end - time.monotonic()
            future = sent.pop()
            try:
                chunk = future.result(left)
            finally:
                future.cancel()
                del future
            yield from chunk
    finally:
        for future in sent:
            future.cancel()


def remember(executor: Executor) -> None:
    """For ``finish_all``, which has to be registered after what ends the session at exit."""
    global _registered
    if not _registered:
        _registered = True
        atexit.register(finish_all)
    _executors.add(executor)


def finish_all() -> None:
    """At exit, before the session ends: what was submitted is done, as with the library's own."""
    for executor in list(_executors):
        if _core.current_session() is not None:
            executor.shutdown(wait=True)
