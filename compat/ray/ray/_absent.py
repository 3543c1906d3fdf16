"""What the package `ray` does not have, and why: asked by attribute access and by imports.

A name that is neither here nor in a module is unknown to us, and Python says so by itself.
"""

from __future__ import annotations

import sys

from sundog._core import public
from sundog.exceptions import SundogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

LIBRARIES = (
    "air",
    "dag",
    "data",
    "llm",
    "rllib",
    "serve",
    "train",
    "tune",
    "workflow",
)
LATER = "is not in this version"
RAYLET = "is internal to Ray: of ray._raylet only ids, references and generators are here"
JAVA = "is for Java, and Sundog runs Python and C++"
INTERNAL = "is internal to Ray, and nothing here corresponds to it"
CLUSTER = "is for several machines, and Sundog runs on one in this version"
CLIENT = "is Ray's remote client, and Sundog has one client protocol: ray.init()"
GRAPHS = "belongs to Ray's compiled graphs, which Sundog does not have"
# Full name -> the end of a sentence that begins with the name.
ABSENT = {
    "ray.ActorClassID": INTERNAL,
    "ray.ClientBuilder": CLIENT,
    "ray.FunctionID": INTERNAL,
    "ray.Language": JAVA,
    "ray.UniqueID": INTERNAL,
    "ray._config": INTERNAL,
    "ray._private": INTERNAL,
    "ray.autoscaler": CLUSTER,
    "ray.client": CLIENT,
    "ray.client_builder": CLIENT,
    "ray.cluster_utils": CLUSTER,
    "ray.internal": INTERNAL,
    "ray.java_actor_class": JAVA,
    "ray.java_function": JAVA,
    "ray.job_submission": CLUSTER,
    "ray.widgets": INTERNAL,
    "ray.exceptions.CrossLanguageError": JAVA,
    "ray.exceptions.RayCgraphCapacityExceeded": GRAPHS,
    "ray.exceptions.RayChannelError": GRAPHS,
    "ray.exceptions.RayChannelTimeoutError": GRAPHS,
    "ray.exceptions.RayDirectTransportError": GRAPHS,
    "ray.experimental.get_object_locations": CLUSTER,
    "ray.util.collective": "is a library of its own, and Sundog provides Ray Core",
    "ray.util.connect": CLIENT,
    "ray.util.dask": LATER,
    "ray.util.disconnect": CLIENT,
    "ray.util.get_node_instance_id": CLUSTER,
    "ray.util.iter": "was removed from Ray too",
    "ray.util.pdb": INTERNAL,
    "ray.util.ray_debugpy": INTERNAL,
    "ray.util.state.StateApiClient": "is Ray's HTTP client: call list_tasks() and the others",
    "ray.util.state.list_cluster_events": CLUSTER,
}


class AbsentNameError(SundogError, AttributeError):
    """Shown as the AttributeError that it is."""


class AbsentModuleError(SundogError, ModuleNotFoundError):
    """Shown as the ModuleNotFoundError that it is."""


for _error, _shown in (
    (AbsentNameError, "AttributeError"),
    (AbsentModuleError, "ModuleNotFoundError"),
):
    _error.__module__, _error.__qualname__ = "builtins", _shown


def sentence(name: str) -> str | None:
    """Why there is no such name; None if we do not know it."""
    first = name.split(".")[1]
    if first in LIBRARIES:
        return f"Sundog provides Ray Core; ray.{first} is not part of it."
    parts = name.split(".")
    for end in range(2, len(parts) + 1):
        found = ".".join(parts[:end])
        if found in ABSENT:
            return f"{found} {ABSENT[found]}."
    return f"{name} {RAYLET}." if name.startswith("ray._raylet.") else None


def attribute_of(module: str) -> Callable[[str], NoReturn]:
    """A module's ``__getattr__``: says why a name is absent."""

    def missing(name: str) -> NoReturn:
        why = sentence(f"{module}.{name}")
        raise AbsentNameError(why or f"module '{module}' has no attribute '{name}'")

    function: Callable[[str], NoReturn] = public(missing)
    return function


class AbsentModules:
    """The last finder of all: says why a module of `ray` is absent."""

    @staticmethod
    @public
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Raises ModuleNotFoundError for what is absent; knows nothing of anything else."""
        if name.startswith("ray."):
            why = sentence(name)
            if why is not None:
                raise AbsentModuleError(why)


def install() -> None:
    """Once a process: behind all other finders."""
    if AbsentModules not in sys.meta_path:
        sys.meta_path.append(AbsentModules)
