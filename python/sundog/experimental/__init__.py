"""Names under which older programs look for what Sundog has."""

from sundog.experimental import ui

__all__ = ["tqdm_ray", "ui"]


def __getattr__(name: str) -> object:
    """Imports a part when it is asked for."""
    if name == "tqdm_ray":
        import importlib

        return importlib.import_module("sundog.experimental.tqdm_ray")
    raise AttributeError(f"module 'sundog.experimental' has no attribute {name!r}")
