"""``ray.job_config``: Sundog's."""

from sundog.job_config import JobConfig

__all__ = ["JobConfig"]
