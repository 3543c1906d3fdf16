"""``as_completed`` and ``map_unordered``: results in the order in which they come."""

from __future__ import annotations

import itertools

from sundog import _core, _function
from sundog._core import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

WAIT_OPTIONS = ("fetch_local", "timeout")


def check(chunk_size: object, options: dict[str, Any]) -> int:
    """A number from 1 on, and options of ``wait`` only."""
    for name in options:
        if name not in WAIT_OPTIONS:
            raise TypeError(
                f"unexpected keyword '{name}': of wait's, timeout and fetch_local count"
            )
    if not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(f"chunk_size is a number from 1 on, got {chunk_size!r}")
    return chunk_size


@public
def as_completed(
    refs: Sequence[_core.ObjectRef[Any]],
    *,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """Results in the order in which tasks end.

    Args:
        refs: references, each once.
        chunk_size: how many are waited for at once, at most: more cost less, one comes soonest.
        yield_obj_refs: references, not their values.
        kwargs: ``timeout`` (seconds of one wait, after which the next begins) and ``fetch_local``
            of ``sundog.wait``.

    Raises:
        what a task raised, when its turn comes; that ends the iterator.
    """
    size = check(chunk_size, kwargs)
    return completed(list(refs), size, yield_obj_refs, kwargs)


def completed(
    rest: list[_core.ObjectRef[Any]], size: int, as_refs: bool, options: dict[str, Any]
) -> Iterator[Any]:
    """The iterator of ``as_completed``."""
    while rest:
        # What is here already costs no wait for a whole chunk.
        ready, left = _core.wait(rest, num_returns=min(size, len(rest)), timeout=0)
        if not ready:
            ready, left = _core.wait(rest, **{**options, "num_returns": 1})
        rest = left
        yield from (ready if as_refs else _core.get(ready))


@public
def map_unordered(
    fn: _function.RemoteFunction[Any],
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """Calls a remote function for each item; results in the order in which they come.

    Args:
        fn: a remote function, or a method of an actor, of one argument. Each item is a task of its
            own: ``sundog.map`` chooses chunks by itself.
        items: read as far as ``backpressure_size`` allows.
        backpressure_size: how many calls may be on their way; None: all.
        chunk_size: as for ``as_completed``.
        yield_obj_refs: references, not their values.
        kwargs: as for ``as_completed``.

    Raises:
        what a call raised, when its turn comes; that ends the iterator.
    """
    size = check(chunk_size, kwargs)
    if not hasattr(fn, "remote"):
        raise TypeError(f"map_unordered() takes a remote function, got {type(fn).__name__}")
    if backpressure_size is not None and backpressure_size < 1:
        raise ValueError(f"backpressure_size is from 1 on, or None, got {backpressure_size}")
    return mapped(fn, iter(items), backpressure_size, size, yield_obj_refs, kwargs)


def mapped(
    fn: Any,
    items: Iterator[Any],
    limit: int | None,
    size: int,
    as_refs: bool,
    options: dict[str, Any],
) -> Iterator[Any]:
    """The iterator of ``map_unordered``."""
    running = [fn.remote(item) for item in itertools.islice(items, limit)]
    while running:
        ready, running = _core.wait(running, num_returns=min(size, len(running)), timeout=0)
        if not ready:
            ready, running = _core.wait(running, **{**options, "num_returns": 1})
        running += [fn.remote(item) for item in itertools.islice(items, len(ready))]
        yield from (ready if as_refs else _core.get(ready))
