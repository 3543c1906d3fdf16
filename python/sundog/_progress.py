"""The line that a long ``get`` or ``wait`` shows at a prompt or in a notebook, and takes away; and
the warning of a program that waits for what actors or placement groups hold.

The waiting thread begins and ends it (C calls ``begin`` two seconds into a wait); a thread of ours,
which lives as long as the line, asks the daemon what is missing.
"""

from __future__ import annotations

import threading
import time

from sundog import _core, _errors, _explain, _interactive, _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

REFRESH_SECONDS = 0.5
JOIN_SECONDS_MAX = 1.0
COUNTED_MAX = 20_000  # more references are not counted twice a second
COLUMNS = 100
WARN_SECONDS = 10.0  # and again and again
GOES_ON_SECONDS = 5.0  # a wait for the same this soon after another one is its continuation
HELD = " held by "  # core/held_resources.h: of what does not come back by itself, as from tasks

_line: Line | None = None
_writing = threading.Lock()
_warned_in = 0  # the number of the session that was warned
_before: tuple[object, float, float] = None, 0.0, 0.0  # the last wait: for what, since when, until


class Terminal:
    """One line at the end of stderr, rewritten in place."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self.shown = False

    def show(self, text: str) -> None:
        """Puts the text in place of what is there."""
        import shutil

        columns = shutil.get_terminal_size((COLUMNS, 24)).columns
        _interactive.write_stderr("\r\x1b[K" + text[: max(1, columns - 1)])
        self.shown = True

    def erase(self) -> None:
        """Takes the line away."""
        if self.shown:
            _interactive.write_stderr("\r\x1b[K")
        self.shown = False


class Notebook:
    """A display of its own under the cell, updated in place."""

    def __init__(self) -> None:
        """Shows nothing yet."""
        self.handle: Any = None

    def show(self, text: str) -> None:
        """Puts the text in place of what is there."""
        import importlib

        display: Any = importlib.import_module("IPython.display")
        data = {"text/plain": text}
        if self.handle is None:
            self.handle = display.display(data, raw=True, display_id=True)
        elif self.handle is not None:
            self.handle.update(data, raw=True)

    def erase(self) -> None:
        """Leaves an empty display."""
        if self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)
        self.handle = None


class Line:
    """The line of one wait."""

    def __init__(self, refs: Sequence[_core.ObjectRef[Any]], waited_seconds: float) -> None:
        """Starts its thread."""
        self.refs = self.taken(refs)
        self.since = time.monotonic() - waited_seconds
        self.ended = threading.Event()
        self.place = Notebook() if _interactive.notebook() is not None else Terminal()
        self.thread = threading.Thread(target=self.run, name="sundog-progress", daemon=True)
        self.thread.start()

    def taken(self, refs: Sequence[_core.ObjectRef[Any]]) -> Sequence[_core.ObjectRef[Any]]:
        """What is waited for, each once."""
        return list(dict.fromkeys(refs))

    def run(self) -> None:
        """The thread."""
        while not self.ended.is_set():
            text = self.text()
            with _writing:
                if text and not self.ended.is_set():
                    self.place.show(text)
            self.ended.wait(REFRESH_SECONDS)

    def text(self) -> str:
        """``sundog: 12 s for 8 objects, 5 are here; next slow (task 3f2a…): it runs …``."""
        seconds = time.monotonic() - self.since
        told, missing, count = None, self.refs[0], len(self.refs)
        here = ""
        try:
            if 1 < count <= self.counted_max():
                refs = list(dict.fromkeys(self.refs))
                ready, rest = _core.wait(refs, num_returns=len(refs), timeout=0)
                if not rest:
                    return ""
                missing, here = rest[0], f", {len(ready):,} are here"
            told = _explain.ask(missing)
        except Exception:
            return ""  # the session is ending: the waiting call says so
        if told is None or told.get("ready"):
            return ""
        what = f"object {missing.hex()}"
        if "name" in told:
            what = f"{told['name']} (task {_errors.short_id(str(told['task']))})"
        of = "" if count == 1 else f"{count:,} objects{here}; next is "
        return f"sundog: waiting {seconds:.0f} s for {of}{what}: {_explain.why_not(told)}"

    def counted_max(self) -> int:
        """Of more references it is not told how many are here."""
        return COUNTED_MAX

    def end(self) -> None:
        """Takes the line away."""
        self.ended.set()
        self.thread.join(JOIN_SECONDS_MAX)
        with _writing:
            self.place.erase()


class Warner(Line):
    """Shows nothing; warns once a session, as nobody may ever give back what is waited for."""

    def __init__(self, refs: Sequence[_core.ObjectRef[Any]], waited_seconds: float) -> None:
        """Starts its thread; programs wait in turns, too, with a timeout."""
        session = _core.current_session()
        self.key = session and session.number, refs[0].binary()
        key, since, until = _before
        now = time.monotonic()
        begun = now - waited_seconds
        if key == self.key and begun - until < GOES_ON_SECONDS:
            waited_seconds = now - since
        super().__init__(refs, waited_seconds)

    def taken(self, refs: Sequence[_core.ObjectRef[Any]]) -> Sequence[_core.ObjectRef[Any]]:
        """The caller's own: most waits end before anybody looks, and many may be waited for."""
        return refs

    def counted_max(self) -> int:
        """It looks seldom."""
        return len(self.refs)

    def run(self) -> None:
        """The thread."""
        global _warned_in
        session = _core.current_session()
        if session is None:
            return
        looks = max(WARN_SECONDS, time.monotonic() - self.since)
        while not self.ended.wait(max(0.0, self.since + looks - time.monotonic())):
            text = self.text()
            if HELD in text and not self.ended.is_set():
                _warned_in = session.number
                _log.warning(text.removeprefix("sundog: "))
                return
            looks += WARN_SECONDS

    def end(self) -> None:
        """The thread ends when it comes to it: nothing is shown that would be taken away."""
        global _before
        _before = self.key, self.since, time.monotonic()
        self.ended.set()


def begin(refs: _core.ObjectRef[Any] | Sequence[_core.ObjectRef[Any]], seconds: float) -> bool:
    """A wait of the main thread is long; whether a line was begun, which ``end`` ends."""
    global _line
    if _line is not None or threading.current_thread() is not threading.main_thread():
        return False
    waited = [refs] if isinstance(refs, _core.ObjectRef) else refs
    if _interactive.shows_lines():
        _line = Line(waited, seconds)
    elif not is_warned():
        _line = Warner(waited, seconds)
    else:
        return False
    return True


def is_warned() -> bool:
    """Whether this session's program was warned."""
    session = _core.current_session()
    return session is not None and session.number == _warned_in


def end() -> None:
    """The wait is over."""
    global _line
    line, _line = _line, None
    if line is not None:
        line.end()


class Aside:
    """While something else is printed: the line is out of its way, and comes back by itself."""

    def __enter__(self) -> None:
        """Takes the line away."""
        _writing.acquire()
        if _line is not None and isinstance(_line.place, Terminal):
            _line.place.erase()

    def __exit__(self, *error: object) -> None:
        """Lets it come back."""
        _writing.release()
