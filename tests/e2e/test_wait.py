"""wait: its order, its limits, its errors."""

import os
import time

import pytest
from conftest import until

import sundog


@sundog.remote
def when_file(path: str, value: object) -> object:
    """Ends when the file is there."""
    while not os.path.exists(path):
        time.sleep(0.002)
    return value


@sundog.remote
def now(value: object) -> object:
    return value


@pytest.fixture
def gate(tmp_path: object) -> str:
    return os.path.join(str(tmp_path), "gate")


def open_gate(path: str) -> None:
    os.close(os.open(path, os.O_CREAT))


def test_returns_what_is_ready_first(session: None, gate: str) -> None:
    slow, fast = when_file.remote(gate, 1), now.remote(2)
    ready, rest = sundog.wait([slow, fast])
    assert (ready, rest) == ([fast], [slow])
    open_gate(gate)
    assert sundog.wait(rest) == ([slow], [])


def test_both_lists_keep_the_order_of_the_input(session: None, gate: str) -> None:
    refs = [when_file.remote(gate, 0), now.remote(1), now.remote(2), when_file.remote(gate, 3)]
    ready, rest = sundog.wait(refs, num_returns=2)
    assert (ready, rest) == ([refs[1], refs[2]], [refs[0], refs[3]])
    open_gate(gate)
    ready, rest = sundog.wait(refs, num_returns=4)
    assert (ready, rest) == (refs, [])


def test_earliest_completed_are_chosen_when_more_are_ready(session: None) -> None:
    refs = [now.remote(i) for i in range(4)]
    order = [refs[2], refs[0], refs[3], refs[1]]
    for ref in order:  # complete in this order
        sundog.get(ref)
    late = now.remote("late")
    until(lambda: len(sundog.wait([late], timeout=0)[0]) == 1, "the last one is ready")
    ready, rest = sundog.wait([late, *refs], num_returns=4)
    assert (ready, rest) == (refs, [late])


def test_timeout_returns_what_there_is(session: None, gate: str) -> None:
    refs = [when_file.remote(gate, i) for i in range(3)]
    began = time.monotonic()
    assert sundog.wait(refs, timeout=0.1) == ([], refs)
    assert time.monotonic() - began >= 0.1
    assert sundog.wait(refs, num_returns=3, timeout=0) == ([], refs)
    open_gate(gate)
    assert sundog.wait(refs, num_returns=3)[0] == refs


def test_failed_task_counts_as_ready(session: None) -> None:
    @sundog.remote
    def fail() -> None:
        raise ValueError("no")

    ref = fail.remote()
    assert sundog.wait([ref]) == ([ref], [])


def test_put_object_is_ready_at_once(session: None) -> None:
    ref = sundog.put(1)
    assert sundog.wait([ref], timeout=0) == ([ref], [])


def test_one_by_one_over_many(session: None) -> None:
    refs = [now.remote(i) for i in range(200)]
    seen = []
    while refs:
        ready, refs = sundog.wait(refs)
        assert len(ready) == 1
        seen += sundog.get(ready)
    assert sorted(seen) == list(range(200))


def test_empty_list(session: None) -> None:
    assert sundog.wait([]) == ([], [])


def test_refuses_what_it_cannot_mean(session: None) -> None:
    ref = sundog.put(1)
    with pytest.raises(TypeError, match="one ObjectRef"):
        sundog.wait(ref)
    with pytest.raises(TypeError, match="int at index 1"):
        sundog.wait([ref, 5])
    with pytest.raises(TypeError, match="got tuple"):
        sundog.wait((ref,))
    with pytest.raises(ValueError, match="there twice"):
        sundog.wait([ref, sundog.ObjectRef(ref.binary())])
    with pytest.raises(ValueError, match="from 1 on, got 0"):
        sundog.wait([ref], num_returns=0)
    with pytest.raises(ValueError, match="num_returns is 2, and the list has 1"):
        sundog.wait([ref], num_returns=2)
    with pytest.raises(ValueError, match="from 0 on, got -1"):
        sundog.wait([ref], timeout=-1)
    with pytest.raises(TypeError, match="'timeouts'"):
        sundog.wait([ref], timeouts=1)
