"""``ray.util.state.exception``: what the functions of ``ray.util.state`` raise."""

from sundog.util.state import StateError as RayStateApiException

__all__ = ["RayStateApiException"]
