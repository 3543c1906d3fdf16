"""Cancelling: of tasks by whoever has their results, and as a task gets to know of it.

A call of an asynchronous actor is ended by its event loop: the loop gives
``_core.on_cancelled_call`` a function, which is called with the task's id (16 bytes) on the
runtime's thread for each running call that is cancelled.
"""

from __future__ import annotations

import sys
import time

from sundog import _core
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from sundog._generator import ObjectRefGenerator

# model::CancelLevel
INTERRUPT, KILL = 2, 3
PUT_BIT = 0x80  # in the last byte of the id of an object that was put
GRACE_MAX_S = 1e6
AGAIN_S = 10.0  # so soon after the first, Ctrl-C is meant for what runs elsewhere too

_last_interrupt = float("-inf")


@public
def cancel(
    ray_waitable: _core.ObjectRef[Any] | ObjectRefGenerator[Any],
    *,
    force: bool = False,
    recursive: bool = True,
    grace_s: float = 0.0,
) -> None:
    """Ends the task that makes an object; ``get`` then raises TaskCancelledError.

    A task that waits, for arguments or in a queue, ends at once and never runs. One that runs can
    ask ``get_runtime_context().is_canceled()``; one that does not is interrupted 50 ms later by a
    KeyboardInterrupt, which it may catch to clean up. A running call of an actor, which lives on,
    is not interrupted: ``get`` and ``wait`` in it raise TaskCancelledError, a ``yield`` raises
    KeyboardInterrupt, and it may ask; of an asynchronous actor it is cancelled at its next await.
    What has finished stays as it is.

    Args:
        ray_waitable: a result of the task, or the generator that its call returned.
        force: True kills the worker of a running task; ``get`` raises TaskKilledError then, which
            is a TaskCancelledError and a WorkerCrashedError.
        recursive: True cancels what the task submitted as well; calls of actors among it without
            force.
        grace_s: with force, how many seconds the task has, after it was interrupted, before its
            worker is killed.

    Raises:
        TypeError: not an ObjectRef, or an option of a wrong type.
        ValueError: the object was put and no task makes it; force=True for a call of an actor;
            grace_s without force.
        ObjectLostError: the reference belongs to another session.
    """
    from sundog import _errors, _generator

    ref: object = ray_waitable
    if isinstance(ref, _core.Stream):
        ref = ref._completed()
    elif isinstance(ref, _generator.LocalGenerator):
        ref = ref.cancel()
    if not isinstance(ref, _core.ObjectRef):
        raise _errors.cancel_of_something_else(ref)
    for name, value in (("force", force), ("recursive", recursive)):
        if not isinstance(value, bool):
            raise TypeError(f"cancel(): {name} is True or False, got {value!r}")
    grace_ms = milliseconds(grace_s)
    if grace_ms and not force:
        raise ValueError("cancel(): grace_s is for force=True: without it no worker is killed")
    if is_local():
        return  # it ran when it was called
    if ref.binary()[-1] & PUT_BIT:
        raise ValueError(f"cancel(): {ref} was put: no task makes it")
    if force and is_call(ref):
        raise ValueError(
            "cancel(): force=True would end the actor with all its state: cancel the call without "
            "it, or end the actor with kill(actor)"
        )
    _core.cancel(ref, KILL if force else INTERRUPT, grace_ms, recursive)


def milliseconds(grace_s: object) -> int:
    """A checked grace."""
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)):
        raise TypeError(f"cancel(): grace_s is a number of seconds, got {grace_s!r}")
    if not 0 <= grace_s <= GRACE_MAX_S:
        raise ValueError(f"cancel(): grace_s is a number of seconds from 0 on, got {grace_s!r}")
    return max(round(grace_s * 1000), 1 if grace_s > 0 else 0)


def is_local() -> bool:
    """Whether tasks run where they are called (``init(local_mode=True)``)."""
    from sundog._function import RemoteFunction

    return "remote" in RemoteFunction.__dict__


def is_call(ref: _core.ObjectRef[Any]) -> bool:
    """Whether a call of an actor, which has not ended, makes the object."""
    from sundog import _explain

    told = _explain.ask(ref)
    return told is not None and bool(told.get("call"))


def is_canceled() -> bool:
    """Whether the task that runs here is cancelled.

    Raises:
        RuntimeError: no task runs here.
    """
    from sundog import _actor

    if _actor.current_local_call() is not None:
        return False  # who could cancel it waits for its end
    task = _core.current_task()
    if task is None:
        raise RuntimeError("is_canceled() is for tasks: no task runs here")
    return _core.is_canceled(bytes.fromhex(task[0]))


def on_interrupt(number: int, frame: FrameType | None) -> None:
    """A worker's INTERRUPT_SIGNAL: raises KeyboardInterrupt in a task that is to be interrupted."""
    del number
    if not _core.take_interrupt():
        return
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            # A module that was imported in part: no other task shall find it.
            _core.end_after_task()
            break
        frame = frame.f_back
    raise KeyboardInterrupt


def interrupted() -> None:
    """Ctrl-C ended a wait of this process: the second time a script's tasks are cancelled."""
    global _last_interrupt
    session = _core.current_session()
    if session is None or session.is_worker or hasattr(sys, "ps1"):
        return
    before, _last_interrupt = _last_interrupt, time.monotonic()
    if _last_interrupt - before <= AGAIN_S:
        from sundog import _log

        _core.cancel_all()
        _log.info("Ctrl-C again: what this program submitted is cancelled")
