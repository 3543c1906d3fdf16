"""``ray.experimental``: the names of 2018."""

from ray import _absent
from ray.experimental import tqdm_ray, ui
from sundog.util import TensorFlowVariables

__getattr__ = _absent.attribute_of("ray.experimental")
__all__ = ["TensorFlowVariables", "tqdm_ray", "ui"]
