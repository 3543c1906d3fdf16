"""The import name `ray` for Sundog: re-exports, and the names of 2018.

>>> import ray
>>> @ray.remote
... def square(x):
...     return x * x
>>> ray.get([square.remote(i) for i in range(4)])
[0, 1, 4, 9]
"""

import os as _os

import sundog as _sundog

_here = _os.path.dirname(_os.path.abspath(__file__)) + _os.sep
if _here not in _sundog._folders:  # whose frames no traceback shows
    _sundog._folders += (_here,)

from ray import _real  # noqa: E402

_real.refuse()

from ray import (  # noqa: E402
    _absent,
    actor,
    exceptions,
    experimental,
    remote_function,
    runtime_context,
    util,
    worker,
)
from ray._calls import init, wait  # noqa: E402
from sundog import (  # noqa: E402
    ActorID,
    DynamicObjectRefGenerator,
    JobID,
    NodeID,
    ObjectID,
    ObjectRef,
    ObjectRefGenerator,
    PlacementGroupID,
    TaskID,
    WorkerID,
    available_resources,
    cancel,
    cluster_resources,
    cpp_function,
    get,
    get_actor,
    get_gpu_ids,
    get_runtime_context,
    is_initialized,
    kill,
    method,
    nodes,
    put,
    remote,
    shutdown,
    timeline,
)

_absent.install()
_absent_attribute = _absent.attribute_of("ray")


@_sundog._core.public
def __getattr__(name: str) -> object:
    """Imports what is seldom needed when it is asked for; says why other names are absent."""
    if name == "LoggingConfig":
        return _sundog.LoggingConfig
    if name in ("_raylet", "cloudpickle", "job_config", "runtime_env"):
        import importlib

        return importlib.import_module(f"ray.{name}")
    return _absent_attribute(name)


__version__ = f"2.60.0+sundog{_sundog.__version__}"

SCRIPT_MODE = 0  # what get_runtime_context().worker_mode says in words
WORKER_MODE = 1

__all__ = [
    "SCRIPT_MODE",
    "WORKER_MODE",
    "ActorID",
    "DynamicObjectRefGenerator",
    "JobID",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "TaskID",
    "WorkerID",
    "__version__",
    "actor",
    "available_resources",
    "cancel",
    "cluster_resources",
    "cpp_function",
    "exceptions",
    "experimental",
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
    "remote_function",
    "runtime_context",
    "shutdown",
    "timeline",
    "util",
    "wait",
    "worker",
]
