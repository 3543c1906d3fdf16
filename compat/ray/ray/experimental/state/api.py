"""``ray.experimental.state.api``: the functions of ``ray.util.state``, under their old name."""

from ray import _absent
from ray.util.state.api import *  # noqa: F403

__getattr__ = _absent.attribute_of("ray.util.state")
