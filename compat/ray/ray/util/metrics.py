"""``ray.util.metrics``."""

from sundog.util.metrics import Counter, Gauge, Histogram

__all__ = ["Counter", "Gauge", "Histogram"]
