"""``ray.util.scheduling_strategies``."""

from ray import _absent
from sundog.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
    _LabelMatchExpression,
)

__getattr__ = _absent.attribute_of("ray.util.scheduling_strategies")

__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
    "_LabelMatchExpression",
]
