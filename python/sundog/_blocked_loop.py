"""Says which method blocks the event loop of an asynchronous actor.

A loop that waits tells so through its selector; a thread looks from time to time whether it is
still with the same piece of work. While the loop sleeps, and there is nothing to look at, the
thread sleeps too: an idle actor uses no processor. It never touches the loop.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

SECONDS_DEFAULT = 2.0
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
ADVICE = {
    "get(": "'await ref' gives a value without blocking",
    "wait(": "'await asyncio.wait(refs)' waits without blocking",
    "sleep(": "'await asyncio.sleep(...)' rests without blocking",
}


class Selector(selectors.DefaultSelector):
    """Counts the loop's turns, and says whether it is at work."""

    def __init__(self) -> None:
        """At work: it has not slept yet."""
        super().__init__()
        self.turn = 0
        self.at_work = True
        self.wanted: threading.Event | None = None  # set by the thread when it stops looking

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Waits as the loop asks."""
        self.at_work = False
        ready = super().select(timeout)
        self.turn += 1
        self.at_work = True
        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            wanted.set()
        return ready


class Guard:
    """Looks after one loop."""

    def __init__(self, class_name: str) -> None:
        """For an actor of this class."""
        self.class_name = class_name
        self.selector = Selector()
        self.method = "its constructor"  # the plain method that began last
        self.limit = seconds_allowed()
        self.told: set[str] = set()
        self.stopped = False
        self.again = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        """The loop is about to run in the thread of this number."""
        self.loop, self.thread = loop, thread
        if self.limit > 0:
            threading.Thread(target=self.run, name="sundog-loop-guard", daemon=True).start()

    def stop(self) -> None:
        """The loop runs no more."""
        self.stopped = True
        self.again.set()

    def run(self) -> None:
        """The thread."""
        while not self.stopped:
            if not self.selector.at_work:
                self.again.clear()
                self.selector.wanted = self.again
                if not self.selector.at_work:  # else it may have woken before it could see us
                    self.again.wait()
                self.selector.wanted = None
                continue
            turn, since = self.selector.turn, time.monotonic()
            time.sleep(self.limit)
            if self.stopped or self.selector.turn != turn or not self.selector.at_work:
                continue
            self.tell(turn, since)

    def tell(self, turn: int, since: float) -> None:
        """One sentence for each method that blocks, at most."""
        task = asyncio.current_task(self.loop)
        method = task.get_name() if task is not None else self.method
        frame = sys._current_frames().get(self.thread)
        place, line = user_line(frame)
        if self.selector.turn != turn or method in self.told:
            return
        self.told.add(method)
        seconds = time.monotonic() - since
        text = (
            f"the event loop of {self.class_name} (pid {os.getpid()}) has been blocked for "
            f"{seconds:.1f} s by {method}()"
        )
        if place:
            text += f" at {place}: {line}" if line else f" at {place}"
        advice = next((told for word, told in ADVICE.items() if word in line), "")
        text += ". Its other calls wait meanwhile" + (f"; {advice}." if advice else ".")
        print(text, file=sys.stderr, flush=True)


def seconds_allowed() -> float:
    """How long one piece of work may take before it is told; 0: it is never told."""
    given = os.environ.get("SUNDOG_BLOCKED_LOOP_SECONDS", "")
    try:
        return max(0.0, float(given)) if given else SECONDS_DEFAULT
    except ValueError:
        return SECONDS_DEFAULT


def user_line(frame: FrameType | None) -> tuple[str, str]:
    """(``app.py:12``, the line) of the innermost frame that is the user's."""
    import linecache

    while frame is not None and frame.f_code.co_filename.startswith(OWN_FOLDER):
        frame = frame.f_back
    if frame is None:
        return "", ""
    file, number = frame.f_code.co_filename, frame.f_lineno
    return f"{os.path.basename(file)}:{number}", linecache.getline(file, number).strip()
