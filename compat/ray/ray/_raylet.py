"""``ray._raylet``: the names of it that programs for Ray import, under which Ray documents them."""

from ray import _absent
from sundog import (
    ActorID,
    DynamicObjectRefGenerator,
    JobID,
    NodeID,
    ObjectRef,
    ObjectRefGenerator,
    TaskID,
    WorkerID,
)

__getattr__ = _absent.attribute_of("ray._raylet")
__all__ = [
    "ActorID",
    "DynamicObjectRefGenerator",
    "JobID",
    "NodeID",
    "ObjectRef",
    "ObjectRefGenerator",
    "TaskID",
    "WorkerID",
]
