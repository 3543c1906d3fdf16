"""Generators of asynchronous actors: many on one event loop, none of which blocks it."""

import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import until

import sundog
from sundog import DynamicObjectRefGenerator, ObjectRefGenerator
from sundog.exceptions import ActorDiedError, TaskCancelledError, TaskError

PATIENCE_S = 60.0


@sundog.remote
class Source:
    """Notes the items that its generators have begun, and how they ended."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[Any] = []
        self.ended: list[str] = []

    async def count_to(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    async def noted(self, n: int, name: str = "noted") -> AsyncIterator[tuple[str, int]]:
        try:
            for i in range(n):
                self.begun.append(i)
                yield name, i
        except BaseException as error:
            await asyncio.sleep(0)
            self.ended.append(type(error).__name__)
            raise
        finally:
            self.ended.append(name)

    def plain(self, n: int, name: str = "plain") -> Iterator[tuple[str, int]]:
        try:
            for i in range(n):
                self.begun.append(i)
                yield name, i
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        finally:
            self.ended.append(name)

    async def gated(self) -> AsyncIterator[int]:
        yield 1
        try:
            await self.gate.wait()
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        yield 2

    async def arrays(self, n: int, size: int) -> AsyncIterator[np.ndarray[Any, Any]]:
        for i in range(n):
            self.begun.append(i)
            yield np.full(size, i, dtype=np.uint8)

    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise LookupError("no third")

    async def tries(self) -> AsyncIterator[object]:
        try:
            yield (i for i in range(3))
        except TypeError as error:
            yield f"caught: {error}"
        yield (i for i in range(4))

    async def stubborn(self) -> AsyncIterator[str]:
        while True:
            try:
                yield "item"
            except asyncio.CancelledError:
                break
        yield "last"

    async def what_it_is(self) -> AsyncIterator[str | None]:
        yield sundog.get_runtime_context().get_task_id()
        await asyncio.sleep(0)
        yield sundog.get_runtime_context().get_task_id()

    async def leaves(self) -> AsyncIterator[int]:
        yield 1
        sundog.actor.exit_actor()

    @sundog.method(num_returns="dynamic")
    async def parts(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i
        if n > 3:
            raise LookupError("too many")

    @sundog.method(num_returns="streaming")
    async def of_coroutine(self, n: int) -> Iterator[int]:
        await asyncio.sleep(0)
        return iter(range(n))

    @sundog.method(num_returns="streaming")
    async def no_items(self) -> int:
        return 3

    def open(self) -> None:
        self.gate.set()

    def look(self) -> tuple[list[Any], list[str]]:
        return self.begun, self.ended


def begun(source: Any) -> int:
    return len(sundog.get(source.look.remote(), timeout=PATIENCE_S)[0])


def ended(source: Any) -> list[str]:
    told: list[str] = sundog.get(source.look.remote(), timeout=PATIENCE_S)[1]
    return told


def explained(gen: ObjectRefGenerator[Any]) -> str:
    return str(sundog.explain(gen.completed()))


def until_held_back(gen: ObjectRefGenerator[Any]) -> None:
    until(lambda: "has not taken" in explained(gen), "the generator waits for its consumer")


# ---------------------------------------------------------------- iterating


def test_async_generator_returns_references_of_its_items(session: None) -> None:
    gen = Source.remote().count_to.remote(5)
    assert isinstance(gen, ObjectRefGenerator)
    assert sundog.get(list(gen)) == [0, 1, 2, 3, 4]
    assert gen.is_finished()
    assert sundog.get(gen.completed()) is None


def test_items_of_an_async_generator_come_while_it_runs(session: None) -> None:
    @sundog.remote
    def double(x: int) -> int:
        return 2 * x

    source = Source.remote()
    gen = source.gated.remote()
    first = next(gen)
    assert sundog.get(double.remote(first)) == 2, "another one reads it meanwhile"
    assert not gen.next_ready()
    assert not gen.is_finished()
    sundog.get(source.open.remote())
    assert sundog.get(list(gen)) == [2]


def test_two_hundred_async_generators_run_at_once(session: None) -> None:
    """All are at their gate, and other calls are answered, before one ends."""
    source = Source.remote()
    gens = [source.gated.remote() for _ in range(200)]
    assert sundog.get([next(gen) for gen in gens]) == [1] * 200
    assert sundog.get(source.look.remote()) == ([], [])
    sundog.get(source.open.remote())
    assert [sundog.get(list(gen)) for gen in gens] == [[2]] * 200


def test_consumer_on_an_event_loop(session: None) -> None:
    @sundog.remote
    class Doubler:
        async def doubled(self, source: Any, n: int) -> AsyncIterator[int]:
            async for ref in source.count_to.remote(n):
                yield 2 * await ref

    doubler, source = Doubler.remote(), Source.remote()

    async def main() -> list[int]:
        return [await ref async for ref in doubler.doubled.remote(source, 50)]

    assert asyncio.run(main()) == [2 * i for i in range(50)]


@pytest.mark.parametrize("size", [10, 100_000])
def test_items_of_an_async_generator_have_their_values(session: None, size: int) -> None:
    for i, ref in enumerate(Source.remote().arrays.remote(8, size)):
        assert (sundog.get(ref) == np.full(size, i, dtype=np.uint8)).all()


def test_async_generator_keeps_its_call_s_context(session: None) -> None:
    gen = Source.remote().what_it_is.remote()
    task = gen.completed().task_id().hex()
    assert sundog.get(list(gen)) == [task, task]


def test_coroutine_that_returns_an_iterator_streams_too(session: None) -> None:
    source = Source.remote()
    assert sundog.get(list(source.of_coroutine.remote(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="it returned int: let it yield"):
        sundog.get(next(source.no_items.remote()))


def test_dynamic_async_generator_brings_references_at_its_end(session: None) -> None:
    source = Source.remote()
    gen = sundog.get(source.parts.remote(3))
    assert isinstance(gen, DynamicObjectRefGenerator)
    assert sundog.get(list(gen)) == [0, 1, 2]
    *good, failed = sundog.get(source.parts.remote(4))
    assert sundog.get(good) == [0, 1, 2, 3]
    with pytest.raises(LookupError, match="too many"):
        sundog.get(failed)


# ---------------------------------------------------------------- back-pressure


@pytest.mark.parametrize("method", ["noted", "plain"])
def test_waiting_for_the_consumer_does_not_block_the_loop(session: None, method: str) -> None:
    source = Source.remote()
    callee = getattr(source, method).options(_generator_backpressure_num_objects=3)
    gens = [callee.remote(20, str(i)) for i in range(5)]
    for gen in gens:
        until_held_back(gen)
    assert begun(source) == 15, "three of each, and the loop answers"
    assert sundog.get([next(gens[0]), next(gens[0])]) == [("0", 0), ("0", 1)]
    until(lambda: begun(source) == 17, "the first goes on, no other does")
    for i, gen in enumerate(gens):
        assert [sundog.get(ref) for ref in gen] == [(str(i), j) for j in range(2 * (i == 0), 20)]


def test_async_generator_waits_by_bytes() -> None:
    sundog.init(num_cpus=2, object_store_memory=64 << 20)
    try:
        source = Source.remote()
        gen = source.arrays.remote(40, 4 << 20)
        until_held_back(gen)
        assert begun(source) == 4, "a quarter of the store"
        for i, ref in enumerate(gen):
            assert sundog.get(ref)[-1] == i
        assert begun(source) == 40
    finally:
        sundog.shutdown()


def test_plain_generator_leaves_the_loop_to_others_between_items(session: None) -> None:
    @sundog.remote
    class Endless:
        def __init__(self) -> None:
            self.stopped = False

        def count(self) -> Iterator[int]:
            i = 0
            while not self.stopped:
                yield i
                i += 1

        async def stop(self) -> None:
            self.stopped = True

    endless = Endless.remote()
    gen = endless.count.remote()
    assert sundog.get(next(gen)) == 0
    sundog.get(endless.stop.remote(), timeout=PATIENCE_S)
    assert sundog.get(gen.completed(), timeout=PATIENCE_S) is None


# ---------------------------------------------------------------- the end


def test_exception_comes_behind_the_good_items_of_an_async_generator(session: None) -> None:
    gen = Source.remote().breaks.remote()
    assert sundog.get([next(gen), next(gen)]) == [1, 2]
    with pytest.raises(LookupError, match="no third") as caught:
        sundog.get(next(gen))
    assert isinstance(caught.value, TaskError)
    assert "sundog/_async" not in caught.value.remote_traceback
    assert list(gen) == []
    with pytest.raises(LookupError, match="no third"):
        sundog.get(gen.completed())


def test_item_that_cannot_be_sent_is_raised_at_the_async_yield(session: None) -> None:
    gen = Source.remote().tries.remote()
    assert "caught: cannot send the result of Source.tries()" in sundog.get(next(gen))
    with pytest.raises(TypeError, match=r"cannot send the result of Source\.tries\(\)"):
        sundog.get(next(gen))
    assert list(gen) == []


@pytest.mark.parametrize("method", ["noted", "plain"])
@pytest.mark.parametrize("how", ["close", "del", "while it runs"])
def test_early_close_raises_generator_exit(session: None, method: str, how: str) -> None:
    source = Source.remote()
    limit = -1 if how == "while it runs" else 2
    callee = getattr(source, method).options(_generator_backpressure_num_objects=limit)
    gen = callee.remote(10**9)
    next(gen)
    completed = gen.completed()
    if how == "del":
        del gen
        gc.collect()
    else:
        gen.close()
    assert sundog.get(completed, timeout=PATIENCE_S) is None
    assert ended(source) == ["GeneratorExit", method]


@pytest.mark.parametrize("method", ["noted", "plain"])
def test_cancelling_is_raised_at_the_yield_that_waits(session: None, method: str) -> None:
    source = Source.remote()
    gen = getattr(source, method).options(_generator_backpressure_num_objects=1).remote(10)
    until_held_back(gen)
    sundog.cancel(gen.completed())
    with pytest.raises(TaskCancelledError):
        sundog.get(gen.completed(), timeout=PATIENCE_S)
    assert ended(source) == ["CancelledError", method]
    assert sundog.get(next(gen)) == (method, 0), "what came before stays"


def test_cancelling_is_raised_where_the_generator_awaits(session: None) -> None:
    source = Source.remote()
    gen = source.gated.remote()
    assert sundog.get(next(gen)) == 1
    sundog.cancel(gen)
    with pytest.raises(TaskCancelledError):
        sundog.get(gen.completed(), timeout=PATIENCE_S)
    assert ended(source) == ["CancelledError"]


def test_generator_that_catches_its_cancelling_goes_on(session: None) -> None:
    gen = Source.remote().stubborn.options(_generator_backpressure_num_objects=1).remote()
    until_held_back(gen)
    sundog.cancel(gen.completed())
    values = []
    for ref in gen:
        values.append(sundog.get(ref))
        if values[-1] == "last":
            break
    assert set(values) == {"item", "last"}


def test_exit_actor_in_an_async_generator_ends_the_actor(session: None) -> None:
    source = Source.remote()
    gen = source.leaves.remote()
    assert sundog.get(next(gen)) == 1
    assert list(gen) == []
    with pytest.raises(ActorDiedError, match=r"called exit_actor\(\)"):
        sundog.get(source.look.remote())


def test_kill_ends_what_waits_for_its_consumer(session: None) -> None:
    source = Source.remote()
    gen = source.noted.options(_generator_backpressure_num_objects=1).remote(10)
    until_held_back(gen)
    sundog.kill(source)
    assert sundog.get(next(gen)) == ("noted", 0)
    with pytest.raises(ActorDiedError, match=r"kill\(\)"):
        sundog.get(next(gen))
    assert list(gen) == []


def test_end_of_a_consumer_closes_its_async_generators(session: None) -> None:
    @sundog.remote(max_retries=0)
    def takes_one(source: Any) -> Any:
        gen = source.noted.options(_generator_backpressure_num_objects=2).remote(10**9)
        return sundog.get(next(gen))

    source = Source.remote()
    assert sundog.get(takes_one.remote(source)) == ("noted", 0)
    until(lambda: ended(source) == ["GeneratorExit", "noted"], "it was closed")


def test_async_generator_is_repeated_after_a_restart(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_restarts=1, max_task_retries=1)
    class Fragile:
        async def items(self, folder: str) -> AsyncIterator[int]:
            import os

            for i in range(6):
                if i == 3 and not (Path(folder) / "died").exists():
                    while not (Path(folder) / "die").exists():
                        await asyncio.sleep(0.001)
                    (Path(folder) / "died").touch()
                    os._exit(1)
                yield i

    gen = Fragile.remote().items.remote(str(tmp_path))
    first = [next(gen) for _ in range(3)]
    (tmp_path / "die").touch()
    assert sundog.get([*first, *gen]) == [0, 1, 2, 3, 4, 5]


# ---------------------------------------------------------------- elsewhere


async def fetch() -> int:
    return 1


async def fetch_all() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (fetch, r"fetch is an async function, .* asyncio\.run\(fetch\("),
        (fetch_all, "fetch_all is an async generator, .* let a plain function yield"),
        (functools.partial(fetch), "is an async function"),
    ],
)
def test_async_functions_are_no_tasks(function: Callable[..., Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sundog.remote(function)


def test_local_mode_runs_an_async_generator_step_by_step() -> None:
    sundog.init(local_mode=True)
    try:
        source = Source.remote()
        gen = source.noted.remote(3)
        assert sundog.get(next(gen)) == ("noted", 0)
        assert begun(source) == 1
        gen.close()
        assert ended(source) == ["GeneratorExit", "noted"]
        assert sundog.get(list(source.count_to.remote(3))) == [0, 1, 2]
        cancelled = source.noted.remote(3, "again")
        next(cancelled)
        sundog.cancel(cancelled)
        assert ended(source)[2:] == ["GeneratorExit", "again"]
        assert list(cancelled) == []
        failing = source.breaks.remote()
        assert sundog.get([next(failing), next(failing)]) == [1, 2]
        with pytest.raises(LookupError, match="no third"):
            sundog.get(next(failing))
        assert sundog.get(list(sundog.get(source.parts.remote(2)))) == [0, 1]
    finally:
        sundog.shutdown()
