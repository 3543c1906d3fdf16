"""`sundog.util.multiprocessing.Pool` beside `multiprocessing.Pool`: the same assertions."""

import functools
import gc
import multiprocessing
import multiprocessing.pool
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import held_here, until

import sundog
from sundog.util import multiprocessing as ours

Make = Callable[..., Any]
TOO_LONG = 20.0


@pytest.fixture(params=["multiprocessing", "sundog"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a pool of either kind."""
    if request.param == "multiprocessing":
        yield multiprocessing.get_context("fork").Pool
    else:
        sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")
        yield ours.Pool


@pytest.fixture
def session_of_two() -> None:
    sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")


def square(x: int) -> int:
    return x * x


def add(a: int, b: int = 0, *, more: int = 0) -> int:
    return a + b + more


def pid_of(_: object = None) -> int:
    return os.getpid()


def fail_at_7(x: int) -> int:
    if x == 7:
        raise ValueError(f"not {x}")
    return x


def wait_for(path: str) -> str:
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


_state: dict[str, Any] = {}


def remember(value: object) -> None:
    _state["value"] = value


def recall(_: object = None) -> Any:
    return _state.get("value")


def test_apply_and_maps_return_what_the_functions_do(make: Make) -> None:
    with make(2) as pool:
        assert pool.apply(add, (1, 2), {"more": 3}) == 6
        assert pool.map(square, range(100)) == [x * x for x in range(100)]
        assert pool.map(square, (x for x in range(10)), chunksize=3) == [x * x for x in range(10)]
        assert pool.map(square, []) == []
        assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
        assert list(pool.imap(square, range(20))) == [x * x for x in range(20)]
        assert list(pool.imap(square, range(20), chunksize=6)) == [x * x for x in range(20)]
        assert sorted(pool.imap_unordered(square, range(20))) == [x * x for x in range(20)]
        assert sorted(pool.imap_unordered(square, range(20), 7)) == [x * x for x in range(20)]
        assert pool.map(int, ["1", "2"]) == [1, 2]
        assert pool.map(functools.partial(add, 10), range(3)) == [10, 11, 12]


def test_results_come_later(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "open")
    with make(2) as pool:
        result = pool.apply_async(wait_for, (path,))
        assert not result.ready()
        with pytest.raises(ValueError, match="not ready"):
            result.successful()
        with pytest.raises(multiprocessing.TimeoutError):
            result.get(timeout=0.01)
        result.wait(0.01)
        assert not result.ready()
        Path(path).touch()
        assert result.get(TOO_LONG) == path
        assert result.ready() and result.successful()
        assert pool.map_async(square, range(10)).get(TOO_LONG) == [x * x for x in range(10)]
        assert pool.starmap_async(add, [(1, 1)]).get(TOO_LONG) == [2]


def test_callbacks_come_before_the_result(make: Make) -> None:
    told: list[Any] = []
    with make(2) as pool:
        pool.apply_async(square, (3,), callback=told.append).get(TOO_LONG)
        pool.map_async(square, range(3), callback=told.append).get(TOO_LONG)
        assert pool.map_async(square, [], callback=told.append).get(TOO_LONG) == []
        failed = pool.apply_async(fail_at_7, (7,), callback=told.append, error_callback=told.append)
        failed.wait(TOO_LONG)
        assert failed.ready() and not failed.successful()
    assert told[:2] == [9, [0, 1, 4]]
    assert isinstance(told[2], ValueError) and len(told) == 3


def test_exceptions_are_raised_where_results_would_be(make: Make) -> None:
    with make(2) as pool:
        for call in (
            lambda: pool.apply(fail_at_7, (7,)),
            lambda: pool.map(fail_at_7, range(10)),
            lambda: pool.starmap(fail_at_7, [(7,)]),
            lambda: list(pool.imap_unordered(fail_at_7, range(10))),
        ):
            with pytest.raises(ValueError, match="not 7"):
                call()
        results = pool.imap(fail_at_7, range(10))
        assert [next(results) for _ in range(7)] == list(range(7))
        with pytest.raises(ValueError, match="not 7"):
            next(results)
        assert list(results) == [8, 9]
        assert pool.apply(square, (2,)) == 4  # the pool goes on


def test_a_result_that_failed_keeps_no_reference(session_of_two: None) -> None:
    gc.disable()  # nor is there a cycle
    try:
        with ours.Pool(1) as pool:
            result = pool.apply_async(fail_at_7, (7,))
            result.wait(TOO_LONG)
            assert not result.successful()
        until(lambda: not held_here(), lambda: f"{result} keeps nothing: {held_here()}")
    finally:
        gc.enable()


def test_imap_has_a_timeout_and_ends(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "open")
    with make(2) as pool:
        results = pool.imap(wait_for, [path])
        with pytest.raises(multiprocessing.TimeoutError):
            results.next(timeout=0.01)
        Path(path).touch()
        assert results.next(timeout=TOO_LONG) == path
        with pytest.raises(StopIteration):
            results.next(timeout=TOO_LONG)


def test_an_exception_of_the_input_comes_after_the_results_before_it(make: Make) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise KeyError("no more")

    with make(2) as pool:
        results = pool.imap(square, items())
        assert [next(results), next(results)] == [1, 4]
        with pytest.raises(KeyError, match="no more"):
            next(results)


def test_the_initializer_runs_in_every_process(make: Make) -> None:
    with make(2, initializer=remember, initargs=("kept",)) as pool:
        assert set(pool.map(recall, range(20), chunksize=1)) == {"kept"}
    assert recall() is None


def test_there_are_as_many_processes_as_asked_for(make: Make, tmp_path: Path) -> None:
    with make(3) as pool:
        paths = [str(tmp_path / str(n)) for n in range(3)]
        results = [pool.apply_async(meet, (path, paths)) for path in paths]
        assert len({result.get(TOO_LONG) for result in results} - {os.getpid()}) == 3
        assert len(set(pool.map(pid_of, range(60), chunksize=1))) <= 3


def meet(own: str, all_of_them: list[str]) -> int:
    """Returns when all are there at once."""
    Path(own).touch()
    for path in all_of_them:
        wait_for(path)
    return os.getpid()


def test_processes_are_replaced_after_their_number_of_calls(make: Make) -> None:
    with make(1, maxtasksperchild=2) as pool:
        pids = [pool.apply(pid_of) for _ in range(6)]
        assert len(set(pids)) == 3
        assert [pids[0] == pids[1], pids[1] == pids[2]] == [True, False]


def test_after_close_calls_are_refused_and_join_waits(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "open")
    pool = make(2)
    with pytest.raises(ValueError, match="Pool is still running"):
        pool.join()
    result = pool.apply_async(wait_for, (path,))
    later = pool.imap(square, range(100))
    pool.close()
    for call in (pool.apply, pool.apply_async):
        with pytest.raises(ValueError, match="Pool not running"):
            call(square, (1,))
    for name in ("map", "map_async", "imap", "imap_unordered", "starmap", "starmap_async"):
        with pytest.raises(ValueError, match="Pool not running"):
            getattr(pool, name)(square, [1])
    with pytest.raises(ValueError, match="Pool not running"), pool:
        pass
    Path(path).touch()
    pool.join()
    assert result.ready() and result.get() == path
    assert list(later) == [x * x for x in range(100)]
    pool.terminate()
    pool.join()


def test_terminate_ends_the_processes_under_their_calls(make: Make, tmp_path: Path) -> None:
    pool = make(2)
    pid = pool.apply(pid_of)
    pool.apply_async(wait_for, (str(tmp_path / "never"),))
    pool.apply_async(wait_for, (str(tmp_path / "never"),))
    pool.terminate()
    pool.join()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the process is gone")
    with pytest.raises(ValueError, match="Pool not running"):
        pool.apply(square, (1,))


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"processes": 0}, ValueError, "at least 1"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"maxtasksperchild": 0}, ValueError, "positive int or None"),
        ({"maxtasksperchild": 1.5}, ValueError, "positive int or None"),
    ],
)
def test_wrong_arguments_are_refused(
    make: Make, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make(**{"processes": 1, **given})


def test_chunks_of_less_than_one_are_refused(make: Make) -> None:
    with make(1) as pool:
        for name in ("imap", "imap_unordered"):
            with pytest.raises(ValueError, match=r"Chunksize must be 1\+, not 0"):
                getattr(pool, name)(square, [1], 0)


def test_a_pool_cannot_be_pickled(make: Make) -> None:
    import pickle

    with make(1) as pool, pytest.raises(NotImplementedError, match="cannot be passed between"):
        pickle.dumps(pool)


def first_set_to_nine(array: Any) -> float:
    array[0] = 9.0
    return float(array[0] + array[1])


def zeros(n: int) -> Any:
    return np.zeros(n)


@pytest.mark.parametrize("size", [10, 100_000])
def test_arrays_may_be_written_by_whoever_got_them(make: Make, size: int) -> None:
    array = np.ones(size)
    with make(2) as pool:
        assert pool.map(first_set_to_nine, [array, array]) == [10.0, 10.0]
        assert array[0] == 1.0
        result = pool.apply(zeros, (size,))
        result[0] = 5.0
        assert result[0] == 5.0 and result.shape == (size,)
        del result


def test_calls_that_cannot_be_pickled_fail_with_their_result(make: Make) -> None:
    with make(1) as pool:
        result = pool.apply_async(square, (threading.Lock(),))
        with pytest.raises(TypeError, match="lock"):
            result.get(TOO_LONG)
        assert pool.apply(square, (3,)) == 9


# ---- what only ours does


def test_closures_and_lambdas_can_be_sent(session_of_two: None) -> None:
    offset = 5
    with ours.Pool() as pool:
        assert pool.map(lambda x: x + offset, range(3)) == [5, 6, 7]
        assert repr(pool).endswith("Pool state=RUN pool_size=2>")
        assert ours.cpu_count() == 2


def die(_: object) -> None:
    os._exit(3)


def test_a_process_that_dies_fails_its_call_and_is_replaced(session_of_two: None) -> None:
    with ours.Pool(1) as pool:
        before = pool.apply(pid_of)
        with pytest.raises(sundog.exceptions.ActorDiedError, match="3"):
            pool.apply(die, (1,))
        assert pool.apply(pid_of) != before


def refuse() -> None:
    raise RuntimeError("no database")


def test_an_initializer_that_raises_is_told_by_the_call(session_of_two: None) -> None:
    told = pytest.raises(sundog.exceptions.SundogError, match="RuntimeError: no database")
    with ours.Pool(1, initializer=refuse) as pool, told:
        pool.apply(square, (1,))


def test_what_waits_when_the_pool_is_terminated_is_told(
    session_of_two: None, tmp_path: Path
) -> None:
    pool = ours.Pool(1)
    running = pool.apply_async(wait_for, (str(tmp_path / "never"),))
    waiting = pool.apply_async(square, (1,))
    pool.terminate()
    with pytest.raises(RuntimeError, match="terminated before this call began"):
        waiting.get(TOO_LONG)
    with pytest.raises(sundog.exceptions.ActorDiedError):
        running.get(TOO_LONG)


def test_options_of_the_actors_and_a_context(session_of_two: None) -> None:
    with ours.Pool(1, ray_remote_args={"num_cpus": 1}):
        until(lambda: sundog.available_resources().get("CPU", 0) == 1, "the actor holds a CPU")
    with pytest.raises(ValueError, match="context has no meaning here"):
        ours.Pool(1, context=multiprocessing.get_context("spawn"))  # type: ignore[arg-type]


def test_pools_in_tasks_do_not_wait_for_the_cpu_of_their_task() -> None:
    sundog.init(num_cpus=1, logging_level="error")

    @sundog.remote
    def outer(n: int) -> int:
        with ours.Pool(2) as pool:
            return sum(pool.map(square, range(n)))

    assert sundog.get(outer.remote(10), timeout=TOO_LONG) == 285


def test_a_pool_starts_a_session_by_itself() -> None:
    with ours.Pool(2) as pool:
        assert sundog.is_initialized()
        assert pool.map(square, range(3)) == [0, 1, 4]


def test_many_threads_use_one_pool(session_of_two: None) -> None:
    found: list[int] = []
    with ours.Pool(2) as pool:

        def use(n: int) -> None:
            found.extend(pool.map(square, range(n, n + 20)))

        threads = [threading.Thread(target=use, args=(n,)) for n in range(0, 100, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [x * x for x in range(100)]
