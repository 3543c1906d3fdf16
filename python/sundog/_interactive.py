"""A person at a prompt or in a notebook: who is there, and what is done for them."""

from __future__ import annotations

import sys

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLUSH_SECONDS_MAX = 0.5

_hooked: Any = None  # the shell whose cells we follow


def shell() -> Any:
    """The IPython shell that this program runs in, or None."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def notebook() -> Any:
    """The IPython shell that shows HTML; None in a terminal or a plain interpreter."""
    found = shell()
    return None if type(found).__name__ == "TerminalInteractiveShell" else found


def is_prompt() -> bool:
    """Whether a person types: a plain prompt, IPython or a notebook."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or shell() is not None


def write_stderr(text: str) -> None:
    """To stderr at once; it may be closed."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass


def shows_lines() -> bool:
    """Whether a person sees a line that is taken away again."""
    return is_prompt() and (notebook() is not None or is_terminal(sys.stderr))


def opened() -> None:
    """A session began: follows the shell's cells, and lets long waits say what they wait for."""
    global _hooked
    _core.show_progress(True)
    if not is_prompt():
        return
    found = shell()
    if found is not None and _hooked is not found:
        follow_cells(found)
        _hooked = found


def follow_cells(found: Any) -> None:
    """What tasks print in time comes before a cell's result, and under that cell."""
    found.events.register("post_run_cell", lambda result: show_output())
    trap = found.display_trap
    show_result = trap.hook

    def show_both(result: object) -> None:
        if result is not None:
            show_output()
        show_result(result)

    trap.hook = show_both


def is_terminal(stream: Any) -> bool:
    """Whether a stream is there and leads to a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False  # closed


def show_output() -> None:
    """Returns when everything that tasks printed until now is shown."""
    session = _core.current_session()
    if session is None or session.is_worker or not session.connected:
        return
    from sundog import _explain

    try:
        session.query(_explain.OUTPUT)
    except Exception:  # the session is just ending: there is nothing to wait for
        return
    _core.wait_delivered(FLUSH_SECONDS_MAX)
    _core.wait_shown(FLUSH_SECONDS_MAX)
