"""``ray.util.actor_pool``."""

from sundog.util.actor_pool import ActorPool

__all__ = ["ActorPool"]
