"""Waiting for objects without a sleeping thread for each: futures, and ``await ref``.

One thread of the process asks the Runtime for what is watched; the Runtime wakes it. It ends by
itself some time after the last object came, so that a program that waits for nothing has no thread
and its ``get`` no competitor.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import Future
from functools import partial

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Generator
    from typing import Any

    # Has the Runtime give this token when something is here, as ``_core.watch(ref, token)`` does.
    Ask = Callable[[int], None]

LINGER_SECONDS = 5.0


class Watcher:
    """The watched objects of one session, and the thread that waits for them."""

    def __init__(self, session: _core.Session) -> None:
        """Watches nothing yet."""
        self.session = session
        self.tokens = itertools.count(1)
        self.changed = threading.Condition()
        # Guarded by `changed`. What was asked with is kept, so that references in it are.
        self.waiting: dict[int, tuple[Ask, Callable[[], None]]] = {}
        self.thread: threading.Thread | None = None

    def watch(self, ask: Ask, callback: Callable[[], None]) -> int:
        """Calls back, on the thread, when what ``ask(token)`` asked for is here or never will be.

        Returns:
            The token.
        """
        with self.changed:
            token = next(self.tokens)
            self.waiting[token] = (ask, callback)
            try:
                ask(token)
            except BaseException:
                del self.waiting[token]
                raise
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="sundog-future", daemon=True)
                self.thread.start()
            else:
                self.changed.notify()
            return token

    def unwatch(self, token: int) -> None:
        """Nobody waits for this one any more."""
        with self.changed:
            if self.waiting.pop(token, None) is not None:
                _core.unwatch(self.session, token)

    def run(self) -> None:
        """The thread."""
        while self.has_work():
            tokens = _core.next_watched(self.session)
            with self.changed:
                known = self.waiting if tokens is None else tokens
                ready = [self.waiting.pop(t) for t in list(known) if t in self.waiting]
                if tokens is None:
                    self.thread = None
            while ready:  # no variable of this thread keeps a reference longer than its turn
                ready.pop()[1]()
            if tokens is None:  # the session is over
                return

    def has_work(self) -> bool:
        """Whether something is watched; waits a while for it."""
        with self.changed:
            if not self.waiting:
                self.changed.wait_for(self.is_wanted, LINGER_SECONDS)
            if self.waiting:
                return True
            self.thread = None
            return False

    def is_wanted(self) -> bool:
        """Whether the thread has a reason to stop lingering."""
        return bool(self.waiting) or self.session.ended != 0

    def stop(self) -> None:
        """The session is over: lets a lingering thread end."""
        with self.changed:
            thread = self.thread
            self.changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(LINGER_SECONDS)


_watcher: Watcher | None = None
_creation = threading.Lock()


def watcher_for(ref: _core.ObjectRef[Any]) -> Watcher:
    """The watcher of the current session.

    Raises:
        ObjectLostError: there is no session: the reference is an old one.
    """
    session = _core.current_session()
    if session is None:
        _core.get(ref)
        raise RuntimeError("there is no session")
    return watcher_of(session)


def watcher_of(session: _core.Session) -> Watcher:
    """The watcher of the session, which is the current one."""
    global _watcher
    with _creation:
        if _watcher is None or _watcher.session is not session:
            _watcher = Watcher(session)
        return _watcher


def end() -> None:
    """The session has ended."""
    global _watcher
    _awaited.clear()
    last, _watcher = _watcher, None
    if last is not None:
        last.stop()


def forget() -> None:
    """In a forked child: the thread is the parent's, and whoever held the lock is not here."""
    global _watcher, _creation
    _awaited.clear()
    _watcher = None
    _creation = threading.Lock()


def future_of(ref: _core.ObjectRef[Any]) -> Future[Any]:
    """A future with the object's value, or with what the task raised."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    watcher_for(ref).watch(partial(_core.watch, ref), partial(resolve, future, ref))
    return future


def resolve(future: Future[Any], ref: _core.ObjectRef[Any]) -> None:
    """The object is here or never will be."""
    try:
        future.set_result(_core.get(ref))
    except BaseException as error:
        future.set_exception(error)
    finally:
        del future, ref  # an exception's traceback has this frame: no cycle, no reference kept


def begin_await(ref: _core.ObjectRef[Any]) -> Generator[Any, None, None]:
    """What the running event loop waits for until the object is here.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    loop = running_loop("await")
    return watched_by(loop, watcher_for(ref), partial(_core.watch, ref)).__await__()


def as_future(ref: _core.ObjectRef[Any]) -> asyncio.Future[Any]:
    """A future of the running event loop, with the object's value or what the task raised.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    loop = running_loop("as_future()")
    return asyncio.wrap_future(future_of(ref), loop=loop)


# Of references that ``asyncio.wait`` waits for: what their loop waits for meanwhile. An entry lasts
# until the object is there, or nobody waits for it.
_awaited: dict[tuple[_core.ObjectRef[Any], object], asyncio.Future[None]] = {}


def add_done_callback(
    ref: _core.ObjectRef[Any],
    callback: Callable[[_core.ObjectRef[Any]], object],
    context: contextvars.Context | None,
) -> None:
    """Has the running event loop call ``callback(ref)`` when the object is there or failed.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    loop = running_loop("add_done_callback()")
    waiter = watched_by(loop, watcher_for(ref), partial(_core.watch, ref))
    _awaited[ref, callback] = waiter

    def tell(waiter: asyncio.Future[None]) -> None:
        _awaited.pop((ref, callback), None)
        if not waiter.cancelled():
            callback(ref)

    waiter.add_done_callback(tell, context=context)


def remove_done_callback(ref: _core.ObjectRef[Any], callback: object) -> int:
    """It is not called any more; how many there were."""
    waiter = _awaited.pop((ref, callback), None)
    if waiter is None:
        return 0
    waiter.cancel()
    return 1


def is_done(ref: _core.ObjectRef[Any]) -> bool:
    """Whether the object is there or failed."""
    return bool(_core.wait([ref], num_returns=1, timeout=0)[0])


def exception_of(ref: _core.ObjectRef[Any]) -> BaseException | None:
    """What ``get`` would raise.

    Raises:
        asyncio.InvalidStateError: the object is not there yet.
    """
    if not is_done(ref):
        raise asyncio.InvalidStateError(f"{ref} is not there yet")
    try:
        _core.get(ref)
    except Exception as error:
        return error.with_traceback(None)
    return None


def running_loop(what: str) -> asyncio.AbstractEventLoop:
    """The event loop of this thread.

    Raises:
        RuntimeError: none runs.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"{what} needs a running event loop: asyncio.run(main()); elsewhere use sundog.get(ref)"
        ) from None


def watched(ask: Ask) -> asyncio.Future[None]:
    """In a coroutine of a process with a session: done when what was asked for is here."""
    session = _core.current_session()
    assert session is not None
    return watched_by(asyncio.get_running_loop(), watcher_of(session), ask)


def watched_by(loop: asyncio.AbstractEventLoop, watcher: Watcher, ask: Ask) -> asyncio.Future[None]:
    """A future of the loop, done when what was asked for is here. Cancelling it is enough."""
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:
            pass  # the loop was closed meanwhile: nobody waits there any more

    token = watcher.watch(ask, tell)

    def done(waiter: asyncio.Future[None]) -> None:
        if waiter.cancelled():
            watcher.unwatch(token)

    waiter.add_done_callback(done)
    return waiter
