"""The life of a Python worker, from the fork to its end."""

from __future__ import annotations

import sys

from sundog import _cancel, _cold_loading, _core

# Not used here, but by the first task: they are imported before the fork.
from sundog import _pickling, _threads  # noqa: F401  # isort: skip

# What tasks may need next; workers that are forked later have it.
NEXT = ("sundog._errors", "sundog._function", "sundog._actor", "sundog._cloudpickle")

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    import _signal as signal  # which does not import enum


def prepare() -> None:
    """In the zygote, before it forks: what every worker begins with costs each one nothing."""
    # Ctrl-C is the driver's: a terminal sends it to all, and the session has to survive it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(_core.INTERRUPT_SIGNAL, _cancel.on_interrupt)
    sys.breakpointhook = breakpoint_hook
    _cold_loading.prepare()


def main(control_fd: int, job: int, runtime_env: int, token: int) -> None:
    """Runs tasks of one job until the daemon says stop.

    Args:
        control_fd: the connected control socket.
        job: the job's number.
        runtime_env: hash of the runtime environment; 0 is the job's own.
        token: what the daemon knows this start by.
    """
    _core.run_worker(control_fd, job, runtime_env, token)


def breakpoint_hook(*args: Any, **kwargs: Any) -> Any:
    """A worker has no terminal: whoever wants to debug attaches."""
    from sundog import _debugger

    return _debugger.hook(sys._getframe(1), *args, **kwargs)
