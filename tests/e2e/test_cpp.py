"""Python and C++ call each other: the example's worker and driver."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sundog
from sundog import _paths
from sundog.exceptions import ActorDiedError, TaskError

BUILD = Path(_paths.daemon()).parent
WORKER, DRIVER = BUILD / "worker", BUILD / "driver"

pytestmark = pytest.mark.skipif(not WORKER.exists(), reason="the C++ examples are not built")


@pytest.fixture
def cpp_worker(session: None) -> Iterator[None]:
    (socket,) = _paths.running_sockets()
    worker = subprocess.Popen([str(WORKER), "--address", socket])
    yield
    sundog.shutdown()
    assert worker.wait(timeout=20) is not None


def test_python_calls_cpp_by_name(cpp_worker: None) -> None:
    add, scaled = sundog.cpp_function("add"), sundog.cpp_function("scaled")
    assert sundog.get(add.remote(add.remote(1, 2), 39), timeout=20) == 42
    assert sundog.get(sundog.cpp_function("greet").remote("Python")) == "hello, Python"
    got = sundog.get(scaled.remote(np.full(200_000, 0.5), 4.0))
    assert got.dtype == np.float64 and got.shape == (200_000,) and (got == 2).all()
    small = sundog.get(scaled.remote(sundog.put(np.arange(3.0)), 2.0))
    assert list(small) == [0, 2, 4]


def test_a_cpp_function_has_the_name_that_it_is_given(cpp_worker: None) -> None:
    greet = sundog.cpp_function("greet").options(name="polite")
    assert sundog.get(greet.remote("Python"), timeout=20) == "hello, Python"
    with pytest.raises(TaskError, match="in polite, pid"):
        sundog.get(greet.remote(""))


def test_dictionaries_and_structs_pass_both_ways(cpp_worker: None) -> None:
    moved = sundog.cpp_function("moved")
    points = {"a": {"x": 1.0, "y": 2}, "b": {"x": 0.5, "y": -1.0, "unused": [1, "two"]}}
    got = sundog.get(moved.remote(points, {"x": 1, "y": 1}), timeout=20)
    assert got == {"a": {"x": 2.0, "y": 3.0}, "b": {"x": 1.5, "y": 0.0}}
    with pytest.raises(TaskError, match="no 'y'"):
        sundog.get(moved.remote({"a": {"x": 1.0}}, {"x": 1, "y": 1}))
    with pytest.raises(TaskError, match=r"a builtins\.range of Python, which C\+\+ cannot read"):
        sundog.get(sundog.cpp_function("greet").remote(range(3)))


def test_exception_of_cpp_is_a_task_error(cpp_worker: None) -> None:
    with pytest.raises(TaskError, match="nobody to greet"):
        sundog.get(sundog.cpp_function("greet").remote(""), timeout=20)


def test_python_makes_and_calls_actors_of_cpp(cpp_worker: None) -> None:
    counter = sundog.cpp_actor_class("Counter").options(name="hits").remote(5)
    assert sundog.get(counter.add.remote(2), timeout=20) == 7
    assert sundog.get(sundog.get_actor("hits").value.remote()) == 7
    with pytest.raises(TaskError, match="as asked"):
        sundog.get(counter.fail.remote())
    with pytest.raises(TaskError, match='has no method "nothing"'):
        sundog.get(counter.nothing.remote())
    add = sundog.cpp_function("add")
    assert sundog.get(add.remote(counter.add.remote(1), 1)) == 9
    assert sundog.get(ask.remote(counter)) == 8
    sundog.get(counter.stop.remote())
    with pytest.raises(ActorDiedError):
        sundog.get(counter.value.remote())


@sundog.remote
def ask(counter: "sundog._actor.ActorHandle[object]") -> object:
    return sundog.get(counter.value.remote())


def test_session_starts_the_workers_it_was_told_of() -> None:
    with sundog.init(num_cpus=2, cpp_worker=WORKER, logging_level="warning"):
        total = sundog.cpp_function("sum_to").remote(20)
        counter = sundog.cpp_actor_class("Counter").remote(0)
        assert sundog.get([total, counter.add.remote(1)], timeout=20) == [210, 1]


def test_program_of_workers_is_checked() -> None:
    with pytest.raises(ValueError, match="is /no/such/program, which is no program"):
        sundog.init(cpp_worker="/no/such/program")
    with pytest.raises(TypeError, match="cpp_worker is the path of a program, got 3"):
        sundog.init(cpp_worker=3)


def test_cpp_workers_are_started_when_those_there_wait(cpp_worker: None) -> None:
    sums = [sundog.cpp_function("sum_to").remote(10) for _ in range(6)]
    assert sundog.get(sums, timeout=60) == [55] * 6


def test_cpp_program_calls_cpp_and_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(DRIVER), str(WORKER), sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == 0, done.stderr
    assert "add: 42" in done.stdout
    assert "scaled: 1000000 times 2" in done.stdout
    assert "Python says 1.41421" in done.stdout
