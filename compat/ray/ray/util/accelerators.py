"""``ray.util.accelerators``: names for ``accelerator_type=``."""

from sundog.util.accelerators import *  # noqa: F403
