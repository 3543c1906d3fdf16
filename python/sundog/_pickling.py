"""Pickling where the C++ part's fast paths end: cloudpickle, and functions."""

from __future__ import annotations

import _pickle
import sys

from sundog import _cold_loading, _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable
    from typing import Any

PROTOCOL = 5
# A stream with this name in it refers to the driver's own program, which a worker cannot import.
MAIN = b"__main__"

# Functions that came from the session's store, and their ids: a worker that submits one of them
# need not send it again.
known_functions: dict[object, bytes] = {}


def by_value(value: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    """Pickles functions and classes of ``__main__``, closures and lambdas with their code."""
    from sundog import _cloudpickle

    if "torch" in sys.modules:
        from sundog import _torch

        return _torch.by_value(value, buffers)
    return _cloudpickle.dumps(value, PROTOCOL, buffers.append)


def dumps(value: object) -> bytes:
    """One stream, by reference where another process can look the names up."""
    try:
        pickled = _pickle.dumps(value, PROTOCOL)
    except Exception:
        pickled = MAIN
    if MAIN not in pickled:
        return pickled
    from sundog import _cloudpickle

    return _cloudpickle.dumps(value, PROTOCOL)


def actor_class() -> tuple[type, ...]:
    """The type of actor classes, if this process can have one."""
    module = sys.modules.get("sundog._actor")
    return () if module is None else (module.ActorClass,)


def load_function(pickled: bytes, function_id: bytes) -> Callable[..., Any]:
    """The function of a task, in a worker."""
    function = _cold_loading.loads(pickled)
    if isinstance(function, (_core.Callee, *actor_class())):
        # C++ names a function by its module, where the decorated one is.
        function = function.__dict__["__wrapped__"]
    if not callable(function):
        raise TypeError(f"{function!r} is no function and cannot run as a task")
    try:
        known_functions[function] = function_id
    except TypeError:
        pass  # a callable object that cannot be hashed is sent again if it submits itself
    return function
