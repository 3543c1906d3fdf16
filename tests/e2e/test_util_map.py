"""`sundog.map`, `as_completed` and `map_unordered`."""

import itertools
import operator
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sundog
from sundog.util import as_completed, map_unordered

pytestmark = pytest.mark.usefixtures("session")


def square(x: int) -> int:
    return x * x


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(sundog.map(square, range(5000))) == [x * x for x in range(5000)]
    assert list(sundog.map(square, [])) == []
    assert list(sundog.map(operator.add, range(300), range(100, 300))) == [
        100 + 2 * x for x in range(200)
    ]


def test_unordered_results_are_the_same_ones_and_the_first_ready_comes_first(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "open"

    def wait_if_first(x: int) -> int:
        while x == 0 and not gate.exists():
            time.sleep(0.002)
        return x

    results = sundog.map(wait_if_first, range(40), ordered=False, chunksize=1)
    first = [next(results) for _ in range(39)]
    gate.touch()
    assert sorted(first) == list(range(1, 40)) and list(results) == [0]


def test_trivial_items_share_tasks_and_long_ones_have_their_own() -> None:
    def where(x: int) -> str:
        return sundog.get_runtime_context().get_task_id()

    assert len(set(sundog.map(where, range(20_000)))) < 1000

    def slow(x: int) -> str:
        time.sleep(0.006)
        return where(x)

    assert len(set(sundog.map(slow, range(20)))) == 20
    assert len(set(sundog.map(where, range(100), chunksize=25))) == 4


def test_an_endless_input_is_read_a_window_ahead() -> None:
    read = itertools.count()
    results = sundog.map(square, read, chunksize=1)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert next(read) <= 3 + 4 * 4 + 1
    results.close()  # type: ignore[attr-defined]


def test_what_an_item_raised_comes_in_its_place_and_ends_it() -> None:
    def picky(x: int) -> int:
        if x == 777:
            raise ValueError(f"not {x}")
        return x

    came = []
    with pytest.raises(ValueError, match="not 777") as caught:
        for value in sundog.map(picky, range(2000)):
            came.append(value)
    assert came == list(range(777))
    assert isinstance(caught.value, sundog.exceptions.TaskError)
    assert "in picky" in "".join(traceback.format_exception(caught.value))


def test_options_of_a_remote_function_count() -> None:
    @sundog.remote(num_cpus=4)
    def alone(x: int) -> tuple[float, float]:
        began = time.monotonic()
        time.sleep(0.01)
        return began, time.monotonic()

    times = sorted(sundog.map(alone, range(6), chunksize=1))
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))

    def fails_once(path: str) -> str:
        if not os.path.exists(path):
            Path(path).touch()
            raise RuntimeError("the first time")
        return path

    path = str(Path(os.environ["SUNDOG_HOME"]) / "failed_once")
    assert list(sundog.map(fails_once, [path], retry_exceptions=True)) == [path]


def test_large_items_come_in_small_chunks() -> None:
    def total(array: Any) -> tuple[float, str]:
        return float(array[0]), sundog.get_runtime_context().get_task_id()

    results = list(sundog.map(total, (np.full(1 << 17, i, float) for i in range(64))))
    assert [value for value, _ in results] == list(range(64))
    tasks = [task for _, task in results]
    assert max(tasks.count(task) for task in set(tasks)) <= 8  # of 8 MB


def test_tasks_may_map() -> None:
    @sundog.remote
    def outer(n: int) -> int:
        return sum(sundog.map(square, range(n)))

    assert sundog.get([outer.remote(50) for _ in range(6)]) == [sum(x * x for x in range(50))] * 6


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: sundog.map(square), ValueError, "at least one iterable"),
        (lambda: sundog.map(3, [1]), TypeError, "takes a function first, got int"),
        (lambda: sundog.map(square, [1], chunksize=0), ValueError, "from 1 on, got 0"),
        (lambda: sundog.map(square, [1], num_returns=2), ValueError, "leave num_returns out"),
        (lambda: sundog.map(square, [1], num_cpu=2), ValueError, "did you mean 'num_cpus'"),
        (lambda: list(sundog.map(square, 5)), TypeError, "not iterable"),  # type: ignore[arg-type]
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_as_completed_yields_what_ends_first(tmp_path: Path) -> None:
    gate = tmp_path / "open"

    @sundog.remote
    def waits(x: int) -> int:
        while x == 0 and not gate.exists():
            time.sleep(0.002)
        return x

    refs = [waits.remote(x) for x in range(30)]
    results = as_completed(refs)
    assert sorted(itertools.islice(results, 29)) == list(range(1, 30))
    gate.touch()
    assert list(results) == [0]
    assert sorted(sundog.get(list(as_completed(refs, yield_obj_refs=True)))) == list(range(30))
    with pytest.raises(TypeError, match="unexpected keyword 'chunks'"):
        as_completed(refs, chunks=3)


def test_map_unordered_keeps_to_its_backpressure() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    @sundog.remote
    def twice(x: int) -> int:
        return 2 * x

    results = map_unordered(twice, items(), backpressure_size=10)
    first = next(results)
    assert taken <= 20
    assert sorted([first, *results]) == [2 * x for x in range(200)]
    assert sorted(map_unordered(twice, range(5), backpressure_size=None)) == [0, 2, 4, 6, 8]
    with pytest.raises(TypeError, match="takes a remote function, got function"):
        map_unordered(square, [1])  # type: ignore[arg-type]


def test_a_map_that_is_given_up_leaves_nothing() -> None:
    results = sundog.map(square, range(100_000))
    assert next(results) == 0  # the fixture finds what is left of the rest
