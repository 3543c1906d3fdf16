"""The module under demonstration, and sessions of it for one item each.

SUNDOG_DEMO_MODULE=ray runs every item on another module with the same names, to check the demo
itself; SUNDOG_DEMO_SETTLE=SECONDS then gives that module's workers time to start, as the tutorial
does. Sundog needs neither.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

MODULE = os.environ.get("SUNDOG_DEMO_MODULE", "sundog")
SETTLE_SECONDS = float(os.environ.get("SUNDOG_DEMO_SETTLE", "0"))

if TYPE_CHECKING:
    import sundog as sundog
else:
    sundog = importlib.import_module(MODULE)


@contextlib.contextmanager
def session(num_cpus: int, preload: list[str] | None = None) -> Iterator[None]:
    """One session with `num_cpus` CPUs, ended with its processes when the block ends.

    `preload` names modules that workers should find imported already.
    """
    options: dict[str, Any] = {"num_cpus": num_cpus, "log_to_driver": True}
    if MODULE == "sundog":
        options["preload"] = preload
    else:
        options["logging_level"] = "error"
    sundog.init(**{name: value for name, value in options.items() if value is not None})
    try:
        if SETTLE_SECONDS:
            time.sleep(SETTLE_SECONDS)
        yield
    finally:
        sundog.shutdown()
