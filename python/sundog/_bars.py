"""Draws the progress bars of the program and its workers: lines at the end of stderr, or a display
in a notebook.

Bars of workers arrive as marked lines among what they print, on the printer's thread; those of the
program on its own threads. One lock guards all; nothing here asks the daemon.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from sundog import _interactive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = "\x1esundog-bar "
WIDTH = 20  # of the bar itself, in columns
COLUMNS = 100
SHOWN_MAX = 20
LINE_SECONDS = 5.0  # between two lines of a bar where lines cannot be taken back
EIGHTHS = " ▏▎▍▌▋▊▉"

_lock = threading.RLock()
_bars: dict[tuple[int, int], Bar] = {}
_drawn = 0  # lines at the end of the terminal that are ours
_notebook: Any = None


class Bar:
    """What is known of one bar."""

    def __init__(self, pid: int, state: dict[str, Any]) -> None:
        """``state``: as tqdm tells it."""
        self.pid = pid
        self.state = state
        self.printed = 0.0

    def text(self) -> str:
        """``squares ▕██████    ▏ 12 of 40 it, 8.1 a second, 3 s left (pid 77)``."""
        n, total, seconds = self.state["n"], self.state["total"], self.state["seconds"]
        rate = n / seconds if seconds > 0 else 0.0
        unit = self.state["unit"]
        text = f"{self.state['desc']} " if self.state["desc"] else ""
        if total:
            text += f"▕{drawn(n / total)}▏ {n:,g} of {total:,g} {unit}"
        else:
            text += f"{n:,g} {unit}"
        text += f", {rate:,.3g} a second"
        if self.state["closed"]:
            text += f", {seconds:.1f} s"
        elif total and rate > 0:
            text += f", {max(0.0, (total - n) / rate):.0f} s left"
        return f"{text} (pid {self.pid})"


def drawn(share: float) -> str:
    """A bar of WIDTH columns; a share from 0 to 1."""
    eighths = round(min(1.0, max(0.0, share)) * WIDTH * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(WIDTH)


def message(state: dict[str, Any]) -> str:
    """A bar as a line of a worker's output."""
    return f"{MARK}{json.dumps(state)}\n"


def take(pid: int, text: str) -> str | None:
    """Takes the bars out of a worker's lines; the rest, None if there is none."""
    kept = []
    for line in text.split("\n"):
        before, mark, told = line.partition(MARK)
        if mark:
            try:
                show(pid, json.loads(told))
            except (ValueError, KeyError, TypeError):
                pass  # somebody prints lines that look like ours
        if before or not mark:
            kept.append(before)
    return "\n".join(kept) if kept else None


def show(pid: int, state: dict[str, Any]) -> None:
    """A bar was made, moved or closed."""
    with _lock:
        key = (pid, int(state["bar"]))
        bar = _bars.setdefault(key, Bar(pid, state))
        bar.state = state
        text = bar.text()  # says early that a state is none
        if state["closed"]:
            del _bars[key]
        if in_notebook():
            draw_in_notebook()
        elif _interactive.is_terminal(sys.stderr):
            erase()
            if state["closed"]:
                _interactive.write_stderr(f"{text}\n")
            draw()
        elif state["closed"] or time.monotonic() - bar.printed >= LINE_SECONDS:
            bar.printed = time.monotonic()
            _interactive.write_stderr(f"{text}\n")


def in_notebook() -> bool:
    """Whether bars go to a display."""
    return _interactive.notebook() is not None


def lines() -> list[str]:
    """The bars that are shown, in the order of their positions."""
    bars = sorted(_bars.values(), key=lambda bar: (bar.state["position"], bar.pid))
    hidden = len(bars) - SHOWN_MAX
    texts = [bar.text() for bar in bars[:SHOWN_MAX]]
    return texts + ([f"… and {hidden} more bars"] if hidden > 0 else [])


def draw_in_notebook() -> None:
    """In place of what was shown; after the last bar the display stays."""
    global _notebook
    from sundog import _progress

    if _notebook is None:
        _notebook = _progress.Notebook()
    _notebook.show("\n".join(lines()))
    if not _bars:
        _notebook = None


def draw() -> None:
    """At the end of the terminal; the lock is held."""
    global _drawn
    import shutil

    columns = shutil.get_terminal_size((COLUMNS, 24)).columns
    texts = [text[: max(1, columns - 1)] for text in lines()]
    _interactive.write_stderr("".join(f"{text}\n" for text in texts))
    _drawn = len(texts)


def erase() -> None:
    """Takes our lines back; the lock is held."""
    global _drawn
    if _drawn:
        _interactive.write_stderr(f"\x1b[{_drawn}A\x1b[J")
    _drawn = 0


def end() -> None:
    """The session is over: what its workers showed stays as it is."""
    global _drawn
    with _lock:
        _bars.clear()
        _drawn = 0


def forget() -> None:
    """In a forked child: whoever held the lock is not here."""
    global _lock
    _lock = threading.RLock()
    end()


class Aside:
    """While something else is printed: bars are out of its way, and come back."""

    def __enter__(self) -> None:
        """Takes them away."""
        _lock.acquire()
        erase()

    def __exit__(self, *error: object) -> None:
        """Shows them again."""
        if _bars and _interactive.is_terminal(sys.stderr) and not in_notebook():
            draw()
        _lock.release()
