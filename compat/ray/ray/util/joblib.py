"""``ray.util.joblib``: ``register_ray()``, then ``joblib.parallel_backend("ray")``."""

from joblib import register_parallel_backend

from sundog._core import public
from sundog.util.joblib import SundogBackend

__all__ = ["register_ray"]


@public
def register_ray() -> None:
    """Makes ``joblib.parallel_backend("ray")`` known."""
    register_parallel_backend("ray", SundogBackend)
