"""Placement groups: made, used in both ways, captured, named, removed while in use."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import until

import sundog
from sundog.exceptions import (
    ActorPlacementGroupRemoved,
    GetTimeoutError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
)
from sundog.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from sundog.util.placement_group import PlacementGroup
from sundog.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@pytest.fixture
def cluster() -> Iterator[None]:
    """Four CPUs, two of something else."""
    sundog.init(num_cpus=4, resources={"seat": 2}, logging_level="error")
    yield
    sundog.shutdown()


@sundog.remote
def where() -> tuple[str | None, bool]:
    context = sundog.get_runtime_context()
    return (
        context.get_placement_group_id(),
        context.should_capture_child_tasks_in_placement_group,
    )


@sundog.remote
def parent() -> tuple[str | None, bool]:
    return sundog.get(where.remote())


@sundog.remote(max_retries=3)
def marks_and_sleeps(path: str) -> None:
    Path(path).touch()
    time.sleep(60)


class Keeper:
    def where(self) -> tuple[str | None, int]:
        current = get_current_placement_group()
        return (current.id.hex() if current else None), os.getpid()


keepers: Any = sundog.remote(Keeper)


def free(name: str = "CPU") -> float:
    return sundog.available_resources().get(name, 0.0)


def test_a_group_reserves_and_gives_back(cluster: None) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 2, "seat": 1}], strategy="PACK")
    assert group.wait(10)
    assert sundog.get(group.ready(), timeout=10) == group
    assert group.bundle_count == 2 and group.bundle_specs[1] == {"CPU": 2.0, "seat": 1.0}
    assert (free(), free("seat")) == (1.0, 1.0)
    remove_placement_group(group)
    until(lambda: (free(), free("seat")) == (4.0, 2.0), "everything is free")
    assert placement_group_table(group)["state"] == "REMOVED"


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"])
def test_every_strategy_holds_one_bundle(cluster: None, strategy: str) -> None:
    group = placement_group([{"CPU": 1}], strategy=strategy)
    assert group.wait(10)
    row = placement_group_table(group)
    assert (row["state"], row["strategy"], row["bundles"]) == ("CREATED", strategy, {0: {"CPU": 1}})


def test_tasks_and_actors_run_in_it_by_both_ways(cluster: None) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    by_option = where.options(placement_group=group, placement_group_bundle_index=1)
    by_strategy = where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group))
    found = sundog.get([by_option.remote(), by_strategy.remote(), where.remote()], timeout=20)
    assert found == [(group.id.hex(), False), (group.id.hex(), False), (None, False)]
    keeper = keepers.options(placement_group=group).remote()
    assert sundog.get(keeper.where.remote(), timeout=20)[0] == group.id.hex()
    assert get_current_placement_group() is None


def test_children_are_captured_if_asked(cluster: None) -> None:
    group = placement_group([{"CPU": 2}])
    captures = parent.options(placement_group=group, placement_group_capture_child_tasks=True)
    leaves = parent.options(placement_group=group)
    assert sundog.get(captures.remote(), timeout=20) == (group.id.hex(), True)
    assert sundog.get(leaves.remote(), timeout=20) == (None, False)


def test_a_captured_child_that_does_not_fit_says_so(cluster: None) -> None:
    @sundog.remote
    def sends_too_large() -> None:
        sundog.get(where.options(num_cpus=2).remote())

    group = placement_group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(group, 0, True)
    with pytest.raises(TaskUnschedulableError, match="no bundle of its placement group"):
        sundog.get(sends_too_large.options(scheduling_strategy=strategy).remote(), timeout=20)


def test_removal_ends_what_runs_and_what_waits(cluster: None, tmp_path: Path) -> None:
    group = placement_group([{"CPU": 1}], name="doomed")
    task = marks_and_sleeps.options(placement_group=group)
    running = task.remote(str(tmp_path / "a"))
    until(lambda: (tmp_path / "a").exists(), "it runs")
    queued = task.remote(str(tmp_path / "b"))
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved, match=r"'doomed'.* was removed while it ran"):
        sundog.get(running, timeout=20)
    with pytest.raises(TaskPlacementGroupRemoved, match="removed before it began"):
        sundog.get(queued, timeout=20)
    until(lambda: free() == 4.0, "the CPUs are free")
    with pytest.raises(TaskPlacementGroupRemoved, match="removed before it was submitted"):
        sundog.get(task.remote(str(tmp_path / "c")), timeout=20)


def test_removal_ends_actors(cluster: None) -> None:
    group = placement_group([{"CPU": 1}])
    keeper = keepers.options(placement_group=group, num_cpus=1, max_restarts=-1).remote()
    pid = sundog.get(keeper.where.remote(), timeout=20)[1]
    remove_placement_group(group)
    with pytest.raises(ActorPlacementGroupRemoved, match="was removed"):
        sundog.get(keeper.where.remote(), timeout=20)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "its process is gone")
    until(lambda: free() == 4.0, "the CPUs are free")


def test_what_does_not_fit_yet_waits_and_says_why(cluster: None) -> None:
    first = placement_group([{"CPU": 3}])
    assert first.wait(10)
    second = placement_group([{"CPU": 2}])
    with pytest.raises(GetTimeoutError, match=r"its bundles need 2 CPU in all, 1 of 4 are free"):
        sundog.get(second.ready(), timeout=0.2)
    inside = where.options(placement_group=second).remote()
    assert "is not ready: its bundles need 2 CPU" in sundog.explain(inside)
    remove_placement_group(first)
    assert second.wait(10) and sundog.get(inside, timeout=20)[0] == second.id.hex()


def test_the_impossible_is_told_at_once(cluster: None) -> None:
    group = placement_group([{"CPU": 40}])
    assert not group.wait(0.1)
    apart = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    with pytest.raises(GetTimeoutError, match="STRICT_SPREAD puts each of its 2 bundles"):
        sundog.get(apart.ready(), timeout=0.1)
    remove_placement_group(apart)
    with pytest.raises(TaskPlacementGroupRemoved, match="was never ready"):
        sundog.get(apart.ready(), timeout=10)


def test_names_are_found_and_are_one_groups(cluster: None) -> None:
    group = placement_group([{"CPU": 1}], name="mine")
    found = get_placement_group("mine")
    assert found == group and found.bundle_specs == [{"CPU": 1.0}]
    with pytest.raises(ValueError, match="'mine' exists"):
        placement_group([{"CPU": 1}], name="mine")
    assert free() == 3.0
    remove_placement_group(group)
    with pytest.raises(ValueError, match="there is no placement group 'mine'"):
        get_placement_group("mine")
    assert list(placement_group_table().values()) == []


def test_handles_travel(cluster: None) -> None:
    @sundog.remote
    def use(group: PlacementGroup) -> tuple[int, tuple[str | None, bool]]:
        assert group.wait(10)
        return group.bundle_count, sundog.get(where.options(placement_group=group).remote())

    group = placement_group([{"CPU": 1}])
    assert sundog.get(use.remote(group), timeout=20) == (1, (group.id.hex(), False))


def test_wrong_arguments_are_refused(cluster: None) -> None:
    wrong: Any
    for wrong in ([], [{}], [{"CPU": 0}], {"CPU": 1}, [["CPU"]]):
        with pytest.raises(ValueError, match="bundle"):
            placement_group(wrong)
    with pytest.raises(ValueError, match="strategy is one of"):
        placement_group([{"CPU": 1}], strategy="PACKED")
    with pytest.raises(ValueError, match="lifetime is None or 'detached'"):
        placement_group([{"CPU": 1}], lifetime="for ever")
    with pytest.raises(TypeError, match="takes a PlacementGroup"):
        remove_placement_group("mine")  # type: ignore[arg-type]
    group = placement_group([{"CPU": 1}])
    with pytest.raises(ValueError, match="from 0 to 0"):
        where.options(placement_group=group, placement_group_bundle_index=1)
    with pytest.raises(ValueError, match="no bundle of its placement group has that"):
        where.options(placement_group=group, num_cpus=2)
    with pytest.raises(ValueError, match="exclude each other"):
        where.options(placement_group=group, scheduling_strategy="SPREAD")
    with pytest.raises(ValueError, match="needs placement_group="):
        where.options(placement_group_bundle_index=0)
