"""multiprocessing.Pool: `apply_async` for each call, shared_memory for large arrays.

The pool has no `put`. What its users do with a large array is done here: a block of
multiprocessing.shared_memory, the array copied into it, its name sent along.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections.abc import Callable, Iterable
from multiprocessing import shared_memory
from typing import TYPE_CHECKING, Any

from bench.peers.function import Function

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_pool: Any


def init(num_cpus: int) -> None:
    """Forks the processes."""
    global _pool
    _pool = multiprocessing.Pool(num_cpus)


def remote(function: Callable[..., Any]) -> Function:
    """A function whose calls go to the pool."""
    return Function(function, lambda call, *arguments: _pool.apply_async(call, arguments))


def map(function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    """`Pool.map`, which makes four chunks a process."""
    results: list[Any] = _pool.map(function, items)
    return results


def get(results: Any) -> Any:
    """The result of one call, or of all in their order."""
    if isinstance(results, list):
        return [result.get() for result in results]
    return results.get()


def attach(name: str, shape: tuple[int, ...], dtype: str) -> Array:
    """The array, over the block's memory, which is unmapped with the last view.

    SharedMemory itself cannot do that: it refuses to close while an array looks at it.
    """
    import numpy as np

    file = os.open(f"/dev/shm/{name}", os.O_RDWR)
    try:
        return np.frombuffer(mmap.mmap(file, 0), dtype).reshape(shape)
    finally:
        os.close(file)


class Shared:
    """An array in shared memory; a worker that gets it as an argument finds the array."""

    def __init__(self, array: Array) -> None:
        """Makes the block and copies the array into it."""
        import numpy as np

        self.block = shared_memory.SharedMemory(create=True, size=array.nbytes)
        self.how = (self.block.name, array.shape, array.dtype.str)
        np.ndarray(array.shape, array.dtype, self.block.buf)[...] = array

    def __reduce__(self) -> Any:
        return attach, self.how

    def __del__(self) -> None:
        self.block.close()
        self.block.unlink()


def put(array: Array) -> Shared:
    """A copy of the array in shared memory."""
    return Shared(array)
