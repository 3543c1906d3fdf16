"""Placement groups with GPUs and memory in their bundles, and detached ones of several programs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program, until

import sundog
from sundog.exceptions import GetTimeoutError, TaskPlacementGroupRemoved
from sundog.util import (
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

MB = 1_000_000


@pytest.fixture
def two_gpus() -> Iterator[None]:
    """Four CPUs and two GPUs, which are pretended."""
    sundog.init(num_cpus=4, num_gpus=2, logging_level="error")
    yield
    sundog.shutdown()


@sundog.remote(num_gpus=1)
def gpus_beside(mine: str, other: str) -> tuple[list[int | str], str | None]:
    """Which it sees while another one runs."""
    Path(mine).touch()
    until(lambda: Path(other).exists(), "the other one runs")
    return sundog.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")


@sundog.remote(num_gpus=1)
class GpuHolder:
    def sees(self) -> list[int | str]:
        return sundog.get_gpu_ids()


def free(name: str) -> float:
    return sundog.available_resources().get(name, 0.0)


def bundle(group: Any, index: int) -> dict[str, Any]:
    return {"placement_group": group, "placement_group_bundle_index": index}


def test_each_bundle_has_a_gpu_of_its_own(two_gpus: None, tmp_path: Path) -> None:
    group = placement_group([{"CPU": 1, "GPU": 1}] * 2)
    assert group.wait(10) and free("GPU") == 0.0 and free("CPU") == 2.0
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first = gpus_beside.options(**bundle(group, 0)).remote(one, two)
    second = gpus_beside.options(**bundle(group, 1)).remote(two, one)
    seen = sundog.get([first, second], timeout=60)
    assert sorted(ids for ids, _ in seen) == [[0], [1]]
    assert [variable for _, variable in seen] == [str(ids[0]) for ids, _ in seen]
    # The same GPU as before: a bundle keeps the one that it reserved.
    holders = [GpuHolder.options(**bundle(group, i)).remote() for i in range(2)]
    assert sundog.get([h.sees.remote() for h in holders], timeout=60) == [ids for ids, _ in seen]


def test_gpus_of_a_group_are_nobody_elses_until_it_is_removed(two_gpus: None) -> None:
    group = placement_group([{"CPU": 1, "GPU": 2}])
    assert group.wait(10)
    outside = GpuHolder.remote()
    seen = outside.sees.remote()
    with pytest.raises(GetTimeoutError):
        sundog.get(seen, timeout=0.2)
    inside = GpuHolder.options(placement_group=group).remote()
    (ours,) = sundog.get(inside.sees.remote(), timeout=60)
    assert ours in (0, 1)
    remove_placement_group(group)
    assert len(sundog.get(seen, timeout=60)) == 1
    until(lambda: free("GPU") == 1.0, "what was in the group has ended")


def test_parts_of_a_gpu_share_the_one_of_their_bundle(two_gpus: None, tmp_path: Path) -> None:
    group = placement_group([{"CPU": 2, "GPU": 1}])
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    half = gpus_beside.options(num_gpus=0.5, placement_group=group)
    first, second = sundog.get([half.remote(one, two), half.remote(two, one)], timeout=60)
    assert first == second and len(first[0]) == 1 and free("GPU") == 1.0
    with pytest.raises(ValueError, match="no bundle of its placement group has that"):
        half.options(num_gpus=2)


def test_memory_is_reserved_in_bytes() -> None:
    with sundog.init(num_cpus=2, _memory=1000 * MB, logging_level="error"):

        @sundog.remote(num_cpus=0, memory=500 * MB)
        def large() -> float:
            return free("memory")

        group = placement_group([{"CPU": 1, "memory": 600 * MB}])
        assert group.wait(10) and free("memory") == 400 * MB
        assert group.bundle_specs == [{"CPU": 1.0, "memory": 600.0 * MB}]
        outside = large.remote()
        with pytest.raises(GetTimeoutError):
            sundog.get(outside, timeout=0.2)
        inside = large.options(placement_group=group)
        assert sundog.get(inside.remote(), timeout=60) == 400 * MB  # it is paid by the bundle
        with pytest.raises(ValueError, match="no bundle of its placement group has that"):
            large.options(placement_group=group, memory=700 * MB)
        remove_placement_group(group)
        assert sundog.get(outside, timeout=60) == 500 * MB
        until(lambda: free("memory") == 1000 * MB, "all is given back")


# ---------------------------------------------------------------- several programs

JOINS = """
import sundog
from sundog.util import get_placement_group, placement_group, remove_placement_group

sundog.init(address="auto", namespace="n", logging_level="error")
"""
MAKES = """
kept = placement_group([{"CPU": 1}], name="kept", lifetime="detached")
own = placement_group([{"CPU": 1}], name="own")
assert kept.wait(10) and own.wait(10)
assert sundog.available_resources()["CPU"] == 2.0
print(kept.id.hex())
"""
USES = """
@sundog.remote
def where():
    return sundog.get_runtime_context().get_placement_group_id()

kept = get_placement_group("kept")
print(sundog.get(where.options(placement_group=kept).remote(), timeout=60))
"""
REMOVES = """
remove_placement_group(get_placement_group("kept"))
"""


def test_a_detached_group_outlives_its_program_and_serves_others(tmp_path: Path) -> None:
    def said(code: str) -> str:
        return run_program(JOINS + code, tmp_path).stdout.strip()

    with sundog.init(num_cpus=4, namespace="n", logging_level="error"):
        id = said(MAKES)
        until(lambda: free("CPU") == 3.0, "the group that was not detached is gone")
        with pytest.raises(ValueError, match="there is no placement group 'own'"):
            get_placement_group("own")
        group = get_placement_group("kept")
        assert group.id.hex() == id and said(USES) == id
        assert placement_group_table(group)["state"] == "CREATED"
        # What is too much for the bundle waits in it, until another program removes the group.
        busy = GpuHolder.options(num_gpus=0, num_cpus=1, placement_group=group).remote()
        assert sundog.get(busy.sees.remote(), timeout=60) == []

        @sundog.remote
        def never() -> None:
            """Waits for the CPU of the bundle."""

        waits = never.options(placement_group=group).remote()
        said(REMOVES)
        with pytest.raises(TaskPlacementGroupRemoved):
            sundog.get(waits, timeout=60)
        until(lambda: free("CPU") == 4.0, "all is given back")
        assert placement_group_table(group)["state"] == "REMOVED"
        with pytest.raises(ValueError, match="there is no placement group 'kept'"):
            get_placement_group("kept")
