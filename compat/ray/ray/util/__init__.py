"""``ray.util``: what of it is in this version; the rest says that it is not."""

from ray import _absent

# At once, so that the name is the function, which hides the module.
from ray.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from sundog._core import public
from sundog.util import (
    ActorPool,
    as_completed,
    deregister_serializer,
    disable_log_once_globally,
    enable_periodic_logging,
    get_node_ip_address,
    inspect_serializability,
    list_named_actors,
    log_once,
    map_unordered,
    register_serializer,
)

_MODULES = (
    "accelerators",
    "actor_pool",
    "joblib",
    "metrics",
    "multiprocessing",
    "queue",
    "scheduling_strategies",
    "state",
)
_absent_name = _absent.attribute_of("ray.util")


@public
def __getattr__(name: str) -> object:
    """A module of ``ray.util``, imported when it is asked for; else why there is none."""
    if name not in _MODULES:
        _absent_name(name)
    import importlib

    return importlib.import_module(f"ray.util.{name}")


__all__ = [
    "ActorPool",
    "as_completed",
    "deregister_serializer",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]
