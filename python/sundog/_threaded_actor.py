"""The calls of an actor with several threads (``max_concurrency`` above 1, or concurrency groups).

The main thread takes calls, within the limits, and hands each to a thread of its group, of which
there are as many as ran at once: a group of one call at a time has one thread, which finds again
what it kept in ``threading.local``. Which call a thread runs is in its context.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading

from sundog import _core

TYPE_CHECKING = False


class Group:
    """The calls of one concurrency group, and how many threads serve them."""

    def __init__(self) -> None:
        """No thread yet."""
        self.calls: queue.SimpleQueue[_core.RunningCall] = queue.SimpleQueue()
        # Guarded by the driver's `changed`.
        self.threads = 0
        self.busy = 0


class ThreadDriver:
    """Runs the calls of one actor until its process is to end."""

    def __init__(self) -> None:
        """No thread yet."""
        self.groups: dict[int, Group] = {}  # the main thread's
        self.changed = threading.Condition()
        # Guarded by `changed`.
        self.threads = 0
        self.busy = 0
        self.reason_to_end: BaseException | None = None

    def run(self) -> None:
        """Takes calls and hands them out. Raises what a method raised to end the process."""
        while (call := _core.wait_for_call()) is not None:
            group = self.groups.setdefault(call.group, Group())
            with self.changed:
                self.busy += 1
                group.busy += 1
                if group.busy > group.threads:
                    group.threads += 1
                    self.threads += 1
                    name = f"sundog-calls-{self.threads}"
                    threading.Thread(
                        target=self.serve, args=(group,), name=name, daemon=True
                    ).start()
            group.calls.put(call)
            del call
        with self.changed:
            self.changed.wait_for(lambda: self.busy == 0 or self.reason_to_end is not None)
            left = self.busy
        reason = self.reason_to_end
        if left > 0:  # their threads cannot be ended: the process is, as after a normal end
            leave(0 if reason is None or isinstance(reason, _core.ActorExit) else 1)
        if reason is not None and not isinstance(reason, _core.ActorExit):
            raise reason

    def serve(self, group: Group) -> None:
        """One thread of the group."""
        while True:
            call = group.calls.get()
            reason = run_one(call)
            del call
            with self.changed:
                self.busy -= 1
                group.busy -= 1
                if reason is not None and self.reason_to_end is None:
                    self.reason_to_end = reason
                self.changed.notify()
            if reason is not None:
                _core.stop_tasks()


def run_one(call: _core.RunningCall) -> BaseException | None:
    """Runs a call in this thread; what has to end the process."""
    token = call.enter()
    try:
        try:
            value = call.begin()
        except BaseException as error:
            call.fail(error)
            return error if isinstance(error, _core.ActorExit) else None
        call.finish(value)
        return None
    except BaseException as error:
        return error
    finally:
        call.leave(token)


def leave(status: int) -> None:
    """Ends the process although threads of it run."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)
