"""``ray.util.multiprocessing``."""

from sundog.util.multiprocessing import AsyncResult, Pool, TimeoutError, cpu_count

__all__ = ["AsyncResult", "Pool", "TimeoutError", "cpu_count"]
