"""``ray.experimental.state.exception``: what the functions raise, under their old name."""

from ray import _absent
from ray.util.state.exception import *  # noqa: F403

__getattr__ = _absent.attribute_of("ray.util.state")
