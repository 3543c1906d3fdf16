"""joblib and scikit-learn on a session, beside joblib's own processes."""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from conftest import run_program

import sundog
from sundog.util.joblib import register_sundog


@pytest.fixture
def session_of_two() -> None:
    sundog.init(num_cpus=2, object_store_memory=256 << 20, logging_level="error")
    register_sundog()


@pytest.fixture(params=["threading", "sundog"])
def backend(request: pytest.FixtureRequest, session_of_two: None) -> Iterator[str]:
    with joblib.parallel_config(request.param, n_jobs=2):
        yield request.param


def square(x: int) -> int:
    return x * x


def fail_at_7(x: int) -> int:
    if x == 7:
        raise ValueError(f"not {x}")
    return x


def test_parallel_returns_what_the_calls_do(backend: str) -> None:
    calls = [joblib.delayed(square)(x) for x in range(500)]
    assert joblib.Parallel()(calls) == [x * x for x in range(500)]
    assert joblib.Parallel()([]) == []
    results = joblib.Parallel(return_as="generator")(calls)
    assert list(results) == [x * x for x in range(500)]
    assert sorted(joblib.Parallel(return_as="generator_unordered")(calls))[-1] == 499 * 499
    assert joblib.Parallel(batch_size=100)(calls)[99] == 99 * 99


def test_an_exception_is_raised_and_the_next_calls_work(backend: str) -> None:
    with pytest.raises(ValueError, match="not 7"):
        joblib.Parallel()(joblib.delayed(fail_at_7)(x) for x in range(100))
    assert joblib.Parallel()(joblib.delayed(square)(x) for x in range(3)) == [0, 1, 4]


def test_a_timeout_is_raised(session_of_two: None, tmp_path: Path) -> None:
    path = tmp_path / "open"

    def wait_for(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.002)

    with pytest.raises((TimeoutError, multiprocessing.TimeoutError)):
        joblib.Parallel(backend="sundog", n_jobs=2, timeout=0.1)(
            joblib.delayed(wait_for)(str(path)) for _ in range(2)
        )
    path.touch()


def test_calls_run_in_workers_and_not_more_of_them_than_asked_for(session_of_two: None) -> None:
    def where(_: int) -> int:
        time.sleep(0.01)
        return os.getpid()

    with joblib.parallel_config("sundog", n_jobs=-1):
        pids = set(joblib.Parallel()(joblib.delayed(where)(x) for x in range(10)))
    assert os.getpid() not in pids and 1 <= len(pids) <= 2
    with joblib.parallel_config("sundog", n_jobs=1):
        assert set(joblib.Parallel()(joblib.delayed(where)(x) for x in range(3))) == {os.getpid()}


def add_one(array: Any) -> tuple[bool, float]:
    array += 1  # in place
    return array.flags.writeable, float(array[0])


@pytest.mark.parametrize("size", [10, 200_000])
def test_arrays_are_writable_and_everybody_has_their_own(session_of_two: None, size: int) -> None:
    array = np.zeros(size)
    with joblib.parallel_config("sundog", n_jobs=2):
        found = joblib.Parallel(batch_size=1)(joblib.delayed(add_one)(array) for _ in range(6))
    assert found == [(True, 1.0)] * 6 and array[0] == 0.0


def test_a_large_array_of_many_calls_is_stored_once(session_of_two: None) -> None:
    array = np.ones(1 << 20)

    def total(array: Any, n: int) -> float:
        return float(array.sum()) + n

    with joblib.parallel_config("sundog", n_jobs=2):
        found = joblib.Parallel(batch_size=1)(
            joblib.delayed(total)(array, n) for n in range(100)
        )  # 800 MB, were it copied: more than the store has
    assert found == [array.size + n for n in range(100)]


def test_scikit_learn_finds_what_it_finds_alone(tmp_path: Path) -> None:
    """In a process of its own, for the threads that scikit-learn starts stay."""
    done = run_program(
        """
        import joblib
        import sundog
        from sklearn.cluster import DBSCAN
        from sklearn.datasets import make_blobs
        from sklearn.model_selection import GridSearchCV
        from sklearn.neighbors import KNeighborsClassifier
        from sundog.util.joblib import register_sundog

        sundog.init(num_cpus=2, logging_level="error")
        register_sundog()
        points, classes = make_blobs(n_samples=2000, centers=5, cluster_std=0.4, random_state=7)
        alone = DBSCAN(eps=0.3, algorithm="kd_tree").fit(points).labels_
        assert len(set(alone)) > 3
        grid = {"n_neighbors": [1, 5, 20]}
        found_alone = GridSearchCV(KNeighborsClassifier(), grid, cv=3).fit(points, classes)
        with joblib.parallel_backend("sundog"):
            for algorithm in ("kd_tree", "ball_tree", "brute"):
                labels = DBSCAN(eps=0.3, algorithm=algorithm, n_jobs=2).fit(points).labels_
                assert (labels == alone).all(), algorithm
            found = GridSearchCV(KNeighborsClassifier(), grid, cv=3).fit(points, classes)
        assert found.best_params_ == found_alone.best_params_
        assert list(found.cv_results_["mean_test_score"]) == list(
            found_alone.cv_results_["mean_test_score"]
        )
        ran = {event["name"] for event in sundog.timeline() if event.get("ph") == "X"}
        assert "_fit_and_score" in ran and len(ran) >= 2, ran
        print("as alone")
        """,
        tmp_path,
    )
    assert done.stdout == "as alone\n", done.stderr


def test_options_are_those_of_tasks(session_of_two: None) -> None:
    def gpus() -> list[int]:
        return sundog.get_gpu_ids()

    calls = [joblib.delayed(gpus)() for _ in range(2)]
    with joblib.parallel_config("sundog", n_jobs=2, num_cpus=2):
        assert joblib.Parallel()(calls) == [[], []]
    with (
        pytest.raises(ValueError, match="did you mean 'num_cpus'"),
        joblib.parallel_config("sundog", n_jobs=2, num_cpu=2),
    ):
        joblib.Parallel()(calls)


def test_the_name_that_programs_of_ray_use(session_of_two: None) -> None:
    compat = str(Path(__file__).resolve().parent.parent.parent / "compat" / "ray")
    if compat not in sys.path:
        sys.path.insert(0, compat)
    import importlib

    importlib.import_module("ray.util.joblib").register_ray()
    with joblib.parallel_backend("ray", ray_remote_args={"num_cpus": 1}, n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(square)(x) for x in range(4))
    assert found == [0, 1, 4, 9]
