"""``ray.experimental``: the names of 2018."""

from ray import _absent
from ray.experimental import ui
from sundog.util import TensorFlowVariables

__getattr__ = _absent.attribute_of("ray.experimental")
__all__ = ["TensorFlowVariables", "ui"]
