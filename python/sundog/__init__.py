"""Sundog: any function becomes a task, its results are immutable objects in shared memory.

>>> import sundog
>>> @sundog.remote
... def square(x):
...     return x * x
>>> sundog.get([square.remote(i) for i in range(4)])
[0, 1, 4, 9]
"""

import os as _os
import sys as _sys

from sundog import exceptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sundog import _map
    from sundog._logging_config import LoggingConfig as LoggingConfig

    map = _map.map_items

if TYPE_CHECKING or "sundog._zygote" not in _sys.modules:  # see __getattr__
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

    ObjectID = ObjectRef

__version__ = "0.1.0"

# Frames of files in here are ours: errors that we raise on purpose do not show them. The package
# `ray` of compat/ray adds its own folder.
_folders: tuple[str, ...] = (_os.path.dirname(_os.path.abspath(__file__)) + _os.sep,)

_ELSEWHERE = {
    "_actor_names": ("get_actor", "kill"),
    "_actor_options": ("method",),
    "_cancel": ("cancel",),
    "_core": ("ObjectRef", "get", "put", "wait"),
    "_empty": ("empty",),
    "_function": ("RemoteFunction", "cpp_actor_class", "cpp_function", "remote"),
    "_generator": ("DynamicObjectRefGenerator", "ObjectRefGenerator"),
    "_ids": ("ActorID", "JobID", "NodeID", "PlacementGroupID", "TaskID", "WorkerID"),
    "_logging_config": ("LoggingConfig",),
    "_session": ("init", "is_initialized", "shutdown"),
    "_state": (
        "available_resources",
        "cluster_resources",
        "explain",
        "get_gpu_ids",
        "get_runtime_context",
        "nodes",
        "task_timeline",
        "timeline",
    ),
}


def __getattr__(name: str) -> object:
    """Imports a part of the package when it is asked for: of a program the few that it may never
    ask for, of the zygote and of the first workers all, for results wait while they import."""
    import importlib

    if name == "map":  # not in __all__: `from sundog import *` keeps the builtin
        return importlib.import_module("sundog._map").map_items
    if name == "ObjectID":
        name = "ObjectRef"
    for part, names in _ELSEWHERE.items():
        if name in names:
            found: object = getattr(importlib.import_module(f"sundog.{part}"), name)
            globals()[name] = found
            return found
    if name in ("actor", "experimental", "job_config", "runtime_env", "util"):
        return importlib.import_module(f"sundog.{name}")
    raise AttributeError(f"module 'sundog' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is here and what is imported when it is asked for."""
    return sorted({*globals(), *__all__})


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
