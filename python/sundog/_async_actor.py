"""The calls of an asynchronous actor, on one event loop in its process's main thread.

Each call begins in the order in which the daemon offered it. A plain method runs at once, on the
loop's thread; what an ``async def`` method returned becomes a task of the loop. Each has a context
of its own, in which ``_core`` finds the call. Nothing here blocks: the loop learns of new calls by
a descriptor that the runtime thread makes readable. Methods that yield are ``_async_streams``'s.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import sys
import threading

from sundog import _async_streams, _blocked_loop, _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALLS_A_TURN = 64
OWN_FILES = (__file__, _async_streams.__file__)


class AsyncDriver:
    """Runs the calls of one actor until its process is to end."""

    def __init__(self, cls: type) -> None:
        """Makes the loop, which the constructor finds as the thread's own."""
        self.guard = _blocked_loop.Guard(cls.__name__)
        self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(self.guard.selector)
        asyncio.set_event_loop(self.loop)
        # By the id of its task in hex, for whoever cancels one. The loop holds tasks weakly.
        self.running: dict[str, asyncio.Task[None]] = {}
        self.over = False
        self.reason_to_end: BaseException | None = None

    def run(self) -> None:
        """Takes and runs calls. Raises what a method raised to end the process."""
        asyncio.set_event_loop(self.loop)  # asyncio.run() in the constructor took it away
        self.event = _core.task_event()
        self.loop.add_reader(self.event, self.take_calls)
        self.loop.call_soon(self.take_calls)
        self.guard.start(self.loop, threading.get_ident())
        _core.on_cancelled_call(self.hear_of_cancelled)
        try:
            self.run_loop()
        finally:
            _core.on_cancelled_call(None)
            self.guard.stop()
        if self.reason_to_end is None or isinstance(self.reason_to_end, _core.ActorExit):
            self.end_what_is_left()
        if self.reason_to_end is not None and not isinstance(self.reason_to_end, _core.ActorExit):
            raise self.reason_to_end

    def run_loop(self) -> None:
        """Until it is stopped."""
        while True:
            try:
                self.loop.run_forever()
                return
            except _core.ActorExit:
                # Of a task that a method started: the loop lets it through, and the method that
                # awaits the task gets it too, in the next turn.
                continue

    # ---- calls

    def take_calls(self) -> None:
        """Begins the calls that may run; some at a time, so that those that run go on."""
        if self.over:
            return
        try:
            os.eventfd_read(self.event)
        except BlockingIOError:
            pass
        for _ in range(CALLS_A_TURN):
            call = _core.take_call()
            if call is None:
                return
            if call is False:
                self.over = True
                self.loop.remove_reader(self.event)
                self.end_if_over()
                return
            contextvars.copy_context().run(self.begin, call)
        self.loop.call_soon(self.take_calls)

    def begin(self, call: _core.RunningCall) -> None:
        """Runs a plain method, or starts the task of another one; in the call's context."""
        call.enter()
        self.guard.method = call.name
        try:
            value = call.begin()
        except BaseException as error:
            self.fail(call, error)
            return
        if not inspect.iscoroutine(value) and not _async_streams.has_items(call, value):
            self.end(call, value)
            return
        task = self.loop.create_task(self.serve(call, value), name=call.name)
        self.running[call.task] = task

    async def serve(self, call: _core.RunningCall, value: Any) -> None:
        """One call that returned a coroutine, or what has items, to its end."""
        try:
            if inspect.iscoroutine(value):
                value = await value
            if _async_streams.has_items(call, value):
                value = await _async_streams.run(call, value)
        except BaseException as error:
            self.running.pop(call.task, None)
            self.fail(call, error)
        else:
            self.running.pop(call.task, None)
            self.end(call, value)
        self.end_if_over()

    def end(self, call: _core.RunningCall, value: object) -> None:
        """The value is the call's."""
        if self.reason_to_end is not None:  # the daemon fails it with how the actor ended
            return
        try:
            call.finish(value)
        except BaseException as error:
            self.end_process(error)

    def fail(self, call: _core.RunningCall, error: BaseException) -> None:
        """The exception is the call's, unless it ends the process."""
        if self.reason_to_end is not None:
            return
        try:
            call.fail(without_frames_above(error))
        except BaseException as raised:
            self.end_process(raised)
            return
        if isinstance(error, _core.ActorExit):
            self.end_process(error)

    def hear_of_cancelled(self, task: bytes) -> None:
        """On the runtime's thread: somebody cancelled a call that runs here."""
        self.loop.call_soon_threadsafe(self.cancel, task.hex())

    def cancel(self, task: str) -> bool:
        """Cancels a call at its next await; False if it is not at one."""
        found = self.running.get(task)
        return found is not None and found.cancel()

    # ---- the end

    def end_if_over(self) -> None:
        """Told to stop: what runs is done first. After end_process() the loop is stopped already,
        and runs again only to let its tasks end."""
        if self.over and not self.running and self.reason_to_end is None:
            self.loop.stop()

    def end_process(self, reason: BaseException) -> None:
        """A method called exit_actor(), or raised SystemExit: nothing else is done."""
        self.over = True
        self.reason_to_end = reason
        _core.stop_tasks()
        self.loop.stop()

    def end_what_is_left(self) -> None:
        """Cancels what methods left behind on the loop, as ``asyncio.run`` does."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=1.0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()


def without_frames_above(error: BaseException) -> BaseException:
    """The exception with the traceback of the method alone, as a plain method's has."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename in OWN_FILES:
        traceback = traceback.tb_next
    return error.with_traceback(traceback)
