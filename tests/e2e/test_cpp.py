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


def test_exception_of_cpp_is_a_task_error(cpp_worker: None) -> None:
    with pytest.raises(sundog.exceptions.TaskError, match="nobody to greet"):
        sundog.get(sundog.cpp_function("greet").remote(""), timeout=20)


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
