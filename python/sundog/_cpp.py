"""Classes of C++ workers as actor classes, and arrays that C++ sent inside of other values."""

from __future__ import annotations

from sundog import _actor, _actor_class, _function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# The numbers of the protocol's dtypes; numpy has no bfloat16 of its own.
DTYPES = {
    1: "bool",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "uint8",
    7: "uint16",
    8: "uint32",
    9: "uint64",
    10: "float16",
    11: "uint16",
    12: "float32",
    13: "float64",
    14: "complex64",
    15: "complex128",
}
# The description of a class of which only the name is known; the C++ part writes the same.
ANY_METHODS: tuple[_actor_class.Method, ...] = ((_actor_class.ANY_METHOD, None, "", "", {}),)


def array(buffer: Any, dtype: int, shape: tuple[int, ...]) -> Any:
    """An array that C++ sent inside of another value; it views the buffer."""
    import numpy as np

    return np.frombuffer(buffer, DTYPES[dtype]).reshape(shape)


def actor_class(name: str, options: Mapping[str, object]) -> _actor.ActorClass[Any]:
    """The C++ class of this name with these options."""
    import pickle

    stand_in = type(name, (), {"__module__": "sundog", "__doc__": None})
    code = _function.FunctionCode(stand_in, cpp_name=name)
    code.description = _actor_class.known_as(pickle.dumps((name, "", ANY_METHODS, ())))
    return _actor.ActorClass(code, options)
