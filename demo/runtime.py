"""The module under demonstration, and sessions of it for one item each.

The items' functions travel by value, as those of a script or notebook do: the demo is a package
only to be readable. The tutorial sleeps one or two seconds before it starts its clock, because
workers may still be starting; where an item does so too, half a second does (`settle`).

SUNDOG_DEMO_MODULE=ray runs every item on another module with the same names, to check the demo
itself; SUNDOG_DEMO_SETTLE=SECONDS then gives that module's workers time to start.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cloudpickle

MODULE = os.environ.get("SUNDOG_DEMO_MODULE", "sundog")
SETTLE_SECONDS = float(os.environ.get("SUNDOG_DEMO_SETTLE", "0"))

if TYPE_CHECKING:
    import sundog as sundog
else:
    sundog = importlib.import_module(MODULE)


@contextlib.contextmanager
def session(
    num_cpus: int,
    preload: list[str] | None = None,
    settle: float = 0.0,
    num_gpus: int | None = None,
    resources: dict[str, float] | None = None,
) -> Iterator[None]:
    """One session with `num_cpus` CPUs, ended with its processes when the block ends.

    `preload` names modules that workers should find imported already; `settle` is a pause in
    seconds before the block begins; `num_gpus` and `resources` are as for init().
    """
    for name in [n for n in sys.modules if n.startswith("demo.")]:
        cloudpickle.register_pickle_by_value(sys.modules[name])
    options: dict[str, Any] = {"num_cpus": num_cpus, "log_to_driver": True}
    options |= {"num_gpus": num_gpus, "resources": resources}
    if MODULE == "sundog":
        options["preload"] = preload
    else:
        options["logging_level"] = "error"
    sundog.init(**{name: value for name, value in options.items() if value is not None})
    try:
        time.sleep(max(settle, SETTLE_SECONDS))
        yield
    finally:
        sundog.shutdown()
