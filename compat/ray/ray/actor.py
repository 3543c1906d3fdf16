"""``ray.actor``: what programs import of actors."""

from ray import _absent

__getattr__ = _absent.attribute_of("ray.actor")
__all__: list[str] = []
