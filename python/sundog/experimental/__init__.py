"""Names under which older programs look for what Sundog has."""

from sundog.experimental import ui

__all__ = ["ui"]
