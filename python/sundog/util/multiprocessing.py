"""``multiprocessing.Pool`` whose processes are actors of a session.

The interface is that of the standard library, its errors too. What differs: functions of the main
program, lambdas and closures can be sent; a worker that dies fails its call and is replaced; large
arrays travel without a copy. Any thread may use a pool; callbacks run on a thread of ours, one
after the other.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from multiprocessing import TimeoutError

from sundog import _core, _function, _log
from sundog._core import public
from sundog.util import _imap, _lanes, _payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Any, NoReturn

RUN, CLOSE, TERMINATE = "RUN", "CLOSE", "TERMINATE"
CHUNKS_A_PROCESS = 4

__all__ = ["AsyncResult", "Pool", "TimeoutError", "cpu_count"]


class AsyncResult:
    """The result of ``apply_async``, ``map_async`` and ``starmap_async``."""

    def __init__(
        self,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        """Made by a pool."""
        self._callback = callback
        self._error_callback = error_callback
        self._event = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def ready(self) -> bool:
        """Whether the call has ended."""
        return self._event.is_set()

    def successful(self) -> bool:
        """Whether it ended without an exception.

        Raises:
            ValueError: it has not ended.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Until the call has ended, or ``timeout`` seconds have passed."""
        self._event.wait(timeout)

    @public
    def get(self, timeout: float | None = None) -> Any:
        """What the call returned, or raises what it raised.

        Raises:
            multiprocessing.TimeoutError: it has not ended after ``timeout`` seconds.
        """
        if not self._event.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

    def _set(self, value: Any, error: BaseException | None) -> None:
        """The end of the call; callbacks come before whoever waits."""
        callback = self._callback if error is None else self._error_callback
        if callback is not None:
            try:
                callback(value if error is None else error)
            except Exception as raised:
                text = f"a callback of a pool raised {type(raised).__name__}: {raised}"
                _log.say(_log.ERROR, text)
        self._value, self._error = value, error
        self._event.set()


class MapResult(AsyncResult):
    """The result of several chunks."""

    def __init__(self, chunks: int, *rest: Any) -> None:
        """Ends with the last chunk."""
        super().__init__(*rest)
        self._parts: list[list[Any]] = [[]] * chunks
        self._left = chunks
        self._lock = threading.Lock()
        self._first_error: BaseException | None = None
        if not chunks:
            self._value = []
            self._event.set()

    def _set_part(self, number: int, value: list[Any], error: BaseException | None) -> None:
        with self._lock:
            if error is None:
                self._parts[number] = value
            elif self._first_error is None:
                self._first_error = error
            self._left -= 1
            if self._left:
                return
        values = list(itertools.chain.from_iterable(self._parts))
        self._set(None if self._first_error else values, self._first_error)


class Pool:
    """Processes that call functions: ``multiprocessing.Pool``, on a session."""

    @public
    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: None = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        """Starts the processes, in a session that is started too if there is none.

        Args:
            processes: how many; None: as many as the session has CPUs.
            initializer, initargs: what each process calls when it begins.
            maxtasksperchild: calls or chunks after which a process is replaced.
            context: None: there is one way to start a process here.
            ray_address: the session to join if there is none: as for ``sundog.init``.
            ray_remote_args: options of the actors, as for ``sundog.remote``; by default they take
                no CPU from tasks: ``{"num_cpus": 0}``.

        Raises:
            ValueError: no process, a wrong maxtasksperchild, or a context.
            TypeError: an initializer that cannot be called.
        """
        self._state = TERMINATE  # until it is complete
        if context is not None:
            raise ValueError("context has no meaning here: workers start in one way; leave it out")
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if ray_address is not None and _core.current_session() is None:
            from sundog import _session

            _session.init(ray_address)
        self._processes = processes if processes is not None else _lanes.session_cpus()
        _lanes.session_cpus()  # there is a session
        encoded = _payload.encode((initializer, tuple(initargs)))
        options = {"num_cpus": 0, **(ray_remote_args or {})}
        self._lanes = _lanes.Lanes(
            self._processes, lambda: _lanes.ActorLane(encoded, maxtasksperchild, options)
        )
        self._codes = _payload.Codes()
        self._feeders: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._lanes.open_all()
        self._state = RUN

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")

    def _send(
        self,
        function: Callable[..., Any],
        mode: int,
        sent: Any,
        ends: Callable[[Any, BaseException | None], None],
    ) -> None:
        """One call or chunk; what cannot be pickled is its error."""
        try:
            code = self._codes.code_of(function)
            encoded = _payload.encode(sent if code else (function, sent))
        except Exception as error:
            from sundog import _unpicklable

            ends(None, _unpicklable.exception("cannot send a call", "call", sent, error))
            return
        name = _function.name_of(function)
        self._lanes.submit(_lanes.Call(name, code, mode, encoded, lambda: True, ends))

    @public
    def apply(
        self, func: Callable[..., Any], args: Sequence[Any] = (), kwds: Mapping[str, Any] = {}
    ) -> Any:
        """``func(*args, **kwds)`` in one of the processes; waits for it."""
        return self.apply_async(func, args, kwds).get()

    @public
    def apply_async(
        self,
        func: Callable[..., Any],
        args: Sequence[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """``func(*args, **kwds)`` in one of the processes; its result later.

        Raises:
            ValueError: the pool is closed.
        """
        self._check_running()
        result = AsyncResult(callback, error_callback)
        self._send(func, _payload.CALL, (tuple(args), dict(kwds)), result._set)
        return result

    def _map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        mode: int,
        chunksize: int | None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult:
        self._check_running()
        items = list(iterable)
        if chunksize is None:
            chunksize, extra = divmod(len(items), self._processes * CHUNKS_A_PROCESS)
            chunksize += bool(extra)
        if chunksize < 1:
            chunksize = 1
        chunks = [items[at : at + chunksize] for at in range(0, len(items), chunksize)]
        result = MapResult(len(chunks), callback, error_callback)
        for number, chunk in enumerate(chunks):
            self._send(func, mode, chunk, _ends_part(result, number))
        return result

    @public
    def map(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
    ) -> list[Any]:
        """``[func(item) for item in iterable]`` over all processes; waits for it."""
        found: list[Any] = self.map_async(func, iterable, chunksize).get()
        return found

    @public
    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """As ``map``; its result later.

        Raises:
            ValueError: the pool is closed.
        """
        return self._map_async(func, iterable, _payload.CHUNK, chunksize, callback, error_callback)

    @public
    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """As ``map``, with items that are the arguments: ``func(*item)``."""
        found: list[Any] = self.starmap_async(func, iterable, chunksize).get()
        return found

    @public
    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """As ``starmap``; its result later.

        Raises:
            ValueError: the pool is closed.
        """
        return self._map_async(
            func, iterable, _payload.STAR_CHUNK, chunksize, callback, error_callback
        )

    @public
    def imap(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """As ``map``, an iterator of results in order; its ``next`` takes a timeout.

        Raises:
            ValueError: the pool is closed, or a chunksize under 1.
        """
        return self._imap(func, iterable, chunksize, ordered=True)

    @public
    def imap_unordered(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """As ``imap``, results as they come.

        Raises:
            ValueError: the pool is closed, or a chunksize under 1.
        """
        return self._imap(func, iterable, chunksize, ordered=False)

    def _imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int, ordered: bool
    ) -> Iterator[Any]:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        results = _imap.Results(ordered)

        def send(number: int, chunk: list[Any]) -> bool:
            def ends(value: Any, error: BaseException | None) -> None:
                results._set(number, value, error)

            if self._state == TERMINATE:
                return False
            self._send(func, _payload.CHUNK, chunk, ends)
            return True

        feeder = _imap.start_feeding(results, iter(iterable), chunksize, send)
        self._feeders.add(feeder)
        if chunksize == 1:
            return results.singly()
        return itertools.chain.from_iterable(results)

    def close(self) -> None:
        """No more calls; the processes end when the present ones are done."""
        if self._state == RUN:
            self._state = CLOSE
            if not any(feeder.is_alive() for feeder in self._feeders):
                self._lanes.finish()

    def terminate(self) -> None:
        """Ends the processes at once; calls that have not ended raise."""
        if self._state == TERMINATE:
            return
        self._state = TERMINATE
        waiting = self._lanes.take_waiting()
        self._lanes.close(at_once=True)
        for call in waiting:
            call.ends(None, RuntimeError("the pool was terminated before this call began"))

    def join(self) -> None:
        """Waits until the processes have ended.

        Raises:
            ValueError: neither ``close`` nor ``terminate`` was called.
        """
        if self._state == RUN:
            raise ValueError("Pool is still running")
        for feeder in list(self._feeders):
            feeder.join()
        self._lanes.finish()
        self._lanes.wait()

    def __enter__(self) -> Pool:
        """The pool itself."""
        self._check_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Terminates it."""
        self.terminate()

    def __reduce__(self) -> NoReturn:
        """Refuses."""
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def __repr__(self) -> str:
        """``<sundog.util.multiprocessing.Pool state=RUN pool_size=4>``."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return f"<{name} state={self._state} pool_size={self._processes}>"


def _ends_part(result: MapResult, number: int) -> Callable[[Any, BaseException | None], None]:
    """The end of one chunk."""

    def ends(value: Any, error: BaseException | None) -> None:
        result._set_part(number, value, error)

    return ends


def cpu_count() -> int:
    """CPUs of the session."""
    return _lanes.session_cpus()
