"""``ray.experimental.state.common``: the classes of what is listed, under their old name."""

from ray import _absent
from ray.util.state.common import *  # noqa: F403

__getattr__ = _absent.attribute_of("ray.util.state")
