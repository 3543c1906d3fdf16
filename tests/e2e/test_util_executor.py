"""`sundog.util.Executor` beside `ProcessPoolExecutor`: the same assertions for both."""

import concurrent.futures
import multiprocessing
import operator
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_program

import sundog
from sundog.util import Executor

Make = Callable[..., concurrent.futures.Executor]
TOO_LONG = 20.0


def theirs(*args: Any, **kwargs: Any) -> concurrent.futures.Executor:
    context = multiprocessing.get_context("fork")
    return concurrent.futures.ProcessPoolExecutor(*args, mp_context=context, **kwargs)


@pytest.fixture(params=["concurrent.futures", "sundog"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes an executor of either kind."""
    if request.param == "concurrent.futures":
        yield theirs
    else:
        sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")
        yield Executor


@pytest.fixture
def session_of_two() -> None:
    sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")


def square(x: int) -> int:
    return x * x


def fail_at_7(x: int) -> int:
    if x == 7:
        raise ValueError(f"not {x}")
    return x


def wait_for(path: str, value: object = None) -> object:
    while not os.path.exists(path):
        time.sleep(0.002)
    return value


_state: dict[str, Any] = {}


def remember(value: object) -> None:
    _state["value"] = value


def recall() -> Any:
    return _state.get("value")


def refuse() -> None:
    raise RuntimeError("no database")


def test_submit_returns_a_future_of_the_library(make: Make) -> None:
    with make(2) as executor:
        future = executor.submit(pow, 2, 5)
        assert isinstance(future, concurrent.futures.Future)
        assert future.result(TOO_LONG) == 32
        assert future.done() and not future.cancelled() and not future.cancel()
        assert future.exception() is None
        failed = executor.submit(fail_at_7, x=7)
        assert isinstance(failed.exception(TOO_LONG), ValueError)
        with pytest.raises(ValueError, match="not 7"):
            failed.result()


def test_map_is_in_order_with_chunks_and_several_iterables(make: Make) -> None:
    with make(2) as executor:
        assert list(executor.map(square, range(30))) == [x * x for x in range(30)]
        assert list(executor.map(square, range(30), chunksize=7)) == [x * x for x in range(30)]
        assert list(executor.map(operator.add, [1, 2, 3], [10, 20])) == [11, 22]
        assert list(executor.map(square, [])) == []
        results = executor.map(fail_at_7, range(10))
        assert [next(results) for _ in range(7)] == list(range(7))
        with pytest.raises(ValueError, match="not 7"):
            next(results)
        assert list(results) == []
        with pytest.raises(ValueError, match="chunksize must be >= 1"):
            executor.map(square, [1], chunksize=0)


def test_map_has_a_timeout(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "open"
    with make(2) as executor:
        results = executor.map(wait_for, [str(path)], timeout=0.05)
        with pytest.raises(concurrent.futures.TimeoutError):
            next(results)
        path.touch()


def test_wait_and_as_completed_work_with_its_futures(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "open"
    with make(2) as executor:
        slow = executor.submit(wait_for, str(path), "slow")
        quick = [executor.submit(square, x) for x in range(10)]
        done, rest = concurrent.futures.wait([slow, *quick], timeout=0.0)
        assert slow in rest
        done, rest = concurrent.futures.wait(quick, timeout=TOO_LONG)
        assert len(done) == 10 and not rest
        came = concurrent.futures.as_completed([slow, *quick])
        assert {next(came) for _ in range(10)} == set(quick)
        path.touch()
        assert next(came).result() == "slow"
        first = concurrent.futures.wait([slow], return_when=concurrent.futures.FIRST_COMPLETED)
        assert first.done == {slow}


def test_callbacks_get_the_future_and_may_raise(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    ended = threading.Event()
    with make(1) as executor:
        future = executor.submit(square, 3)
        future.add_done_callback(lambda f: 1 // 0)
        future.add_done_callback(lambda f: (told.append(f.result()), ended.set()))
        assert ended.wait(TOO_LONG) and told == [9]
        assert executor.submit(square, 4).result(TOO_LONG) == 16
    assert "exception calling callback" in caplog.text
    caplog.clear()  # it has the frames of the exception


def test_what_has_not_begun_can_be_cancelled(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "open"
    with make(1) as executor:
        futures = [executor.submit(wait_for, str(path), n) for n in range(8)]
        assert futures[-1].cancel() and futures[-1].cancelled()
        with pytest.raises(concurrent.futures.CancelledError):
            futures[-1].result()
        path.touch()
        assert [f.result(TOO_LONG) for f in futures[:4]] == [0, 1, 2, 3]
        assert futures[0].cancel() is False


def test_shutdown_waits_and_refuses(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "open"
    executor = make(1)
    futures = [executor.submit(wait_for, str(path), n) for n in range(4)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(square, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(square, [1])
    path.touch()
    executor.shutdown()
    assert [f.result(TOO_LONG) for f in futures] == [0, 1, 2, 3]


def test_shutdown_cancels_what_has_not_begun(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "open"
    executor = make(1)
    futures = [executor.submit(wait_for, str(path), n) for n in range(8)]
    futures[-1].add_done_callback(lambda f: path.touch())
    executor.shutdown(cancel_futures=True)
    assert futures[0].result(TOO_LONG) == 0
    assert all(f.cancelled() for f in futures[3:])
    with pytest.raises(concurrent.futures.CancelledError):
        futures[-1].result()


def test_an_initializer_runs_in_its_processes(make: Make) -> None:
    with make(2, initializer=remember, initargs=("kept",)) as executor:
        assert executor.submit(recall).result(TOO_LONG) == "kept"
    assert recall() is None


def test_an_initializer_that_raises_breaks_it(make: Make) -> None:
    with make(1, initializer=refuse) as executor:
        futures = [executor.submit(square, n) for n in range(3)]
        for future in futures:
            with pytest.raises(BrokenProcessPool):
                future.result(TOO_LONG)
        with pytest.raises(BrokenProcessPool):
            executor.submit(square, 1)


def test_arguments_that_cannot_be_pickled_are_the_futures_error(make: Make) -> None:
    with make(1) as executor:
        future = executor.submit(square, threading.Lock())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="lock"):
            future.result(TOO_LONG)
        assert executor.submit(square, 3).result(TOO_LONG) == 9


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"max_tasks_per_child": 1.5}, TypeError, "max_tasks_per_child must be an integer"),
    ],
)
def test_wrong_arguments_are_refused(
    make: Make, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make(**given)


def write_first(array: Any) -> float:
    array[0] = 9.0
    return float(array.sum())


@pytest.mark.parametrize("size", [10, 100_000])
def test_arrays_may_be_written(make: Make, size: int) -> None:
    array = np.ones(size)
    with make(2) as executor:
        assert executor.submit(write_first, array).result(TOO_LONG) == size + 8
    assert array[0] == 1.0


def test_no_more_run_at_once_than_asked_for(make: Make, tmp_path: Path) -> None:
    with make(2) as executor:
        counts = list(executor.map(count_running, [str(tmp_path)] * 12))
    assert max(counts) <= 2


def count_running(folder: str) -> int:
    own = Path(folder) / f"{os.getpid()}.{time.monotonic_ns()}"
    own.touch()
    time.sleep(0.02)
    count = len(os.listdir(folder))
    own.unlink()
    return count


# ---- what only ours does, or what theirs does without fork only


def test_processes_are_replaced_after_their_number_of_calls(session_of_two: None) -> None:
    with Executor(1, max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result(TOO_LONG) for _ in range(4)]
    assert len(set(pids)) == 2 and pids[0] == pids[1]


def test_a_session_with_more_cpus_runs_no_more_either(tmp_path: Path) -> None:
    sundog.init(num_cpus=4, logging_level="error")
    with Executor(2) as executor:
        assert max(executor.map(count_running, [str(tmp_path)] * 12)) <= 2


def test_more_workers_than_cpus_share_them(session_of_two: None, tmp_path: Path) -> None:
    with Executor(6) as executor:
        paths = [str(tmp_path / str(n)) for n in range(6)]
        futures = [executor.submit(meet, path, paths) for path in paths]
        assert len({f.result(TOO_LONG) for f in futures}) == 6


def meet(own: str, all_of_them: list[str]) -> int:
    """Returns when all are there at once."""
    Path(own).touch()
    for path in all_of_them:
        wait_for(path)
    return os.getpid()


def test_a_worker_that_dies_fails_its_call_alone(session_of_two: None) -> None:
    with Executor(2) as executor:
        with pytest.raises(sundog.exceptions.WorkerCrashedError, match="3"):
            executor.submit(os._exit, 3).result(TOO_LONG)
        assert executor.submit(square, 3).result(TOO_LONG) == 9


def test_executors_in_tasks_do_not_wait_for_the_cpu_of_their_task() -> None:
    sundog.init(num_cpus=1, logging_level="error")

    @sundog.remote
    def outer(n: int) -> int:
        with Executor() as executor:
            return sum(executor.map(square, range(n)))

    assert sundog.get(outer.remote(10), timeout=TOO_LONG) == 285


def test_what_was_submitted_is_done_before_the_program_ends(tmp_path: Path) -> None:
    done = run_program(
        f"""
        import sundog, time
        from sundog.util import Executor
        sundog.init(num_cpus=1, logging_level="error")
        def work(n):
            time.sleep(0.01)
            open({str(tmp_path)!r} + f"/done{{n}}", "w").close()
        executor = Executor(1)
        for n in range(5):
            executor.submit(work, n)
        """,
        tmp_path,
    )
    assert done.stderr == ""
    assert len(list(tmp_path.glob("done*"))) == 5


def test_options_are_those_of_tasks(session_of_two: None) -> None:
    with pytest.raises(ValueError, match="did you mean 'num_cpus'"):
        Executor(num_cpu=1)
    with Executor(num_cpus=2) as executor:
        assert list(executor.map(square, range(3))) == [0, 1, 4]
