"""Generators in other processes: items as they come, back-pressure, early ends, errors, retries."""

import asyncio
import gc
import os
import pickle
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import until

import sundog
from sundog import DynamicObjectRefGenerator, ObjectRefGenerator
from sundog.exceptions import TaskCancelledError, WorkerCrashedError


@pytest.fixture
def fresh() -> Iterator[Callable[..., None]]:
    """Starts the test's session with options of its own."""

    def start(**options: Any) -> None:
        sundog.init(**options)

    yield start
    sundog.shutdown()


@sundog.remote
def count_to(n: int) -> Iterator[int]:
    yield from range(n)


@sundog.remote
def noted(folder: str, n: int) -> Iterator[int]:
    """Leaves a file for each item that it has begun, and one when it is closed."""
    try:
        for i in range(n):
            (Path(folder) / f"item-{i}").touch()
            yield i
    except GeneratorExit:
        (Path(folder) / "closed").touch()
        raise


def begun(folder: Path) -> int:
    """How many items `noted` has begun."""
    return len(list(folder.glob("item-*")))


def wait_for_file(path: str) -> None:
    """In a task: until the test makes the file."""
    until(Path(path).exists, f"{path} is there")


# ---------------------------------------------------------------- iterating


def test_generator_function_returns_references_of_its_items(session: None) -> None:
    gen = count_to.remote(5)
    assert isinstance(gen, ObjectRefGenerator)
    refs = list(gen)
    assert sundog.get(refs) == [0, 1, 2, 3, 4]
    with pytest.raises(StopIteration):
        next(gen)
    assert gen.is_finished()


def test_empty_generator_ends_at_once(session: None) -> None:
    gen = count_to.remote(0)
    assert list(gen) == []
    assert sundog.get(gen.completed()) is None


