"""`sundog.util.queue.Queue` beside `queue.Queue`: the same assertions where they share calls."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import until

import sundog
from sundog.util.queue import Empty, Full, Queue

Make = Callable[..., Any]
TOO_LONG = 20.0


@pytest.fixture(params=["queue", "sundog"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a queue of either kind."""
    if request.param == "queue":
        yield queue.Queue
    else:
        sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")
        yield Queue


@pytest.fixture
def session_of_two() -> None:
    sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")


def test_items_come_out_in_the_order_in_which_they_went_in(make: Make) -> None:
    q = make()
    assert q.empty() and not q.full() and q.qsize() == 0
    for item in (1, "two", [3], {"four": 4}):
        q.put(item)
    assert q.qsize() == 4 and not q.empty()
    assert [q.get(), q.get_nowait(), q.get(timeout=1), q.get(block=False)] == [
        1,
        "two",
        [3],
        {"four": 4},
    ]
    assert q.empty()


def test_a_full_queue_and_an_empty_one_say_so(make: Make) -> None:
    q = make(2)
    q.put_nowait(1)
    q.put(2, block=False)
    assert q.full() and q.maxsize == 2
    with pytest.raises(queue.Full):
        q.put_nowait(3)
    with pytest.raises(queue.Full):
        q.put(3, timeout=0.01)
    assert [q.get(), q.get()] == [1, 2]
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    for call in (lambda: q.get(timeout=-1), lambda: q.put(1, timeout=-1)):
        with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
            call()
    assert q.qsize() == 0


def test_who_waits_gets_what_comes(make: Make) -> None:
    q = make(1)
    came: list[int] = []

    def take() -> None:
        came.extend(q.get(timeout=TOO_LONG) for _ in range(20))

    thread = threading.Thread(target=take)
    thread.start()
    for n in range(20):
        q.put(n, timeout=TOO_LONG)
    thread.join()
    assert came == list(range(20))


# ---- what only ours does


def test_the_exceptions_are_those_of_the_library(session_of_two: None) -> None:
    assert issubclass(Empty, queue.Empty) and issubclass(Full, queue.Full)
    q = Queue(3)
    assert len(q) == 0 and q.size() == 0
    with pytest.raises(Empty, match="cannot take 1 items out of a queue that has 0"):
        q.get_nowait()
    q.put_nowait_batch([1, 2])
    with pytest.raises(Full, match="cannot add 2 items to a queue that has 2 and room for 3"):
        q.put_nowait_batch([3, 4])
    with pytest.raises(Empty, match="cannot take 3 items out of a queue that has 2"):
        q.get_nowait_batch(3)
    assert q.get_nowait_batch(2) == [1, 2] and q.get_nowait_batch(0) == []
    with pytest.raises(TypeError, match="'items' must be an Iterable"):
        q.put_nowait_batch(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'num_items' must be an int"):
        q.get_nowait_batch("3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'num_items' must be nonnegative"):
        q.get_nowait_batch(-1)


def test_tasks_and_actors_share_it(session_of_two: None) -> None:
    @sundog.remote(num_cpus=0)
    def produce(q: Queue, numbers: list[int]) -> None:
        for n in numbers:
            q.put(n)

    @sundog.remote(num_cpus=0)
    def consume(q: Queue, count: int) -> list[int]:
        return [q.get(timeout=TOO_LONG) for _ in range(count)]

    q = Queue(4)
    taken = [consume.remote(q, 20) for _ in range(3)]
    sundog.get([produce.remote(q, list(range(n, 60, 2))) for n in range(2)])
    found = sundog.get(taken, timeout=TOO_LONG)
    assert sorted(n for part in found for n in part) == list(range(60))


def test_who_waited_first_is_served_first(session_of_two: None) -> None:
    @sundog.remote(num_cpus=0)
    def take(q: Queue, number: int) -> tuple[int, int]:
        return number, q.get()

    q = Queue()
    refs = []
    for number in range(4):
        refs.append(take.remote(q, number))
        until(lambda: waiting(q) == len(refs), "the task waits in the queue")
    for item in range(4):
        q.put(item)
    assert sundog.get(refs, timeout=TOO_LONG) == [(n, n) for n in range(4)]


def waiting(q: Queue) -> int:
    found: int = sundog.get(q.actor.waiting.remote())
    return found


def test_a_waiting_task_gives_its_cpu_back() -> None:
    sundog.init(num_cpus=1, logging_level="error")

    @sundog.remote
    def take(q: Queue) -> Any:
        return q.get()

    @sundog.remote
    def give(q: Queue) -> None:
        q.put("given")

    q = Queue()
    taken = take.remote(q)
    until(lambda: waiting(q) == 1, "the task waits in the queue")
    sundog.get(give.remote(q), timeout=TOO_LONG)
    assert sundog.get(taken, timeout=TOO_LONG) == "given"


def test_it_can_be_awaited(session_of_two: None) -> None:
    q = Queue(1)

    async def run() -> list[int]:
        async def give() -> None:
            for n in range(10):
                await q.put_async(n)

        async def take() -> list[int]:
            return [await q.get_async() for _ in range(10)]

        _, taken = await asyncio.gather(give(), take())
        with pytest.raises(Empty):
            await q.get_async(block=False)
        with pytest.raises(Empty):
            await q.get_async(timeout=0.01)
        await q.put_async(1, block=False)
        with pytest.raises(Full):
            await q.put_async(2, block=False)
        with pytest.raises(Full):
            await q.put_async(2, timeout=0.01)
        return taken

    assert asyncio.run(run()) == list(range(10))


def test_large_arrays_are_not_copied_and_references_stay_alive(session_of_two: None) -> None:
    q = Queue()
    q.put(np.arange(1 << 20))
    q.put({"ref": sundog.put("kept by the queue alone")})
    array = q.get()
    assert array.flags.writeable and array.sum() == sum(range(1 << 20))
    assert sundog.get(q.get()["ref"]) == "kept by the queue alone"
    del array


def test_a_shut_down_queue_ends_who_waits(session_of_two: None) -> None:
    @sundog.remote(num_cpus=0)
    def take(q: Queue) -> Any:
        return q.get()

    q = Queue()
    taken = take.remote(q)
    until(lambda: waiting(q) == 1, "the task waits in the queue")
    began = time.monotonic()
    q.shutdown(force=True)
    with pytest.raises(sundog.exceptions.ActorDiedError):
        sundog.get(taken, timeout=TOO_LONG)
    assert time.monotonic() - began < TOO_LONG
    q.shutdown()  # again: nothing
    other = Queue()
    other.put(1)
    other.shutdown()


def test_options_are_those_of_its_actor(session_of_two: None) -> None:
    q = Queue(actor_options={"name": "a queue", "num_cpus": 1})
    q.put(1)
    assert "a queue" in sundog.util.list_named_actors()
    with pytest.raises(ValueError, match="did you mean 'num_cpus'"):
        Queue(actor_options={"num_cpu": 1})
