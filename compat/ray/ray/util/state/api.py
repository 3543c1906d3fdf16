"""``ray.util.state.api``: the functions of ``ray.util.state``."""

from ray import _absent
from ray.util.state import *  # noqa: F403

__getattr__ = _absent.attribute_of("ray.util.state")
