"""Threads of numeric libraries: as many as a task has CPUs, also where a worker is used again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import run_program

import sundog

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # as good as not set
    sundog.init(num_cpus=4, object_store_memory=64 << 20, logging_level="warning")
    yield


@sundog.remote
def threads() -> tuple[int, set[str | None], set[int]]:
    """The process, what the variables say, and what the loaded BLAS would use."""
    import numpy as np
    import threadpoolctl

    np.ones(2) @ np.ones(2)
    loaded = {lib["num_threads"] for lib in threadpoolctl.threadpool_info()}
    return os.getpid(), {os.environ.get(name) for name in VARIABLES}, loaded


def test_as_many_as_the_task_has_cpus(four_cpus: None) -> None:
    assert sundog.get(threads.remote())[1:] == ({"1"}, {1})
    assert sundog.get(threads.options(num_cpus=2).remote())[1:] == ({"2"}, {2})
    assert sundog.get(threads.options(num_cpus=0.5).remote())[1:] == ({"1"}, {1})
    assert sundog.get(threads.options(num_cpus=2.5).remote())[1:] == ({"2"}, {2})


def test_a_worker_that_is_used_for_another_shape_changes(four_cpus: None) -> None:
    served: dict[int, set[int]] = {}
    for cpus in (1, 2) * 20:
        pid, variables, loaded = sundog.get(threads.options(num_cpus=cpus).remote())
        assert (variables, loaded) == ({str(cpus)}, {cpus})
        served.setdefault(pid, set()).add(cpus)
    assert {1, 2} in served.values()


def test_an_actors_methods_have_what_its_creation_had(four_cpus: None) -> None:
    @sundog.remote
    class Trainer:
        def threads(self) -> tuple[int, set[str | None], set[int]]:
            return threads.__wrapped__()

    one, two = Trainer.remote(), Trainer.options(num_cpus=2).remote()
    assert sundog.get(one.threads.remote())[1:] == ({"1"}, {1})
    assert sundog.get(two.threads.remote())[1:] == ({"2"}, {2})


def test_what_the_driver_set_stays(tmp_path: Path) -> None:
    done = run_program(
        """
        import os
        import sundog

        os.environ["OMP_NUM_THREADS"] = "2"
        os.environ["NUMEXPR_NUM_THREADS"] = "many"
        sundog.init(num_cpus=4, logging_level="warning")

        @sundog.remote(num_cpus=4)
        def see():
            import numpy, threadpoolctl

            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
            loaded = {lib["num_threads"] for lib in threadpoolctl.threadpool_info()}
            return [os.environ.get(name) for name in names], loaded

        print(sundog.get(see.remote()))
        """,
        tmp_path,
    )
    assert done.stdout.strip() == "(['2', None, 'many'], {2})"
