"""``ray.worker`` of 2018: the calls, which live in ``ray`` itself today."""

from ray._calls import init, wait
from sundog import get, put, remote, shutdown

__all__ = ["get", "init", "put", "remote", "shutdown", "wait"]
