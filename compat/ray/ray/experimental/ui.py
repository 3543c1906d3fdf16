"""``ray.experimental.ui`` of 2018: the task timeline."""

from sundog.experimental.ui import task_timeline

__all__ = ["task_timeline"]
