"""``ray.experimental.tqdm_ray``."""

from sundog.experimental.tqdm_ray import safe_print, tqdm

__all__ = ["safe_print", "tqdm"]
