"""``Queue``: a first-in, first-out queue between tasks, actors and the program.

It lives in an actor of its own, which keeps items as the bytes that it was given: large arrays are
objects, which nobody copies. Whoever has the queue uses it from any thread; whoever waits in it
costs no process and no CPU.
"""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Iterable

from sundog import _actor_names, _core, _function
from sundog._core import public
from sundog.exceptions import SundogError
from sundog.util import _payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Item: TypeAlias = tuple[bytes, _payload.Refs]

__all__ = ["Empty", "Full", "Queue"]

WAITING_MAX = 10_000  # calls in a queue at once: with more that wait, a put would not begin


class Empty(SundogError, queue.Empty):
    """Nothing is in the queue, or nothing came in time."""


class Full(SundogError, queue.Full):
    """The queue has no room, or got none in time."""


class Keeper:
    """The actor: the items, and who waits for one or for room."""

    def __init__(self, maxsize: int) -> None:
        """``maxsize``: items, at most; 0 and less is no limit."""
        self.maxsize = maxsize
        self.items: deque[Item] = deque()
        self.takers: deque[asyncio.Future[None]] = deque()
        self.givers: deque[asyncio.Future[None]] = deque()

    async def qsize(self) -> int:
        """Items in it."""
        return len(self.items)

    async def waiting(self) -> int:
        """Calls that wait in it."""
        return len(self.takers) + len(self.givers)

    async def is_full(self) -> bool:
        """Whether it has no room."""
        return self.has_no_room()

    def has_no_room(self, count: int = 1) -> bool:
        """Whether so many more do not fit."""
        return self.maxsize > 0 and len(self.items) + count > self.maxsize

    async def wait_in(
        self, line: deque[asyncio.Future[None]], until: float | None, turn: bool
    ) -> bool:
        """Waits at the end of a line, or at its head who lost a turn; whether it was called."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if turn:
            line.appendleft(waiter)
        else:
            line.append(waiter)
        left = None if until is None else until - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(waiter, left)
        except asyncio.TimeoutError:
            return waiter.done() and not waiter.cancelled()  # called at the last moment
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.call_next(line)
            raise
        finally:
            if waiter in line:
                line.remove(waiter)
        return True

    @staticmethod
    def call_next(line: deque[asyncio.Future[None]]) -> None:
        """Calls the first that still waits."""
        while line:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def put(self, item: Item, timeout: float | None) -> bool:
        """Waits for room, ``timeout`` seconds at most; whether the item is in."""
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        called = False
        while self.has_no_room() or (self.givers and not called):
            if not await self.wait_in(self.givers, until, called):
                return False
            called = True
        self.items.append(item)
        self.call_next(self.takers)
        return True

    async def get(self, timeout: float | None) -> Item | None:
        """Waits for an item, ``timeout`` seconds at most."""
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        called = False
        while not self.items or (self.takers and not called):
            if not await self.wait_in(self.takers, until, called):
                return None
            called = True
        item = self.items.popleft()
        self.call_next(self.givers)
        return item

    async def put_all(self, items: list[Item]) -> int | None:
        """Puts all or none; how many items there are if they do not fit."""
        if self.has_no_room(len(items)):
            return len(self.items)
        self.items.extend(items)
        for _ in items:
            self.call_next(self.takers)
        return None

    async def get_all(self, count: int) -> list[Item] | int:
        """Takes so many, or none; how many items there are if there are fewer."""
        if count > len(self.items):
            return len(self.items)
        taken = [self.items.popleft() for _ in range(count)]
        for _ in taken:
            self.call_next(self.givers)
        return taken


def seconds(timeout: float | None) -> float | None:
    """A timeout that makes sense."""
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout


class Queue:
    """A queue for tasks and actors, with the interface of ``queue.Queue``.

    It is an argument like any value; all who have it share it.
    """

    @public
    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        """Makes the queue's actor.

        Args:
            maxsize: items, at most; 0 is no limit.
            actor_options: as for ``sundog.remote``; by default it takes no CPU from tasks.

        Raises:
            ValueError: an option that does not exist.
        """
        self.maxsize = maxsize
        options = {"num_cpus": 0, "max_concurrency": WAITING_MAX, **(actor_options or {})}
        self.actor: Any = _function.remote_thing(Keeper, options).remote(maxsize)

    def __len__(self) -> int:
        """Items in it."""
        return self.size()

    @public
    def size(self) -> int:
        """Items in it; others may change that at once."""
        found: int = _core.get(self.actor.qsize.remote())
        return found

    qsize = size

    def empty(self) -> bool:
        """Whether nothing is in it."""
        return self.size() == 0

    @public
    def full(self) -> bool:
        """Whether it has no room."""
        found: bool = _core.get(self.actor.is_full.remote())
        return found

    @public
    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Puts an item in.

        Args:
            item: any value that can be sent.
            block: wait for room.
            timeout: seconds to wait at most; None: without end.

        Raises:
            Full: there was no room, in time.
            ValueError: a negative timeout.
        """
        if not block:
            self.put_nowait_batch([item])
        elif not _core.get(self.actor.put.remote(_payload.encode(item), seconds(timeout))):
            raise Full(f"the queue has had {self.maxsize} items for {timeout} seconds")

    @public
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the first item.

        Args:
            block: wait for one.
            timeout: seconds to wait at most; None: without end.

        Raises:
            Empty: there was none, in time.
            ValueError: a negative timeout.
        """
        if not block:
            return self.get_nowait_batch(1)[0]
        item = _core.get(self.actor.get.remote(seconds(timeout)))
        if item is None:
            raise Empty(f"nothing came into the queue in {timeout} seconds")
        return _payload.decode(*item)

    @public
    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As ``put``, to be awaited."""
        if not block:
            told = await self.actor.put_all.remote([_payload.encode(item)])
            self._check_room(1, told)
        elif not await self.actor.put.remote(_payload.encode(item), seconds(timeout)):
            raise Full(f"the queue has had {self.maxsize} items for {timeout} seconds")

    @public
    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As ``get``, to be awaited."""
        if not block:
            return self._checked(1, await self.actor.get_all.remote(1))[0]
        item = await self.actor.get.remote(seconds(timeout))
        if item is None:
            raise Empty(f"nothing came into the queue in {timeout} seconds")
        return _payload.decode(*item)

    @public
    def put_nowait(self, item: Any) -> None:
        """Puts an item in at once, or raises Full."""
        self.put_nowait_batch([item])

    @public
    def get_nowait(self) -> Any:
        """Takes the first item at once, or raises Empty."""
        return self.get_nowait_batch(1)[0]

    @public
    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Puts all items in at once, or none.

        Raises:
            Full: they do not fit.
            TypeError: not an iterable.
        """
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        sent = [_payload.encode(item) for item in items]
        self._check_room(len(sent), _core.get(self.actor.put_all.remote(sent)))

    @public
    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes so many items at once, or none.

        Raises:
            Empty: there are fewer.
            TypeError, ValueError: not a number from 0 on.
        """
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        return self._checked(num_items, _core.get(self.actor.get_all.remote(num_items)))

    def _check_room(self, count: int, told: int | None) -> None:
        if told is not None:
            raise Full(
                f"cannot add {count} items to a queue that has {told} and room for {self.maxsize}"
            )

    def _checked(self, count: int, told: list[Item] | int) -> list[Any]:
        if isinstance(told, int):
            raise Empty(f"cannot take {count} items out of a queue that has {told}")
        return [_payload.decode(*item) for item in told]

    @public
    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the queue; whoever waits in it gets ActorDiedError.

        Args:
            force: at once; else calls that were made before are answered first.
            grace_period_s: seconds to wait for those at most.
        """
        actor, self.actor = self.actor, None
        if actor is None:
            return
        if not force:
            _core.wait([actor.qsize.remote()], timeout=grace_period_s)
        _actor_names.kill(actor)
