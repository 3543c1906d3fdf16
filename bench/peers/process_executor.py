"""concurrent.futures.ProcessPoolExecutor: `submit` for each call, `result` for each value."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

from bench.peers.function import Function

Future = concurrent.futures.Future[Any]
_pool: concurrent.futures.ProcessPoolExecutor


def init(num_cpus: int) -> None:
    """The processes start with the first call: the library does so."""
    global _pool
    _pool = concurrent.futures.ProcessPoolExecutor(num_cpus)


def remote(function: Callable[..., Any]) -> Function:
    """A function whose calls go to the pool."""
    return Function(function, lambda *call: _pool.submit(*call))


def get(futures: Future | list[Future]) -> Any:
    """The result of one, or of all in their order."""
    if isinstance(futures, list):
        return [future.result() for future in futures]
    return futures.result()


def wait(futures: list[Future]) -> tuple[list[Future], list[Future]]:
    """One that is done, and the others."""
    done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
    first = next(future for future in futures if future in done)
    return [first], [future for future in futures if future is not first]
