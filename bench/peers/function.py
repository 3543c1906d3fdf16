"""A function that a pool sends by its name, as pickle does with functions of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Function:
    """What `remote` makes of a function for pools of forked processes.

    The name in the module now means this object, so this is what is pickled by name and found by
    the worker; calling it calls the function.
    """

    def __init__(self, function: Callable[..., Any], submit: Callable[..., Any]) -> None:
        """submit: takes this object and the arguments, and returns the pool's own handle."""
        self.function = function
        self.submit = submit
        self.__module__ = function.__module__

    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def remote(self, *arguments: Any) -> Any:
        """Starts one call."""
        return self.submit(self, *arguments)
