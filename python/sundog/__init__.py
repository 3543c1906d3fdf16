"""Sundog: any function becomes a task, its results are immutable objects in shared memory.

>>> import sundog
>>> @sundog.remote
... def square(x):
...     return x * x
>>> sundog.get([square.remote(i) for i in range(4)])
[0, 1, 4, 9]
"""

import os as _os

from sundog import exceptions
from sundog._actor_names import get_actor, kill
from sundog._actor_options import method
from sundog._cancel import cancel
from sundog._core import ObjectRef, get, put, wait
from sundog._empty import empty
from sundog._function import RemoteFunction, cpp_actor_class, cpp_function, remote
from sundog._generator import DynamicObjectRefGenerator, ObjectRefGenerator
from sundog._ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID, WorkerID
from sundog._session import init, is_initialized, shutdown
from sundog._state import (
    available_resources,
    cluster_resources,
    explain,
    get_gpu_ids,
    get_runtime_context,
    nodes,
    task_timeline,
    timeline,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sundog import _map
    from sundog._logging_config import LoggingConfig as LoggingConfig

    map = _map.map_items

__version__ = "0.1.0"

# Frames of files in here are ours: errors that we raise on purpose do not show them. The package
# `ray` of compat/ray adds its own folder.
_folders: tuple[str, ...] = (_os.path.dirname(_os.path.abspath(__file__)) + _os.sep,)

ObjectID = ObjectRef


def __getattr__(name: str) -> object:
    """Imports a part of the package when it is asked for."""
    if name == "map":  # not in __all__: `from sundog import *` keeps the builtin
        from sundog._map import map_items

        return map_items
    if name == "LoggingConfig":
        from sundog._logging_config import LoggingConfig

        return LoggingConfig
    if name in ("actor", "experimental", "job_config", "runtime_env", "util"):
        import importlib

        return importlib.import_module(f"sundog.{name}")
    raise AttributeError(f"module 'sundog' has no attribute {name!r}")


__all__ = [
    "ActorID",
    "DynamicObjectRefGenerator",
    "JobID",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "RemoteFunction",
    "TaskID",
    "WorkerID",
    "__version__",
    "available_resources",
    "cancel",
    "cluster_resources",
    "cpp_actor_class",
    "cpp_function",
    "empty",
    "exceptions",
    "explain",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "task_timeline",
    "timeline",
    "wait",
]
