"""Prints what workers print, and the daemon's notices, at the driver: on one thread of its own, so
that a slow terminal holds up nobody else."""

from __future__ import annotations

import sys

from sundog import _core, _log

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import TextIO

JOIN_SECONDS_MAX = 2.0
BAR = "\x1esundog-bar "  # a line of a progress bar, see _bars
SEVERITIES = (_log.INFO, _log.WARNING, _log.ERROR)

_printer: threading.Thread | None = None


def start(print_output: bool) -> None:
    """Starts the printer; without ``print_output`` only notices are shown."""
    global _printer
    import threading

    _core.begin_output()
    _printer = threading.Thread(target=run, args=(print_output,), name="sundog-output", daemon=True)
    _printer.start()


def stop() -> None:
    """Ends the printer after it printed what is there."""
    global _printer
    _core.end_output()
    if _printer is not None:
        _printer.join(JOIN_SECONDS_MAX)
    _printer = None


def forget() -> None:
    """In a forked child: the printer is the parent's."""
    global _printer
    _printer = None
    _core.forget_output()


def run(print_output: bool) -> None:
    """The printer's thread."""
    while True:
        line = _core.next_line()
        if line is None:
            return
        try:
            show(line, print_output)
        except (OSError, ValueError):
            pass  # the program closed the stream: there is nobody to tell


def show(line: tuple[bool, int, bool, str, str, int], print_output: bool) -> None:
    """One message: a notice, or whole lines of one worker."""
    is_notice, number, is_stderr, task_name, text, dropped = line
    if dropped:
        _log.warning(f"{dropped} pieces of output were left out: they came faster than printed")
    if is_notice:
        _log.say(SEVERITIES[min(number, len(SEVERITIES) - 1)], text)
        return
    stream = sys.stderr if is_stderr else sys.stdout
    if not print_output or stream is None:
        return
    if BAR in text:
        from sundog import _bars

        rest = _bars.take(number, text)
        if rest is None:
            return
        text = rest
    # Lines that are rewritten in place are out of the way meanwhile.
    shown = [n for n in ("sundog._progress", "sundog._bars") if n in sys.modules]
    asides = [sys.modules[name].Aside() for name in shown]
    for aside in asides:
        aside.__enter__()
    try:
        write(stream, task_name, number, text)
    finally:
        for aside in reversed(asides):
            aside.__exit__()


def write(stream: TextIO, task_name: str, number: int, text: str) -> None:
    """Whole lines of one worker, each with its prefix."""
    prefix = f"({task_name or 'worker'} pid={number}) "
    lines = text.split("\n")
    stream.write("".join(f"{prefix}{each}\n" for each in lines))
    stream.flush()
