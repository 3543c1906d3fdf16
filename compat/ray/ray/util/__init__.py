"""``ray.util``: what of it is in this version; the rest says that it is not."""

from ray import _absent

__getattr__ = _absent.attribute_of("ray.util")
__all__: list[str] = []
