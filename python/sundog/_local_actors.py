"""Actors of ``init(local_mode=True)``: objects of this process, whose methods run where they are
called, so that pdb sees them.

An actor here lives as its object does: while a handle refers to it, or something in the store that
holds one; the daemon knows that. One that is detached lives to the session's end. Any thread may
call.
"""

from __future__ import annotations

import json
import os
import time
import weakref
from types import AsyncGeneratorType, CoroutineType

from sundog import _actor, _actor_class, _core, _explain, _local, _local_calls, _signature
from sundog.exceptions import ActorDiedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
    from typing import Any

    from sundog._actor_options import ActorOptions, MethodOptions

    Name = tuple[str, str]  # namespace, name
    Handle = _actor.ActorHandle[Any]
else:
    Handle = _actor.ActorHandle


LOOK_SECONDS = 0.5  # at least, between two looks into the store at calls
FEW_OBJECTS = 1_000  # in the store: looking costs little, also at the end of each last handle


class LocalActor:
    """The object behind handles, or why there is none any more."""

    def __init__(
        self, cls: _actor.ActorClass[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Copies the arguments; ``construct`` makes the object."""
        self.ref = _core.put_result(None)
        self.cls: type = cls.__wrapped__
        self.description = _actor_class.describe_once(cls._code)
        self.options: ActorOptions = cls._options
        self.attempt = 0
        self.dead = ""  # why
        self.cause: BaseException | None = None
        self.instance: object = None
        self.loop: AbstractEventLoop | None = None
        self._sent = _local.sent(cls._constructor, args, kwargs)

    def construct(self) -> None:
        """Runs the constructor, whose exception ends the actor."""
        try:
            args, kwargs = _local.received(self._sent)
            with self.running(self.options.title, "__init__", self.options.placed):
                self.instance = self.finished(self.cls, args, kwargs)
        except _core.ActorExit:
            self.end("it called exit_actor() in its constructor")
        except Exception as error:
            _local.let_debugger_end(error)
            self.end("its constructor raised an exception", error)

    def end(self, why: str, cause: BaseException | None = None) -> None:
        """From now on every call fails with this sentence."""
        self.dead = why
        self.cause = cause
        self.instance = None

    def kill(self, no_restart: bool) -> None:
        """``sundog.kill``."""
        restarts = self.options.max_restarts
        if not no_restart and (restarts < 0 or self.attempt < restarts):
            self.attempt += 1
            self.construct()
            return
        self.end("it was ended by kill() in this program")

    def died(self, title: str) -> ActorDiedError:
        """What a call results in that cannot be made any more."""
        error = ActorDiedError(f"{title}: its actor {self.description.name} died: {self.dead}")
        error.__cause__ = self.cause
        return error

    def running(
        self, title: str, method: str, amounts: Mapping[str, int] | None = None
    ) -> _local_calls.Call:
        """A call of the actor: what it holds is the call's, unless ``amounts`` are."""
        name = f"{self.cls.__module__}.{self.cls.__qualname__}.{method}"
        held = self.options.held if amounts is None else amounts
        return _local_calls.Call(title, name, held, self)

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Runs a method."""
        if name in _actor_class.SPECIAL:
            from sundog import _actor_calls

            special = getattr(_actor_calls, name)
            return self.finished(special, [self.instance, *args], kwargs)
        return self.finished(getattr(self.instance, name), args, kwargs)

    def finished(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Calls it; what is asynchronous runs on the actor's loop."""
        value = function(*args, **kwargs)
        if isinstance(value, CoroutineType):
            value = self.finish(value)
        return self.steps(value) if isinstance(value, AsyncGeneratorType) else value

    def steps(self, items: AsyncGeneratorType[Any, None]) -> Generator[Any, None, None]:
        """An asynchronous generator as a plain one: each step runs to its yield on the loop."""
        try:
            while True:
                try:
                    item = self.finish(items.__anext__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.finish(items.aclose())

    def finish(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What an asynchronous method returns: it runs to its end, alone, on the actor's loop."""
        import asyncio

        if self.loop is None:
            self.loop = asyncio.SelectorEventLoop()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.loop.run_until_complete(coroutine)
        # This thread's own loop runs, as in a notebook: another thread has to.
        from concurrent.futures import ThreadPoolExecutor
        from contextvars import copy_context

        with ThreadPoolExecutor(1) as executor:
            run = copy_context().run
            return executor.submit(run, self.loop.run_until_complete, coroutine).result()


class Hold:
    """What handles and methods of an actor share: when it goes, the last of them has gone."""

    __slots__ = ("__weakref__", "actor")

    def __init__(self, actor: LocalActor) -> None:
        """Keeps the actor."""
        self.actor = actor


class LocalMethod(_actor.ActorMethod):
    """A method of an actor of this process."""

    _hold: Hold

    def options(self, **options: object) -> LocalMethod:
        """The same method with other options."""
        return method_of(self._hold, super().options(**options))

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the method now; the ObjectRef has what it returned or raised."""
        if _actor.local is None or not _actor.local.knows(self._ref):
            return super().remote(*args, **kwargs)  # raises: the handle is of another session
        here = self._hold.actor.running(self.title(), self.__name__)
        return _local.answered(self, self._options, here, args, kwargs, self._run)

    def title(self) -> str:
        """What messages call it."""
        return self._options.name or self.__qualname__

    def _run(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        actor = self._hold.actor
        if actor.dead:
            raise actor.died(self.title())
        try:
            return actor.call(self._code.name, args, kwargs)
        except _core.ActorExit:
            actor.end("it called exit_actor()")
            return [None] * self._options.num_returns if self._options.num_returns > 1 else None


def method_of(hold: Hold, method: _actor.ActorMethod) -> LocalMethod:
    """The method as one of an actor of this process."""
    options: MethodOptions = method._options
    made = LocalMethod(method._ref, method._description, method._code, options, method._defaults)
    made._hold = hold
    return made


class LocalHandle(Handle):
    """A handle of an actor of this process."""

    __slots__ = ("_sundog_hold",)
    _sundog_hold: Hold

    def __getattr__(self, name: str) -> LocalMethod:
        """A method of the actor's class."""
        method = method_of(self._sundog_hold, super().__getattr__(name))
        self.__dict__[name] = method
        return method


def objects_told() -> list[dict[str, Any]] | None:
    """What the daemon tells of the objects in the store; None if it does not answer."""
    session = _core.current_session()
    if session is None:
        return None
    try:
        told: list[dict[str, Any]] = json.loads(session.query(_explain.MEMORY))
    except Exception:  # the session is ending
        return None
    return told


def is_held(entry: Mapping[str, Any]) -> bool:
    """Whether others in the store hold the object, or other processes."""
    mine = os.getpid()
    return bool(entry["internal_refs"]) or any(ref["pid"] != mine for ref in entry["refs"])


LocalHandle.__doc__ = vars(_actor.ActorHandle)["__doc__"]


class LocalActors:
    """All actors of a session in local mode, and their names."""

    def __init__(self, namespace: str) -> None:
        """``namespace`` is the session's own."""
        self._namespace = namespace
        self._live: weakref.WeakValueDictionary[bytes, LocalActor] = weakref.WeakValueDictionary()
        self._holds: dict[bytes, weakref.ref[Hold]] = {}
        self._detached: list[LocalActor] = []
        self._stored: dict[bytes, LocalActor] = {}  # whose handles were pickled
        self._looked = 0.0
        self._told = 0
        self._names: weakref.WeakValueDictionary[Name, LocalActor] = weakref.WeakValueDictionary()

    def make(
        self, cls: _actor.ActorClass[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Handle:
        """``Class.remote``."""
        problem = _signature.problem_of_call(cls._constructor, args, kwargs)
        if problem is not None:
            raise problem
        options = cls._options
        _local.refuse_environment(options.runtime_env)
        taken = self.find(options.namespace, options.name) if options.name else None
        if taken is not None:
            from sundog import _actor_names

            return _actor_names.use_taken(self.handle(taken), cls.__name__, options)
        actor = LocalActor(cls, args, kwargs)
        self._live[actor.ref.binary()] = actor
        if options.name:
            self._names[options.namespace or self._namespace, options.name] = actor
        if options.detached:
            self._detached.append(actor)
        actor.construct()  # it may ask whose it is
        return self.handle(actor)

    def handle(self, actor: LocalActor) -> LocalHandle:
        """A new handle."""
        made = LocalHandle(actor.ref, actor.description, (actor.options.max_task_retries, -1))
        made._sundog_hold = self._hold_of(actor)
        return made

    def _hold_of(self, actor: LocalActor) -> Hold:
        key = actor.ref.binary()
        known = self._holds.get(key)
        hold = None if known is None else known()
        if hold is None:
            hold = Hold(actor)
            self._holds[key] = weakref.ref(hold, lambda gone: self._released(key, gone))
        return hold

    def _released(self, key: bytes, gone: weakref.ref[Hold]) -> None:
        """The last handle in this process is gone; what is in the store may have others."""
        if self._holds.get(key) is gone:
            del self._holds[key]
        if key not in self._stored:
            return
        if self._told <= FEW_OBJECTS:
            self.look()
        else:
            self.look_again()

    def handle_of(self, ref: _core.ObjectRef[Any]) -> LocalHandle | None:
        """A handle of the actor that the reference means; None if it is of no actor here."""
        actor = self._live.get(ref.binary())
        return None if actor is None else self.handle(actor)

    def knows(self, ref: _core.ObjectRef[Any]) -> bool:
        """Whether it means an actor of this session."""
        return ref.binary() in self._live

    def keep(self, ref: _core.ObjectRef[Any]) -> None:
        """A handle is pickled: its actor stays while something in the store holds it."""
        actor = self._live.get(ref.binary())
        if actor is not None:
            self._stored[ref.binary()] = actor

    def look_again(self) -> None:
        """``look``, twice a second at most: a call was made."""
        if self._stored and time.monotonic() - self._looked >= LOOK_SECONDS:
            self.look()

    def look(self) -> None:
        """Lets go of the actors that neither a handle nor the store holds."""
        unheld = [key for key in list(self._stored) if key not in self._holds]
        if not unheld:
            return
        told = objects_told()
        self._looked = time.monotonic()
        if told is None:
            return
        self._told = len(told)
        if self._told >= _explain.OBJECTS_TOLD_MAX:
            return  # these are not all: any of the others may have a handle
        held = {bytes.fromhex(entry["object"]) for entry in told if is_held(entry)}
        for key in unheld:
            if key not in held and key not in self._holds:
                self._stored.pop(key, None)

    def find(self, namespace: str | None, name: str) -> LocalActor | None:
        """The living actor of this name."""
        actor = self._names.get((namespace or self._namespace, name))
        return None if actor is None or actor.dead else actor

    def names(self) -> list[dict[str, str]]:
        """Names of living actors."""
        return [
            {"namespace": space, "name": name}
            for (space, name), actor in self._names.items()
            if not actor.dead
        ]

    def kill(self, handle: Handle, no_restart: bool) -> bool:
        """``sundog.kill``; False if the actor is of another session."""
        actor = self._live.get(handle._sundog_ref.binary())
        if actor is not None:
            actor.kill(no_restart)
        return actor is not None

    def end(self) -> None:
        """The session is over, and with it those that were kept."""
        self._detached.clear()
        self._stored.clear()

    def current(self) -> tuple[bytes, type, int] | None:
        """As ``_core.current_actor``."""
        call = self.call()
        if call is None or call.actor is None:
            return None
        actor = call.actor
        return actor.ref.binary(), actor.cls, actor.attempt

    def current_name(self) -> str | None:
        """The name of the actor whose code runs."""
        call = self.call()
        return None if call is None or call.actor is None else call.actor.options.name

    def call(self) -> _local_calls.Call | None:
        """The task or call whose code runs."""
        return _local_calls.innermost()
