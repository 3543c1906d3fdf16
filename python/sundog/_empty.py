"""``sundog.empty``: arrays that are made where objects lie, so that putting one copies nothing."""

from __future__ import annotations

from sundog import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import DTypeLike

# A put of this size or less travels in a message and is a copy anyway.
SMALL_BYTES = 8 * 1024


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = float) -> np.ndarray[Any, np.dtype[Any]]:
    """A numpy array in shared memory, not initialized, whose later ``put`` is free.

    Args:
        shape: the array's dimensions, or one number of elements.
        dtype: a type of numbers or ``bool`` in the machine's byte order, as numpy takes it.

    The array is written like any other. ``sundog.put(array)`` then makes it an object without a
    copy, once; what the program writes to the array afterwards, through any view of it, is the
    program's own and never seen by others. A second ``put`` copies. An array that is never put
    gives its memory back when it goes.

    Returns:
        An array of this shape and dtype, to be written.

    Raises:
        TypeError: a dtype that is no number.
        ValueError: a shape that is none.
        ObjectStoreFullError: the store has no room and nothing that runs can make any.
    """
    import numpy as np

    kind = np.dtype(dtype)
    given = shape if isinstance(shape, tuple) else (shape,)
    try:
        dimensions = tuple(n.__index__() for n in given)
    except AttributeError:
        raise TypeError(
            f"empty(): shape is a whole number or a tuple of them, got {shape!r}"
        ) from None
    if any(n < 0 for n in dimensions):
        raise ValueError(f"empty(): the numbers of a shape are from 0 on, got {shape!r}")
    sample: np.ndarray[Any, np.dtype[Any]] = np.empty(0, kind)
    count = 1
    for n in dimensions:
        count *= n
    if kind.kind in "biufc" and kind.isnative and count * kind.itemsize <= SMALL_BYTES:
        return np.empty(dimensions, kind)
    room = _core.room_for_array(sample, dimensions)
    if room is None:
        raise TypeError(
            f"empty(): dtype is a type of numbers in this machine's byte order, got {kind!r}"
        )
    return np.ndarray(dimensions, kind, room)
