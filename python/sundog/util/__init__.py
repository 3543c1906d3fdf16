"""What programs often need around tasks and actors: pools, queues, executors, results as they come,
the weights of networks, metrics. A part is imported when it is asked for."""

# At once, so that the name is the function, which hides the module, as in Ray.
from sundog.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sundog._actor_names import list_named_actors as list_named_actors
    from sundog.experimental.tqdm_ray import tqdm as tqdm
    from sundog.util._executor import Executor as Executor
    from sundog.util._once import disable_log_once_globally as disable_log_once_globally
    from sundog.util._once import enable_periodic_logging as enable_periodic_logging
    from sundog.util._once import get_node_ip_address as get_node_ip_address
    from sundog.util._once import log_once as log_once
    from sundog.util._results import as_completed as as_completed
    from sundog.util._results import map_unordered as map_unordered
    from sundog.util._serializers import deregister_serializer as deregister_serializer
    from sundog.util._serializers import inspect_serializability as inspect_serializability
    from sundog.util._serializers import register_serializer as register_serializer
    from sundog.util._tensorflow import TensorFlowVariables as TensorFlowVariables
    from sundog.util._torch_variables import TorchVariables as TorchVariables
    from sundog.util.actor_pool import ActorPool as ActorPool

# Name -> the module that has it.
_PARTS = {
    "ActorPool": "sundog.util.actor_pool",
    "Executor": "sundog.util._executor",
    "TensorFlowVariables": "sundog.util._tensorflow",
    "TorchVariables": "sundog.util._torch_variables",
    "as_completed": "sundog.util._results",
    "deregister_serializer": "sundog.util._serializers",
    "disable_log_once_globally": "sundog.util._once",
    "enable_periodic_logging": "sundog.util._once",
    "get_node_ip_address": "sundog.util._once",
    "inspect_serializability": "sundog.util._serializers",
    "list_named_actors": "sundog._actor_names",
    "log_once": "sundog.util._once",
    "map_unordered": "sundog.util._results",
    "register_serializer": "sundog.util._serializers",
    "tqdm": "sundog.experimental.tqdm_ray",
}
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


def __getattr__(name: str) -> object:
    """Imports a part when it is asked for."""
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"sundog.util.{name}")
    if name in _PARTS:
        found: object = getattr(importlib.import_module(_PARTS[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'sundog.util' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion offers."""
    return sorted({*_PARTS, *_MODULES, *__all__})


__all__ = [
    "ActorPool",
    "Executor",
    "TensorFlowVariables",
    "TorchVariables",
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
    "tqdm",
]
