"""``ray.experimental``: the names of 2018."""

from ray import _absent
from ray.experimental import ui

__getattr__ = _absent.attribute_of("ray.experimental")
__all__ = ["ui"]
