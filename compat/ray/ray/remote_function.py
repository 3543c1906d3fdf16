"""``ray.remote_function``: what ``@ray.remote`` makes of a function."""

from sundog import RemoteFunction

__all__ = ["RemoteFunction"]
