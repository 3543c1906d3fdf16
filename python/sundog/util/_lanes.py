"""Calls over a fixed number of lanes: what `multiprocessing.Pool` and the executor have in common.

A lane has one call at a time and is a process of its own (an actor) or one of the session's workers
(a task). What does not fit waits here, in the order of submission, where it can be cancelled. Any
thread may submit; ends are told on the thread that watches references, one after the other.
"""

from __future__ import annotations

import functools
import threading
from collections import deque

from sundog import _actor_names, _core, _function, _future
from sundog.exceptions import ActorDiedError, SundogError
from sundog.util import _payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Lane(Protocol):
        """Where one call at a time runs."""

        def send(self, call: Call) -> _core.ObjectRef[Any]: ...
        def ended(self, error: BaseException | None) -> None: ...
        def close(self, at_once: bool) -> None: ...


class InitializerError(SundogError):
    """A pool's initializer raised; the cause says what."""


class Call:
    """One call or chunk."""

    __slots__ = ("begins", "code", "ends", "mode", "name", "payload", "refs")

    def __init__(
        self,
        name: str,
        code: bytes,
        mode: int,
        encoded: tuple[bytes, _payload.Refs],
        begins: Callable[[], bool],
        ends: Callable[[Any, BaseException | None], None],
    ) -> None:
        """``name``: what messages call it; ``begins`` says whether it is still wanted; ``ends``
        gets its value or its error."""
        self.name = name
        self.code = code
        self.mode = mode
        self.payload, self.refs = encoded
        self.begins = begins
        self.ends = ends


class Worker:
    """The actor of a lane."""

    def __init__(self, initializer: bytes, refs: _payload.Refs) -> None:
        """Runs the pool's initializer; what it raises is told by every call."""
        self.problem: BaseException | None = None
        try:
            function, args = _payload.decode(initializer, refs)
            if function is not None:
                function(*args)
        except Exception as error:
            self.problem = error

    def run(self, code: bytes, mode: int, payload: bytes, refs: _payload.Refs) -> Any:
        """One call."""
        if self.problem is not None:
            raise InitializerError(
                f"the pool's initializer raised {type(self.problem).__name__}: {self.problem}"
            ) from self.problem
        return _payload.run(code, mode, payload, refs)


class ActorLane:
    """A process of its own, made anew when it died or has had its number of calls."""

    def __init__(
        self,
        initializer: tuple[bytes, _payload.Refs],
        calls_max: int | None,
        options: dict[str, Any],
    ) -> None:
        """Starts the process."""
        self.initializer = initializer
        self.calls_max = calls_max
        self.calls = 0
        self.cls = _function.remote_thing(Worker, options)
        self.actor: Any = None
        self.methods: dict[str, Any] = {}  # by the name that messages use
        self.start()

    def start(self) -> None:
        """Makes the actor if there is none."""
        if self.actor is None:
            self.actor = self.cls.remote(*self.initializer)
            self.methods = {}
            self.calls = 0

    def send(self, call: Call) -> _core.ObjectRef[Any]:
        """Calls it."""
        self.start()
        self.calls += 1
        method = self.methods.get(call.name)
        if method is None:
            method = self.methods[call.name] = self.actor.run.options(name=call.name)
        ref: _core.ObjectRef[Any] = method.remote(call.code, call.mode, call.payload, call.refs)
        return ref

    def ended(self, error: BaseException | None) -> None:
        """A call has ended."""
        if isinstance(error, ActorDiedError):
            self.forget()
        elif self.calls_max is not None and self.calls >= self.calls_max:
            self.forget()
            self.start()

    def forget(self) -> Any:
        """Drops the last handle, which ends the actor unless the caller keeps it; the handle."""
        actor, self.actor = self.actor, None
        self.methods = {}
        return actor

    def close(self, at_once: bool) -> None:
        """Ends the process; ``at_once``: under its call."""
        actor = self.forget()
        if actor is not None and at_once:
            _actor_names.kill(actor)


class TaskLane:
    """A task at a time, on any worker of the session."""

    def __init__(self, function: _function.RemoteFunction[Any]) -> None:
        """``function``: ``_payload.run`` with the options of the pool."""
        self.function = function
        self.named: dict[str, _function.RemoteFunction[Any]] = {}

    def send(self, call: Call) -> _core.ObjectRef[Any]:
        """Submits it."""
        function = self.named.get(call.name)
        if function is None:
            function = self.named[call.name] = self.function.options(name=call.name)
        ref: _core.ObjectRef[Any] = function.remote(call.code, call.mode, call.payload, call.refs)
        return ref

    def ended(self, error: BaseException | None) -> None:
        """Nothing to do."""

    def close(self, at_once: bool) -> None:
        """Nothing to do."""


