"""Methods that every actor has, whatever its class. Called by the worker with the actor's object,
under their own names."""

from __future__ import annotations

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def __ray_ready__(instance: object) -> bool:
    """True: whoever gets it knows that the constructor returned."""
    return True


__sundog_ready__ = __ray_ready__


def __ray_call__(instance: object, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function with the actor's object."""
    return function(instance, *args, **kwargs)


def __ray_terminate__(instance: object) -> NoReturn:
    """Ends the actor after the calls that came before."""
    raise _core.ActorExit
