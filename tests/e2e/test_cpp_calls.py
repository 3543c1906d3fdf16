"""Cancelling, several results, streams and keywords between Python and C++."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sundog
from sundog import _paths
from sundog.exceptions import TaskCancelledError, TaskError

WORKER = Path(_paths.daemon()).parent / "calls_worker"

pytestmark = pytest.mark.skipif(not WORKER.exists(), reason="the C++ programs are not built")


@pytest.fixture
def cpp() -> Iterator[None]:
    with sundog.init(num_cpus=2, cpp_worker=WORKER, logging_level="warning"):
        yield


def wait_for_file(path: Path) -> None:
    """The functions of the worker tell by files how far they are."""
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.002)


def test_python_cancels_a_cpp_task(cpp: None, tmp_path: Path) -> None:
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"
    slow = sundog.cpp_function("until_stopped").remote(str(begun), str(stopped))
    wait_for_file(begun)
    sundog.cancel(slow)
    with pytest.raises(TaskCancelledError):
        sundog.get(slow, timeout=60)
    assert stopped.exists()


def test_python_cancels_a_call_of_a_cpp_actor(cpp: None, tmp_path: Path) -> None:
    actor = sundog.cpp_actor_class("Patient").remote()
    slow = actor.until_stopped.remote(str(tmp_path / "begun"))
    wait_for_file(tmp_path / "begun")
    sundog.cancel(slow)
    with pytest.raises(TaskCancelledError):
        sundog.get(slow, timeout=60)
    assert sundog.get(actor.calls.remote()) == 1


def test_a_timeout_stops_a_cpp_task(cpp: None, tmp_path: Path) -> None:
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"
    until_stopped = sundog.cpp_function("until_stopped").options(timeout_s=0.05)
    with pytest.raises(sundog.exceptions.TaskTimeoutError):
        sundog.get(until_stopped.remote(str(begun), str(stopped)), timeout=60)
    assert stopped.exists()


@sundog.remote
def until_interrupted(begun: Path, stopped: Path) -> None:
    begun.touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        stopped.touch()
        raise


def test_cpp_cancels_a_python_task(cpp: None, tmp_path: Path) -> None:
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"
    slow: Any = until_interrupted.remote(begun, stopped)
    wait_for_file(begun)
    sundog.get(sundog.cpp_function("cancels").remote([slow]), timeout=60)
    with pytest.raises(TaskCancelledError):
        sundog.get(slow, timeout=60)
    assert stopped.exists()


def test_python_gets_the_parts_of_a_cpp_result(cpp: None) -> None:
    halved = sundog.cpp_function("halved")
    half, word = halved.options(num_returns=2).remote(9)
    assert sundog.get([half, word], timeout=60) == [4, "odd"]
    assert sundog.get(halved.remote(8)) == (4, "even")
    numbers = sundog.cpp_function("numbers").options(num_returns=3)
    assert sundog.get(numbers.remote(3)) == [0, 0.5, 1]
    assert sundog.cpp_function("twice").options(num_returns=0).remote(3) is None
    with pytest.raises(TaskError, match="numbers has num_returns=3, but it returned 5 values"):
        sundog.get(numbers.remote(5)[0])
    with pytest.raises(TaskError, match="num_returns=2, but it returned one value"):
        sundog.get(sundog.cpp_function("twice").options(num_returns=2).remote(1)[1])
    actor = sundog.cpp_actor_class("Patient").remote()
    count, more = actor.counted.options(num_returns=2).remote(True)
    assert sundog.get([count, more]) == [1, True]


def test_one_part_of_what_python_returns_is_no_whole(cpp: None) -> None:
    parts_of_python = sundog.cpp_function("parts_of_python")
    asked = [parts_of_python.remote("builtins:range", count) for count in (0, 1, 3)]
    parts = [list(each) for each in sundog.get(asked, timeout=60)]
    assert parts == [[], [0], [0, 1, 2]]
    with pytest.raises(TaskError, match="num_returns=1, but it returned one int"):
        sundog.get(parts_of_python.remote("builtins:abs", 1))


def test_python_is_told_that_cpp_has_no_names_of_parameters(cpp: None) -> None:
    with pytest.raises(TaskError, match='take no keyword arguments, got "more"'):
        actor = sundog.cpp_actor_class("Patient").remote()
        sundog.get(actor.counted.remote(more=True), timeout=60)


def test_python_takes_what_a_cpp_generator_yields(cpp: None) -> None:
    count_up = sundog.cpp_function("count_up").options(num_returns="streaming")
    assert [sundog.get(ref) for ref in count_up.remote(3, 200)] == list(range(3, 200))
    words = sundog.cpp_function("words").options(num_returns="streaming")
    assert [sundog.get(ref) for ref in words.remote("one two")] == ["one", "two"]
    rows = sundog.cpp_function("rows").options(num_returns="streaming").remote(2, 40_000)
    assert [np.sum(sundog.get(ref)) for ref in rows] == [0, 40_000]
    actor = sundog.cpp_actor_class("Patient").remote()
    each_call = actor.each_call.options(num_returns="streaming")
    assert [sundog.get(ref) for ref in each_call.remote(2)] == [1, 2]


def test_a_cpp_generator_that_throws_ends_with_that(cpp: None) -> None:
    breaks = sundog.cpp_function("breaks_after").options(num_returns="streaming").remote(1)
    assert sundog.get(next(breaks), timeout=60) == 0
    with pytest.raises(TaskError, match="std::out_of_range: no more of them"):
        sundog.get(next(breaks))
    with pytest.raises(StopIteration):
        next(breaks)


def test_a_cpp_generator_waits_for_python_and_ends_when_it_is_closed(
    cpp: None, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    numbered = sundog.cpp_function("numbered").options(
        num_returns="streaming", _generator_backpressure_num_objects=3
    )
    stream: Any = numbered.remote(str(tmp_path), str(closed))
    for i in range(12):
        assert sundog.get(next(stream), timeout=60) == i
        assert not (tmp_path / str(i + 5)).exists()
    assert not closed.exists()
    stream.close()
    wait_for_file(closed)


def test_a_stream_is_asked_of_a_cpp_generator_alone(cpp: None) -> None:
    twice = sundog.cpp_function("twice").options(num_returns="streaming").remote(1)
    with pytest.raises(TaskError, match="it returns no sundog::Generator"):
        sundog.get(next(twice), timeout=60)
    for given in (1, 2):
        refs: Any = sundog.cpp_function("count_up").options(num_returns=given).remote(0, 2)
        with pytest.raises(TaskError, match='call it with num_returns="streaming"'):
            sundog.get(refs)


def test_dynamic_results_of_cpp_come_as_references_at_the_end(cpp: None) -> None:
    count_up = sundog.cpp_function("count_up").options(num_returns="dynamic")
    refs = sundog.get(count_up.remote(2, 40), timeout=60)
    assert isinstance(refs, sundog.DynamicObjectRefGenerator)
    assert sundog.get(list(refs)) == list(range(2, 40))
    assert len(sundog.get(count_up.remote(1, 1))) == 0
    actor = sundog.cpp_actor_class("Patient").remote()
    each_call = actor.each_call.options(num_returns="dynamic")
    assert sundog.get(list(sundog.get(each_call.remote(2)))) == [1, 2]
    rows = sundog.cpp_function("rows").options(num_returns="dynamic").remote(2, 40_000)
    assert [np.sum(sundog.get(ref)) for ref in sundog.get(rows)] == [0, 40_000]


def test_an_exception_is_the_last_of_the_dynamic_results_of_cpp(cpp: None) -> None:
    breaks = sundog.cpp_function("breaks_after").options(num_returns="dynamic")
    for given in (0, 2):
        *before, last = sundog.get(breaks.remote(given), timeout=60)
        assert sundog.get(before) == list(range(given))
        with pytest.raises(TaskError, match="std::out_of_range: no more of them"):
            sundog.get(last)
    with pytest.raises(TaskError, match="the value is a string"):
        sundog.get(breaks.remote("no number"))
    twice: Any = sundog.cpp_function("twice").options(num_returns="dynamic").remote(1)
    with pytest.raises(TaskError, match="it returns no sundog::Generator"):
        sundog.get(twice)


def test_a_dynamic_call_of_cpp_is_cancelled_as_a_whole(cpp: None, tmp_path: Path) -> None:
    numbered = sundog.cpp_function("numbered").options(num_returns="dynamic")
    endless = numbered.remote(str(tmp_path), str(tmp_path / "closed"))
    wait_for_file(tmp_path / "3")
    sundog.cancel(endless)
    with pytest.raises(TaskCancelledError):
        sundog.get(endless, timeout=60)
    wait_for_file(tmp_path / "closed")


def yields_then_raises() -> Iterator[int]:
    yield 5
    yield 6
    raise LookupError("that was all")


def test_cpp_takes_what_a_python_generator_yields(cpp: None) -> None:
    sum_of_python = sundog.cpp_function("sum_of_python")
    assert sundog.get(sum_of_python.remote("itertools:count", 5), timeout=60) == 10
    here = f"{__name__}:yields_then_raises"
    assert sundog.get(sum_of_python.remote(here, 2)) == 11
    with pytest.raises(TaskError, match="that was all"):
        sundog.get(sum_of_python.remote(here, 3))