def test_items_come_while_the_generator_runs(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def gated(folder: str) -> Iterator[str]:
        for name in ("a", "b"):
            wait_for_file(f"{folder}/{name}")
            yield name

    gen = gated.remote(str(tmp_path))
    assert not gen.next_ready()
    (tmp_path / "a").touch()
    assert sundog.get(next(gen)) == "a"
    assert not gen.next_ready()
    assert not gen.is_finished()
    (tmp_path / "b").touch()
    assert sundog.get(next(gen)) == "b"
    assert list(gen) == []


def test_ten_thousand_items_come_in_order(session: None) -> None:
    assert [sundog.get(ref) for ref in count_to.remote(10_000)] == list(range(10_000))


@pytest.mark.parametrize("size", [10, 5_000, 100_000])
def test_items_of_every_size_have_their_values(session: None, size: int) -> None:
    @sundog.remote
    def arrays(n: int, size: int) -> Iterator[np.ndarray[Any, Any]]:
        for i in range(n):
            yield np.full(size, i, dtype=np.uint8)

    for i, ref in enumerate(arrays.remote(8, size)):
        value = sundog.get(ref)
        assert value.shape == (size,)
        assert (value == i).all()


def test_items_outlive_the_generator_and_are_read_by_others_meanwhile(
    session: None, tmp_path: Path
) -> None:
    @sundog.remote
    def double(x: int) -> int:
        return 2 * x

    @sundog.remote
    def two(gate: str) -> Iterator[int]:
        yield 20
        wait_for_file(gate)
        yield 21

    gen = two.remote(str(tmp_path / "gate"))
    first = next(gen)
    assert sundog.get(double.remote(first)) == 40
    (tmp_path / "gate").touch()
    second = next(gen)
    del gen
    assert sundog.get([first, second]) == [20, 21]


def test_wait_tells_when_the_next_item_is_there(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def late(gate: str) -> Iterator[int]:
        wait_for_file(gate)
        yield 1

    slow, fast = late.remote(str(tmp_path / "gate")), count_to.remote(2)
    ready, rest = sundog.wait([slow, fast])
    assert ready == [fast]
    assert rest == [slow]
    assert sundog.wait([slow], timeout=0) == ([], [slow])
    (tmp_path / "gate").touch()
    assert sundog.wait([slow]) == ([slow], [])
    assert sundog.get(next(slow)) == 1
    ref = sundog.put(1)
    assert sundog.wait([slow, ref], num_returns=2) == ([slow, ref], []), "its end is ready too"
    assert list(slow) == []
    assert sundog.wait([slow]) == ([slow], []), "a generator that is over is ready"


def test_get_of_a_generator_is_the_generator(session: None) -> None:
    gen = count_to.remote(1)
    assert sundog.get(gen) is gen


def test_async_for_does_not_block_the_loop(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def gated(folder: str) -> Iterator[int]:
        for i in range(3):
            wait_for_file(f"{folder}/{i}")
            yield i

    async def main() -> list[int]:
        items = []

        async def take() -> None:
            async for ref in gated.remote(str(tmp_path)):
                items.append(await ref)

        taker = asyncio.create_task(take())
        for i in range(3):
            assert items == list(range(i))
            (tmp_path / str(i)).touch()  # only a loop that runs gets here
            while len(items) <= i:
                await asyncio.sleep(0.001)
        await taker
        return items

    assert asyncio.run(main()) == [0, 1, 2]


def test_consumer_may_be_a_task(session: None) -> None:
    @sundog.remote
    def total(n: int) -> int:
        return sum(sundog.get(ref) for ref in count_to.remote(n))

    assert sundog.get([total.remote(100) for _ in range(4)]) == [4950] * 4


def test_consumer_and_producer_share_one_cpu(fresh: Callable[..., None]) -> None:
    """Whoever waits gives its CPU back: the consumer in next, the producer at its yield."""
    fresh(num_cpus=1)

    @sundog.remote
    def total(n: int) -> int:
        gen = count_to.options(_generator_backpressure_num_objects=2).remote(n)
        return sum(sundog.get(ref) for ref in gen)

    assert sundog.get(total.remote(50), timeout=60) == 1225


def test_actor_method_that_yields(session: None) -> None:
    @sundog.remote
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        def up(self, times: int) -> Iterator[int]:
            for _ in range(times):
                self.n += 1
                yield self.n

        @sundog.method(num_returns="dynamic")
        def all_at_once(self) -> Iterator[int]:
            yield from range(self.n)

        def value(self) -> int:
            return self.n

    counter = Counter.remote()
    gen = counter.up.remote(3)
    assert isinstance(gen, ObjectRefGenerator)
    assert sundog.get(list(gen)) == [1, 2, 3]
    assert sundog.get(counter.value.remote()) == 3
    assert sundog.get(list(sundog.get(counter.all_at_once.remote()))) == [0, 1, 2]
    limited = counter.up.options(_generator_backpressure_num_objects=1).remote(2)
    assert sundog.get(list(limited)) == [4, 5]


# ---------------------------------------------------------------- the end


def test_exception_comes_behind_the_good_items(session: None) -> None:
    @sundog.remote
    def breaks() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no third")

    gen = breaks.remote()
    assert sundog.get([next(gen), next(gen)]) == [1, 2]
    failed = next(gen)
    with pytest.raises(LookupError, match="no third"):
        sundog.get(failed)
    with pytest.raises(StopIteration):
        next(gen)
    with pytest.raises(LookupError, match="no third"):
        sundog.get(gen.completed())


def test_large_exception_comes_whole(session: None) -> None:
    @sundog.remote
    def breaks() -> Iterator[int]:
        raise ValueError("x" * 50_000)
        yield 1

    gen = breaks.remote()
    with pytest.raises(ValueError, match=r"x{50000}"):
        sundog.get(next(gen))
    assert list(gen) == []


def test_item_that_cannot_be_sent_is_raised_at_its_yield(session: None) -> None:
    @sundog.remote
    def tries() -> Iterator[object]:
        try:
            yield (i for i in range(3))
        except TypeError as error:
            yield f"caught: {error}"
        yield (i for i in range(4))

    gen = tries.remote()
    assert "cannot send the result of tries()" in sundog.get(next(gen))
    with pytest.raises(TypeError, match=r"cannot send the result of tries\(\)"):
        sundog.get(next(gen))
    assert list(gen) == []


def test_what_yields_nothing_is_told(session: None) -> None:
    @sundog.remote(num_returns="streaming")
    def plain() -> list[int]:
        return [1, 2]

    gen = plain.remote()
    with pytest.raises(TypeError, match="it returned list: let it yield"):
        sundog.get(next(gen))


def test_iterators_stream_too(session: None) -> None:
    @sundog.remote(num_returns="streaming")
    def plain() -> Iterator[int]:
        return map(abs, [-1, -2])

    assert sundog.get(list(plain.remote())) == [1, 2]


@pytest.mark.parametrize("how", ["close", "del"])
def test_early_close_ends_the_producer(session: None, tmp_path: Path, how: str) -> None:
    gen = noted.options(_generator_backpressure_num_objects=2).remote(str(tmp_path), 1000)
    assert sundog.get(next(gen)) == 0
    completed = gen.completed()
    if how == "close":
        gen.close()
        assert list(gen) == []
        assert gen.is_finished()
    else:
        del gen
        gc.collect()
    assert sundog.get(completed) is None
    assert (tmp_path / "closed").exists()
    assert begun(tmp_path) < 10


def test_close_of_a_producer_that_is_not_held_back(session: None) -> None:
    @sundog.remote
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100

    gen = endless.remote()
    next(gen)
    completed = gen.completed()
    gen.close()
    assert sundog.get(completed, timeout=30) is None


def test_close_before_it_began(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def opened(gate: str) -> None:
        wait_for_file(gate)

    @sundog.remote
    def after(nothing: None, folder: str) -> Iterator[int]:
        (Path(folder) / "began").touch()
        yield 1

    gen = after.remote(opened.remote(str(tmp_path / "gate")), str(tmp_path))
    completed = gen.completed()
    gen.close()
    with pytest.raises(TaskCancelledError, match="its generator was closed before it began"):
        sundog.get(completed)
    (tmp_path / "gate").touch()
    assert sundog.get(list(count_to.remote(2))) == [0, 1]
    assert not (tmp_path / "began").exists()


# ---------------------------------------------------------------- back-pressure


def test_producer_waits_for_its_consumer_by_items(session: None, tmp_path: Path) -> None:
    gen = noted.options(_generator_backpressure_num_objects=3).remote(str(tmp_path), 20)
    until(lambda: "has not taken 3 items" in explained(gen), "the producer is held back")
    assert begun(tmp_path) == 3
    assert sundog.get([next(gen), next(gen)]) == [0, 1]
    until(lambda: begun(tmp_path) == 5, "it goes on")
    until(lambda: "has not taken 3 items" in explained(gen), "the producer is held back again")
    assert begun(tmp_path) == 5
    assert [sundog.get(ref) for ref in gen] == list(range(2, 20))


def explained(gen: ObjectRefGenerator[Any]) -> str:
    """Why the end of the stream is not there yet."""
    return str(sundog.explain(gen.completed()))


def test_producer_waits_by_bytes(fresh: Callable[..., None], tmp_path: Path) -> None:
    fresh(num_cpus=2, object_store_memory=64 << 20)

    @sundog.remote
    def chunks(folder: str) -> Iterator[np.ndarray[Any, Any]]:
        for i in range(40):
            (Path(folder) / f"item-{i}").touch()
            yield np.full(4 << 20, i, dtype=np.uint8)

    gen = chunks.remote(str(tmp_path))
    until(lambda: "has not taken" in explained(gen), "the producer is held back")
    assert begun(tmp_path) == 4, "a quarter of the store"
    for i, ref in enumerate(gen):
        assert sundog.get(ref)[-1] == i
    assert begun(tmp_path) == 40


def test_more_than_the_store_holds_passes_through_several_streams(
    fresh: Callable[..., None],
) -> None:
    fresh(num_cpus=4, object_store_memory=48 << 20)

    @sundog.remote
    def chunks(seed: int) -> Iterator[np.ndarray[Any, Any]]:
        for i in range(10):
            yield np.full(3 << 20, seed + i, dtype=np.uint8)

    gens = [chunks.remote(10 * seed) for seed in range(6)]
    for i in range(10):
        for seed, gen in enumerate(gens):
            assert sundog.get(next(gen))[0] == 10 * seed + i


# ---------------------------------------------------------------- retries


def test_retry_in_the_middle_keeps_what_is_there(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_retries=2, _generator_backpressure_num_objects=10)
    def dies_twice(folder: str) -> Iterator[tuple[int, int]]:
        attempt = len(list(Path(folder).glob("attempt-*")))
        (Path(folder) / f"attempt-{attempt}").touch()
        for i in range(9):
            if (attempt, i) in ((0, 3), (1, 6)):
                wait_for_file(f"{folder}/die-{attempt}")
                os.kill(os.getpid(), signal.SIGKILL)
            yield i, attempt

    gen = dies_twice.remote(str(tmp_path))
    refs = [next(gen) for _ in range(3)]
    (tmp_path / "die-0").touch()
    refs += [next(gen) for _ in range(3)]
    (tmp_path / "die-1").touch()
    refs += list(gen)
    assert sundog.get(refs) == [(i, i // 3) for i in range(9)]
    assert len({ref.hex() for ref in refs}) == 9


def test_death_without_a_retry_is_the_last_item(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_retries=0)
    def dies() -> Iterator[int]:
        yield 1
        os._exit(3)

    gen = dies.remote()
    assert sundog.get(next(gen)) == 1
    with pytest.raises(WorkerCrashedError, match="exited with code 3"):
        sundog.get(next(gen))
    assert list(gen) == []
    with pytest.raises(WorkerCrashedError):
        sundog.get(gen.completed())


def test_exception_that_is_retried_is_no_item(session: None, tmp_path: Path) -> None:
    @sundog.remote(retry_exceptions=True)
    def fails_once(folder: str) -> Iterator[int]:
        yield 1
        if not (Path(folder) / "tried").exists():
            (Path(folder) / "tried").touch()
            raise OSError("the first time")
        yield 2

    assert sundog.get(list(fails_once.remote(str(tmp_path)))) == [1, 2]


def test_actor_that_dies_in_the_middle_repeats_the_call(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_restarts=1, max_task_retries=1)
    class Fragile:
        def items(self, folder: str) -> Iterator[int]:
            for i in range(6):
                if i == 3 and not (Path(folder) / "died").exists():
                    wait_for_file(f"{folder}/die")
                    (Path(folder) / "died").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield i

    actor = Fragile.remote()
    gen = actor.items.remote(str(tmp_path))
    first = [next(gen) for _ in range(3)]
    (tmp_path / "die").touch()
    assert sundog.get([*first, *gen]) == [0, 1, 2, 3, 4, 5]


# ---------------------------------------------------------------- a fixed number


def three_and_an_end(error: bool) -> Iterator[int]:
    yield from (1, 2, 3)
    if error:
        raise LookupError("no fourth")


@pytest.fixture(params=["session", "local mode"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    with sundog.init(num_cpus=1, local_mode=request.param == "local mode", logging_level="error"):
        yield request.param


def test_generator_fills_a_fixed_number_of_results(either: str) -> None:
    refs = sundog.remote(num_returns=3)(three_and_an_end).remote(False)
    assert sundog.get(refs) == [1, 2, 3]


def test_results_that_a_generator_did_not_reach_have_its_exception(either: str) -> None:
    @sundog.remote(num_returns=5)
    def breaks() -> Iterator[int]:
        yield from three_and_an_end(True)

    refs = breaks.remote()
    assert sundog.get(refs[:3]) == [1, 2, 3]
    for ref in refs[3:]:
        with pytest.raises(LookupError, match="no fourth") as caught:
            sundog.get(ref)
        error: Any = caught.value
        assert "in three_and_an_end" in error.remote_traceback
        assert "first_items" not in error.remote_traceback


def test_generator_that_yields_another_number_is_told(either: str) -> None:
    task = sundog.remote(three_and_an_end)
    with pytest.raises(ValueError, match="num_returns=4, but it yielded only 3 values"):
        sundog.get(task.options(num_returns=4).remote(False)[0])
    with pytest.raises(ValueError, match="num_returns=2, but it yielded more than 2 values"):
        sundog.get(task.options(num_returns=2).remote(False)[0])


def test_exception_behind_the_last_result_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with sundog.init(num_cpus=1):
        refs = sundog.remote(num_returns=3)(three_and_an_end).remote(True)
        assert sundog.get(refs) == [1, 2, 3]
    told = "three_and_an_end() raised behind its 3 results, which are valid: LookupError: no fourth"
    assert told in capfd.readouterr().err


def test_generator_that_is_tried_again_gives_the_results_of_the_last_time(
    session: None, tmp_path: Path
) -> None:
    @sundog.remote(num_returns=2, retry_exceptions=True, max_retries=1)
    def twice(first_time: Path) -> Iterator[str]:
        is_first = not first_time.exists()
        yield "first" if is_first else "second"
        if is_first:
            first_time.touch()
            raise LookupError("the first time")
        yield "end"

    assert sundog.get(twice.remote(tmp_path / "ran")) == ["second", "end"]


# ---------------------------------------------------------------- dynamic


def test_dynamic_brings_references_when_the_task_is_done(session: None) -> None:
    @sundog.remote(num_returns="dynamic")
    def parts(n: int) -> Iterator[np.ndarray[Any, Any]]:
        for i in range(n):
            yield np.full(20_000, i)

    ref = parts.remote(4)
    assert isinstance(ref, sundog.ObjectRef)
    gen = sundog.get(ref)
    assert isinstance(gen, DynamicObjectRefGenerator)
    assert len(gen) == 4
    assert [int(sundog.get(item)[0]) for item in gen] == [0, 1, 2, 3]
    assert [int(sundog.get(item)[0]) for item in sundog.get(ref)] == [0, 1, 2, 3]


def test_dynamic_keeps_what_came_before_an_exception(session: None) -> None:
    @sundog.remote(num_returns="dynamic")
    def breaks() -> Iterator[int]:
        yield 1
        raise LookupError("no second")

    good, failed = sundog.get(breaks.remote())
    assert sundog.get(good) == 1
    with pytest.raises(LookupError, match="no second"):
        sundog.get(failed)


# ---------------------------------------------------------------- what is refused


def test_generator_cannot_be_passed_on(session: None) -> None:
    gen = count_to.remote(1)
    with pytest.raises(TypeError, match="A generator stays with the process that called"):
        count_to.remote(gen)
    with pytest.raises(TypeError, match="A generator stays with the process that called"):
        pickle.dumps(gen)


@pytest.mark.parametrize("what", ["send", "throw"])
def test_nothing_is_sent_into_a_generator(session: None, what: str) -> None:
    gen = count_to.remote(1)
    with pytest.raises(NotImplementedError, match=f"{what} is not supported"):
        getattr(gen, what)(ValueError())


def test_async_close_and_send(session: None) -> None:
    async def main() -> None:
        gen = count_to.remote(3)
        assert await (await gen.asend(None)) == 0
        with pytest.raises(NotImplementedError, match="asend is not supported"):
            await gen.asend(1)  # type: ignore[arg-type]
        with pytest.raises(NotImplementedError, match="athrow is not supported"):
            await gen.athrow(ValueError)
        await gen.aclose()
        assert [ref async for ref in aiter_of(gen)] == []

    asyncio.run(main())


async def aiter_of(gen: ObjectRefGenerator[int]) -> AsyncIterator[Any]:
    async for ref in gen:
        yield ref


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"num_returns": "stream"}, ValueError, "did you mean 'streaming'"),
        ({"_generator_backpressure_num_objects": 0}, ValueError, "from 1 on, or -1"),
        ({"_generator_backpressure_num_objects": "2"}, TypeError, "is an integer, got str"),
        (
            {"_generator_backpressure_num_objects": 2, "num_returns": 1},
            ValueError,
            "is for generators",
        ),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        count_to.options(**options)


def test_local_mode_runs_the_generator_step_by_step(fresh: Callable[..., None]) -> None:
    fresh(local_mode=True)
    steps = []

    @sundog.remote
    def stepwise() -> Iterator[int]:
        for i in range(2):
            steps.append(i)
            yield i
        raise LookupError("the end")

    gen = stepwise.remote()
    assert sundog.get(next(gen)) == 0
    assert steps == [0]
    assert sundog.get(next(gen)) == 1
    with pytest.raises(LookupError, match="the end"):
        sundog.get(next(gen))
    assert list(gen) == []
