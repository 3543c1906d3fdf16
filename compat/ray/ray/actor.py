"""``ray.actor``: what programs import of actors."""

from ray import _absent
from sundog.actor import ActorClass, ActorHandle, ActorMethod, exit_actor, method

__getattr__ = _absent.attribute_of("ray.actor")
__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "exit_actor", "method"]
