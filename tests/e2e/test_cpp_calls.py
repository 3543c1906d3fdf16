"""Cancelling, several results, streams and keywords between Python and C++."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sundog
from sundog import _paths
from sundog.exceptions import TaskCancelledError

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
