"""``ray.util``: what of it is in this version; the rest says that it is not."""

from ray import _absent
from sundog._actor_names import list_named_actors

__getattr__ = _absent.attribute_of("ray.util")
__all__ = ["list_named_actors"]
