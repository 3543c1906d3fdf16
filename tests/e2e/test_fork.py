"""Children that user code forks are no clients, and read what their parent had."""

import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import of_every_process, session_processes, until

import sundog

MB = 1 << 20


def in_child(function: Callable[[], object]) -> str:
    """Runs a function in a forked child; what it returned or raised, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = repr(function())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


@sundog.remote
def square(x: int) -> int:
    return x * x


def test_child_reads_arrays_and_is_no_client(session: None) -> None:
    ref = sundog.put(np.arange(MB))
    array = sundog.get(ref)
    assert in_child(lambda: int(array.sum())) == str(MB * (MB - 1) // 2)
    for use in (
        lambda: sundog.get(ref),
        lambda: sundog.put(1),
        lambda: sundog.wait([ref]),
        lambda: square.remote(1),
    ):
        text = in_child(use)
        assert text.startswith("SundogError: this process was forked"), text
        assert 'init(address="auto")' in text
    assert in_child(sundog.is_initialized) == "False"
    assert in_child(sundog.shutdown) == "None"
    assert sundog.get(square.remote(5)) == 25
    assert array[7] == 7


def test_array_of_a_child_outlives_the_parents(session: None) -> None:
    """Two children read an array that the parent drops, while the store is filled ten times."""
    ref = sundog.put(np.full(8 * MB, 7, dtype="u1"))
    array = sundog.get(ref)
    pipes = []
    for _ in range(2):
        go, tell = os.pipe()
        done, report = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(go, 1)
            os.write(report, b"good" if int(array.min()) == int(array.max()) == 7 else b"bad!")
            os._exit(0)
        os.close(go)
        os.close(report)
        pipes.append((pid, tell, done))
    del array, ref
    for i in range(10 * 256 // 32):
        sundog.put(np.full(32 * MB, i % 7, dtype="u1"))
    for pid, tell, done in pipes:
        os.write(tell, b"x")
        assert os.read(done, 4) == b"good"
        os.waitpid(pid, 0)
        os.close(tell)
        os.close(done)


def test_child_becomes_a_client_when_it_asks(session: None) -> None:
    def join() -> object:
        sundog.init(address="auto", logging_level="warning")
        result = sundog.get(square.remote(6))
        sundog.shutdown()
        return result

    assert in_child(join) == "36"
    assert sundog.get(square.remote(7)) == 49


def test_multiprocessing_in_driver_and_task(session: None) -> None:
    array = sundog.get(sundog.put(np.ones(MB)))
    context = multiprocessing.get_context("fork")

    def total(queue: "multiprocessing.Queue[float]") -> None:
        queue.put(float(array.sum()))

    queue = context.Queue()
    child = context.Process(target=total, args=(queue,))
    child.start()
    assert queue.get(timeout=20) == MB
    child.join()
    queue.close()
    queue.join_thread()

    @sundog.remote
    def fork_inside(a: np.ndarray) -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(int(a[0]))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert sundog.get(fork_inside.remote(sundog.put(np.full(MB, 3)))) == 3


def test_workers_draw_different_numbers(session: None) -> None:
    @sundog.remote
    def draw() -> tuple[int, float, float, str]:
        import time
        import uuid

        time.sleep(0.1)  # so that each has a worker of its own
        return os.getpid(), random.random(), float(np.random.rand()), str(uuid.uuid4())

    drawn = sundog.get([draw.remote() for _ in range(4)])
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 4


FIFTY = 50


def workers_that_mapped(name: bytes) -> set[int]:
    """Processes of the tests' sessions, but for this one, that have a library of that name."""
    ours = session_processes() - {os.getpid()}
    return {pid for pid, maps in of_every_process("maps") if pid in ours and name in maps}


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_fifty_workers_with_imports_draw_different_numbers_and_have_few_threads() -> None:
    sundog.init(
        num_cpus=FIFTY,
        preload=["numpy", "sklearn.linear_model"],
        object_store_memory=64 << 20,
        logging_level="warning",
    )
    # Those that began before the imports were done are replaced, and then the zygote has them too.
    until(
        lambda: len(workers_that_mapped(b"/sklearn/")) > FIFTY,
        "fifty workers began with what the zygote imported",
        seconds=60,
    )

    @sundog.remote
    def draw(folder: str) -> tuple[object, ...]:
        import sys
        import uuid

        Path(folder, str(os.getpid())).touch()
        while len(os.listdir(folder)) < FIFTY:  # each has a worker of its own
            time.sleep(0.02)
        preloaded = "sklearn.linear_model" in sys.modules
        from sklearn.linear_model import LinearRegression

        values = np.random.rand(50, 3)
        LinearRegression().fit(values, values[:, 0])
        threads = len(os.listdir("/proc/self/task"))
        drawn = random.random(), float(values[0, 0]), np.random.default_rng().random()
        return threads, preloaded, os.getpid(), *drawn, uuid.uuid4().hex, uuid.uuid1().hex

    with tempfile.TemporaryDirectory() as folder:
        told = sundog.get([draw.remote(folder) for _ in range(FIFTY)], timeout=60)
    threads, preloaded, *columns = zip(*told, strict=True)
    assert max(threads) <= 3 and all(preloaded)
    assert [len(set(column)) for column in columns] == [FIFTY] * 6


def test_worker_has_few_threads(session: None) -> None:
    @sundog.remote
    def count() -> int:
        np.ones((300, 300)) @ np.ones((300, 300))
        return len(os.listdir("/proc/self/task"))

    assert max(sundog.get([count.remote() for _ in range(8)])) <= 3
