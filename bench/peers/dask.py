"""Dask distributed on this machine: one worker process a CPU with one thread, no dashboard."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import distributed

# An actor of Dask is an object in a worker that also does other things.
CANNOT = frozenset({"num_returns", "processes of actors", "one copy for all"})
_client: distributed.Client | None = None


def init(num_cpus: int) -> None:
    """Starts scheduler and workers, and returns when the workers are there."""
    global _client
    cluster = distributed.LocalCluster(
        n_workers=num_cpus,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.ERROR,
    )
    _client = distributed.Client(cluster)


def client() -> distributed.Client:
    """The driver's, or in a task that of its worker."""
    return distributed.get_client() if _client is None else _client


@contextlib.contextmanager
def thread_given_back() -> Iterator[None]:
    """A task that waits for tasks leaves its worker's thread to them meanwhile."""
    if _client is not None:
        yield
        return
    distributed.secede()
    yield
    distributed.rejoin()


class Function:
    """What `remote` makes of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """function: submitted anew with each call; Dask keeps its pickle."""
        self.function = function

    def remote(self, *arguments: Any) -> Any:
        """`pure=False`: each call runs, whatever ran before."""
        return client().submit(self.function, *arguments, pure=False)


class Method:
    """A method of an actor."""

    def __init__(self, method: Callable[..., Any]) -> None:
        """method: Dask's own."""
        self.method = method

    def remote(self, *arguments: Any) -> Any:
        """A call; its result is an ActorFuture."""
        return self.method(*arguments)


class Handle:
    """An actor, with `.remote` on its methods."""

    def __init__(self, actor: Any) -> None:
        """actor: Dask's own."""
        self.actor = actor

    def __getattr__(self, name: str) -> Method:
        method = Method(getattr(self.actor, name))
        setattr(self, name, method)
        return method


class Class:
    """What `remote` makes of a class."""

    def __init__(self, cls: type) -> None:
        """cls: made by a worker."""
        self.cls = cls

    def remote(self, *arguments: Any) -> Handle:
        """An actor; returns when it was made."""
        return Handle(client().submit(self.cls, *arguments, actor=True).result())


def remote(thing: Any = None, **options: Any) -> Any:
    """A function or a class; of the options, `num_cpus` alone has no meaning for Dask's actors."""
    if thing is None:
        assert set(options) <= {"num_cpus"}, options
        return remote
    return Class(thing) if isinstance(thing, type) else Function(thing)


def get(what: Any) -> Any:
    """The value of one, or of all in their order."""
    if not isinstance(what, list):
        with thread_given_back():
            return what.result()
    if what and not isinstance(what[0], distributed.Future):
        return [future.result() for future in what]
    with thread_given_back():
        return client().gather(what)


def put(value: Any) -> Any:
    """Sends the value to a worker, which keeps it; in a list, as a dictionary goes by its parts."""
    return client().scatter([value], hash=False)[0]