class Lanes:
    """Lanes, and the calls that wait for one."""

    def __init__(self, count: int, open_lane: Callable[[], Lane]) -> None:
        """Opens lanes when they are needed, up to ``count``."""
        self.count = count
        self.open_lane = open_lane
        self.changed = threading.Condition()
        # Guarded by `changed`.
        self.idle: list[Lane] = []
        self.all: list[Lane] = []
        self.waiting: deque[Call] = deque()
        self.running = 0
        self.finishing = False  # closes when nothing waits or runs
        self.closed = False

    def open_all(self) -> None:
        """Opens every lane now."""
        with self.changed:
            while len(self.all) < self.count:
                self.open_one()

    def open_one(self) -> None:
        lane = self.open_lane()
        self.all.append(lane)
        self.idle.append(lane)

    def submit(self, call: Call) -> None:
        """Sends the call to a lane, or lets it wait for one."""
        with self.changed:
            self.waiting.append(call)
        self.dispatch()

    def dispatch(self) -> None:
        """Sends what waits to lanes that are free."""
        while True:
            with self.changed:
                if not self.waiting or self.closed:
                    return
                if not self.idle and len(self.all) < self.count:
                    self.open_one()
                if not self.idle:
                    return
                call = self.waiting.popleft()
                lane = self.idle.pop()
                self.running += 1
            self.begin(lane, call)

    def begin(self, lane: Lane, call: Call) -> None:
        """Sends one call."""
        if not call.begins():
            self.free(lane, None)
            self.settled()
            return
        try:
            ref = lane.send(call)
            done = functools.partial(self.done, lane, call, ref)
            _future.watcher_for(ref).watch(functools.partial(_core.watch, ref), done)
        except Exception as error:
            self.free(lane, error)
            call.ends(None, error)
            self.settled()

    def done(self, lane: Lane, call: Call, ref: _core.ObjectRef[Any]) -> None:
        """A call has ended; on the watching thread, which must not end by an exception."""
        value, problem = None, None
        try:
            value = _core.get(ref, writable=True)
        except BaseException as error:
            problem = error
        del ref
        try:
            self.free(lane, problem)
            self.dispatch()
        except Exception as error:  # the session is ending
            problem = problem or error
        call.ends(value, problem)
        self.settled()
        # The exception's traceback has this frame: without what it names there is no cycle, and
        # whoever keeps the exception keeps no reference.
        del call, lane, value, problem

    def free(self, lane: Lane, error: BaseException | None) -> None:
        """A lane has no call any more."""
        with self.changed:
            if not self.closed:
                lane.ended(error)
                self.idle.append(lane)

    def settled(self) -> None:
        """The end of a call has been told."""
        with self.changed:
            self.running -= 1
            self.changed.notify_all()
        self.close_if_done()

    def finish(self) -> None:
        """Ends the lanes as soon as nothing waits or runs."""
        with self.changed:
            self.finishing = True
        self.close_if_done()

    def close_if_done(self) -> None:
        """After ``finish``."""
        with self.changed:
            done = self.finishing and not self.running and not self.waiting and not self.closed
        if done:
            self.close()

    def wait(self) -> None:
        """Until no call waits or runs."""
        with self.changed:
            self.changed.wait_for(lambda: not self.running and (self.closed or not self.waiting))

    def take_waiting(self) -> list[Call]:
        """Takes out the calls that wait."""
        with self.changed:
            taken = list(self.waiting)
            self.waiting.clear()
            self.changed.notify_all()
            return taken

    def close(self, at_once: bool = False) -> None:
        """Ends the lanes; nothing is sent after this."""
        with self.changed:
            self.closed = True
            lanes, self.all = self.all, []
            self.idle.clear()
            self.changed.notify_all()
        for lane in lanes:
            lane.close(at_once)


def session_cpus() -> int:
    """Whole CPUs of the session, at least one; starts one if there is none."""
    session = _core.current_session()
    if session is None:
        from sundog import _session

        _session.start_by_default()
        session = _core.current_session()
        assert session is not None
    return max(1, int(str(session.info()["num_cpus"])) // 10_000)
