"""Cancelling, several results, streams and keywords between Python and C++."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def test_python_is_told_that_cpp_has_no_names_of_parameters(cpp: None) -> None:
    with pytest.raises(TaskError, match='take no keyword arguments, got "more"'):
        actor = sundog.cpp_actor_class("Patient").remote()
        sundog.get(actor.counted.remote(more=True), timeout=60)
