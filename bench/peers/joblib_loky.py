"""joblib with its loky processes: one `Parallel` that is kept, `delayed` for each call.

joblib starts calls when it is given all of them, so a call here is a description until `get`, and
`get` is `Parallel()(calls)`, which batches small calls by itself. Large arrays: `dump` into shared
memory, `load` as a memory map, as joblib does with large arguments.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import joblib

_parallel: Any
_folder: tempfile.TemporaryDirectory[str] | None = None
_numbers = itertools.count()


def init(num_cpus: int) -> None:
    """The processes start with the first call: the library does so."""
    global _parallel
    _parallel = joblib.Parallel(n_jobs=num_cpus).__enter__()


class Kept:
    """A value in a file in shared memory."""

    def __init__(self, value: Any) -> None:
        """Writes it."""
        global _folder
        if _folder is None:
            _folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.path = os.path.join(_folder.name, f"{next(_numbers)}.joblib")
        joblib.dump(value, self.path)

    def load(self) -> Any:
        """The value; its arrays are maps of the file."""
        return joblib.load(self.path, mmap_mode="r")

    def __del__(self) -> None:
        os.unlink(self.path)


class Function:
    """What `remote` makes of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Keeps joblib's form of it."""
        self.delayed = joblib.delayed(function)

    def remote(self, *arguments: Any) -> Any:
        """One call, for `get` to run."""
        return self.delayed(*[a.load() if isinstance(a, Kept) else a for a in arguments])


def remote(function: Callable[..., Any]) -> Function:
    """A function whose calls run in joblib's processes."""
    return Function(function)


def map(function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    """`Parallel()` of a call for each item, which it batches by itself."""
    results: list[Any] = _parallel(joblib.delayed(function)(item) for item in items)
    return results


def get(what: Any) -> Any:
    """Runs a call or a list of them; or loads what was put."""
    if isinstance(what, Kept):
        return what.load()
    if isinstance(what, list):
        return _parallel(what)
    return _parallel([what])[0]


def put(value: Any) -> Kept:
    """Writes a value into shared memory."""
    return Kept(value)
