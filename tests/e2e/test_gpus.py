"""GPUs that are pretended: ids, the variable that frameworks read, processes that end with them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import run_program, until

import sundog


@pytest.fixture
def two_gpus() -> Iterator[None]:
    sundog.init(num_cpus=4, num_gpus=2, object_store_memory=64 << 20, logging_level="warning")
    yield


@sundog.remote
def what_it_sees() -> tuple[list[int | str], str | None, int]:
    return sundog.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


def test_a_task_sees_the_gpus_it_was_given(two_gpus: None) -> None:
    ids, variable, _ = sundog.get(what_it_sees.options(num_gpus=2).remote())
    assert ids == [0, 1]
    assert variable == "0,1"


def test_accelerator_ids_are_texts_by_kind(two_gpus: None) -> None:
    @sundog.remote
    def told() -> dict[str, list[str]]:
        return sundog.get_runtime_context().get_accelerator_ids()

    assert sundog.get(told.options(num_gpus=2).remote()) == {"GPU": ["0", "1"]}
    assert sundog.get(told.remote()) == {"GPU": []}


def test_a_process_that_had_a_gpu_serves_no_second_task(two_gpus: None) -> None:
    seen = [sundog.get(what_it_sees.options(num_gpus=1).remote()) for _ in range(3)]
    assert all(ids in ([0], [1]) for ids, _, _ in seen)
    assert len({pid for _, _, pid in seen}) == 3


def test_a_task_without_gpus_finds_the_variable_as_the_driver_has_it(two_gpus: None) -> None:
    ids, variable, _ = sundog.get(what_it_sees.remote())
    assert ids == []
    assert variable == os.environ.get("CUDA_VISIBLE_DEVICES")


def test_shares_of_a_gpu_meet_on_one(two_gpus: None) -> None:
    @sundog.remote(num_gpus=0.5)
    class Holder:
        def gpus(self) -> list[int | str]:
            return sundog.get_gpu_ids()

    holders = [Holder.remote() for _ in range(4)]
    assert sorted(sundog.get([h.gpus.remote() for h in holders])) == [[0], [0], [1], [1]]
    assert sundog.available_resources().get("GPU", 0) == 0
    del holders
    until(lambda: sundog.available_resources().get("GPU") == 2, "the GPUs are back")


def test_an_actor_keeps_its_gpu_and_gives_it_back(two_gpus: None) -> None:
    @sundog.remote(num_gpus=1)
    class Trainer:
        def gpus(self) -> list[int | str]:
            return sundog.get_gpu_ids()

    first, second = Trainer.remote(), Trainer.remote()
    of_first, of_second = sundog.get([first.gpus.remote(), second.gpus.remote()])
    assert [of_first, of_second] == [[0], [1]]
    waits = what_it_sees.options(num_gpus=1).remote()
    assert sundog.wait([waits], timeout=0.2)[0] == []
    sundog.kill(first)
    assert sundog.get(waits, timeout=10)[0] == of_first


def test_actors_get_the_lowest_free_gpus_in_the_order_they_were_made() -> None:
    sundog.init(num_cpus=8, num_gpus=6, object_store_memory=64 << 20, logging_level="warning")

    @sundog.remote(num_gpus=1)
    class Trainer:
        def gpus(self) -> list[int | str]:
            return sundog.get_gpu_ids()

    def ids(trainers: list[Any]) -> list[list[int | str]]:
        return sundog.get([t.gpus.remote() for t in trainers])

    trainers = [Trainer.remote() for _ in range(6)]
    assert ids(trainers) == [[0], [1], [2], [3], [4], [5]]
    for killed in (trainers[4], trainers[1]):
        sundog.kill(killed)
    until(lambda: sundog.available_resources().get("GPU") == 2, "two GPUs are free")
    assert ids([Trainer.remote(), Trainer.remote()]) == [[1], [4]]
    del trainers


def test_ids_are_those_of_the_drivers_variable(tmp_path: Path) -> None:
    done = run_program(
        """
        import os
        import sundog

        sundog.init(num_cpus=2, logging_level="warning")

        @sundog.remote(num_gpus=1)
        def see():
            return sundog.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

        @sundog.remote
        def plain():
            return os.environ["CUDA_VISIBLE_DEVICES"]

        total = int(sundog.cluster_resources()["GPU"])
        print(total, sundog.get(see.remote()), sundog.get(plain.remote()))
        """,
        tmp_path,
        CUDA_VISIBLE_DEVICES="5,GPU-abc",
    )
    assert done.stdout.strip() == "2 ([5], '5') 5,GPU-abc"


def test_more_gpus_than_the_variable_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(ValueError, match=r"num_gpus is 4, and CUDA_VISIBLE_DEVICES=3,5 names 2"):
        sundog.init(num_cpus=1, num_gpus=4)
    monkeypatch.setenv("SUNDOG_NUM_GPUS", "3")
    with pytest.raises(ValueError, match=r"SUNDOG_NUM_GPUS is 3, and CUDA_VISIBLE_DEVICES=3,5"):
        sundog.init(num_cpus=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden: then they are pretended
    sundog.init(num_cpus=1, num_gpus=2, logging_level="warning")
    assert sundog.get([what_it_sees.remote() for _ in range(2)])


def test_more_than_one_gpu_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match=r"whole number of GPUs, got 1\.5"):
        what_it_sees.options(num_gpus=1.5)
