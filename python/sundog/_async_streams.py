"""Generators of an asynchronous actor: their items, yielded on its event loop's thread.

A method that yields, plain or ``async def``, is run step by step by a task of the loop. Between two
items the loop's other work has its turn; while the consumer is behind, the task waits as for a
reference. Nothing here blocks the loop, but what the generator itself computes does, and room for
a large item, while the object store is full.
"""

from __future__ import annotations

import asyncio

from sundog import _core, _future, _generator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

END = object()


def has_items(call: _core.RunningCall, value: object) -> bool:
    """Whether what a method returned is to be iterated over."""
    if call.returns == _generator.FIXED:
        return False
    return hasattr(value, "__anext__") or hasattr(value, "__next__")


async def run(call: _core.RunningCall, iterator: Any) -> object:
    """Iterates to the end; what the call is to be finished with."""
    if call.returns == _generator.DYNAMIC:
        return await collect(call, iterator)
    await stream(call, iterator)
    return iter(())  # nothing is left to be yielded


async def stream(call: _core.RunningCall, iterator: Any) -> None:
    """Yields each item, until the iterator ends or the consumer closes.

    What goes wrong with an item, and a cancelling that comes between two of them, is raised at
    the generator's ``yield``.
    """
    raised: list[BaseException] = []  # at most one, which next_of takes
    while (item := await next_of(iterator, raised)) is not END:
        try:
            turn = call.begin_yield(item)
            del item
            if turn:
                await asyncio.sleep(0)
            while turn is None:
                await _future.watched(call.watch_credit)
                turn = call.stream_turn()
        except GeneratorExit:  # the loop is gone, and nothing can be awaited any more
            raise
        except BaseException as error:
            raised.append(error)
            continue
        if not turn:
            await close(iterator)
            return


async def collect(call: _core.RunningCall, iterator: Any) -> object:
    """Stores each item, as ``_generator.collect`` does."""
    refs: list[_core.ObjectRef[Any]] = []
    try:
        while (item := await next_of(iterator, [])) is not END:
            refs.append(_core.put_result(item))
            del item
            await asyncio.sleep(0)
    except Exception as error:
        refs.append(_core.put_error(error, call.name))
    return _generator.DynamicObjectRefGenerator(refs)


async def next_of(iterator: Any, raised: list[BaseException]) -> Any:
    """The next item, after what is ``raised`` at the yield; END behind the last."""
    is_async = hasattr(iterator, "__anext__")
    throw: Any = getattr(iterator, "athrow" if is_async else "throw", None)
    if raised and throw is None:
        raise raised.pop()
    try:
        if is_async:
            return await (throw(raised.pop()) if raised else iterator.__anext__())
        return throw(raised.pop()) if raised else next(iterator)
    except StopAsyncIteration:
        if is_async:
            return END
        raise RuntimeError("the generator raised StopAsyncIteration") from None
    except StopIteration:
        return END


async def close(iterator: Any) -> None:
    """GeneratorExit at its yield."""
    if hasattr(iterator, "aclose"):
        await iterator.aclose()
    elif hasattr(iterator, "close"):
        iterator.close()
