"""``ray.util.queue``."""

from sundog.util.queue import Empty, Full, Queue

__all__ = ["Empty", "Full", "Queue"]
