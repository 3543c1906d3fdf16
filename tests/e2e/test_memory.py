"""``memory=``: bytes that tasks and actors ask for, and what a session has of them."""

import re
from pathlib import Path

import pytest
from conftest import run_program, until

import sundog
from sundog import _machine

GB = 10**9


@sundog.remote
def wait_for(path: Path) -> str:
    import time

    while not path.exists():
        time.sleep(0.002)
    return "done"


def test_by_default_it_is_what_the_store_leaves(session: None) -> None:
    total = sundog.cluster_resources()["memory"]
    assert total == _machine.memory().value - (256 << 20)
    assert sundog.available_resources()["memory"] == total


def test_init_says_how_much_there_is(tmp_path: Path) -> None:
    sundog.init(num_cpus=4, object_store_memory=64 << 20, _memory=3 * GB, logging_level="error")
    assert sundog.cluster_resources()["memory"] == 3 * GB
    go = tmp_path / "go"
    first, second = (wait_for.options(memory=2 * GB).remote(go) for _ in range(2))
    until(lambda: sundog.available_resources()["memory"] == GB, "one of them runs")
    until(lambda: "1 GB of 3 GB are free" in sundog.explain(second), "the other one waits")
    assert "it needs 2 GB memory" in sundog.explain(second)
    small = wait_for.options(memory=GB).remote(Path("/"))
    assert sundog.get(small) == "done"
    go.touch()
    assert sundog.get([first, second]) == ["done", "done"]
    until(lambda: sundog.available_resources()["memory"] == 3 * GB, "it is given back")


def test_an_actor_holds_it_while_it_lives() -> None:
    sundog.init(num_cpus=2, object_store_memory=64 << 20, _memory=GB, logging_level="error")

    @sundog.remote(memory=600_000_000)
    class Cache:
        def size(self) -> int:
            return 1

    first, second = Cache.remote(), Cache.remote()
    assert sundog.get(first.size.remote()) == 1
    assert sundog.available_resources()["memory"] == GB - 600_000_000
    later = second.size.remote()
    assert sundog.wait([later], timeout=0.1)[0] == []
    del first
    assert sundog.get(later) == 1


def test_more_than_there_is_is_said_at_once(tmp_path: Path) -> None:
    done = run_program(
        """
        import sundog

        sundog.init(num_cpus=1, object_store_memory=64 << 20, _memory=1_500_000_000)

        @sundog.remote(memory=20_000_000_000)
        def f():
            return 1

        try:
            sundog.get(f.remote(), timeout=0.2)
        except sundog.exceptions.GetTimeoutError as error:
            print(error)
        """,
        tmp_path,
    )
    sentence = "it needs 20 GB memory, this session has 1.5 GB"
    assert sentence in done.stdout and sentence in done.stderr


@pytest.mark.parametrize("value", [-1, 1.5, 2**60, float("inf"), float("nan")])
def test_it_is_a_whole_number_of_bytes(value: float) -> None:
    text = re.escape("memory is a whole number of bytes, at most 281,474,976,710,656, got ")
    with pytest.raises(ValueError, match=text):
        wait_for.options(memory=value)
    with pytest.raises(ValueError, match="_" + text):
        sundog.init(_memory=value)  # type: ignore[arg-type]


def test_a_custom_resource_keeps_all_its_digits() -> None:
    sundog.init(num_cpus=1, resources={"row": 1_234_567.25}, logging_level="error")
    assert sundog.cluster_resources()["row"] == 1_234_567.25


def test_a_custom_resource_may_have_any_name() -> None:
    sundog.init(num_cpus=1, resources={"zone=a": 2}, logging_level="error")
    assert sundog.cluster_resources()["zone=a"] == 2
    takes_it = wait_for.options(resources={"zone=a": 2})
    assert sundog.get(takes_it.remote(Path("/"))) == "done"
