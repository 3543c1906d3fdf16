"""``ray.experimental``: the names of 2018."""

from ray import _absent

__getattr__ = _absent.attribute_of("ray.experimental")
__all__: list[str] = []
