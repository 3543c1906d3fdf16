"""Workers that die: retried, then the cause is told."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import sundog
from sundog.exceptions import WorkerCrashedError


@sundog.remote
def die_until(path: str, good_after: int, how: str) -> int:
    """Dies in the given way until it was tried often enough."""
    with open(path, "a") as file:
        file.write("x")
    tries = os.path.getsize(path)
    if tries <= good_after:
        if how == "exit":
            os._exit(3)
        if how == "SystemExit":
            raise SystemExit(4)
        os.kill(os.getpid(), getattr(signal, how))
    return tries


@pytest.mark.parametrize("how", ["exit", "SystemExit", "SIGKILL", "SIGSEGV"])
def test_task_of_a_dead_worker_runs_again(session: None, tmp_path: Path, how: str) -> None:
    assert sundog.get(die_until.remote(str(tmp_path / "n"), 2, how)) == 3


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("exit", "exited with code 3"),
        ("SystemExit", "exited with code 4"),
        ("SIGKILL", "signal 9"),
        ("SIGSEGV", "signal 11"),
    ],
)
def test_cause_is_told_after_the_last_retry(
    session: None, tmp_path: Path, how: str, cause: str
) -> None:
    path = tmp_path / "n"
    with pytest.raises(WorkerCrashedError, match=rf"die_until \(task .*{cause}"):
        sundog.get(die_until.options(max_retries=1).remote(str(path), 99, how))
    assert path.stat().st_size == 2


def test_last_words_on_stderr_are_part_of_the_cause(session: None) -> None:
    @sundog.remote(max_retries=0)
    def complain() -> None:
        import sys

        print("the library says: no such device", file=sys.stderr, flush=True)
        os._exit(1)

    with pytest.raises(WorkerCrashedError, match="no such device"):
        sundog.get(complain.remote())


def test_only_the_task_that_exits_fails(one_cpu: None) -> None:
    @sundog.remote(max_retries=0)
    def one(i: int) -> int:
        if i == 30:
            os._exit(1)
        return i

    refs = [one.remote(i) for i in range(100)]
    failed = []
    for i, ref in enumerate(refs):
        try:
            assert sundog.get(ref) == i
        except WorkerCrashedError:
            failed.append(i)
    assert failed == [30]


def test_worker_that_dies_while_it_writes_a_result_leaves_the_store_clean(session: None) -> None:
    from sundog import _core, _explain

    @sundog.remote(max_retries=0)
    def die_in_between() -> None:
        for i in range(5):
            sundog.put(np.full(1 << 20, i))
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkerCrashedError):
        sundog.get(die_in_between.remote())
    session_now = _core.current_session()
    assert session_now is not None
    deadline = time.monotonic() + 10
    while _explain.status(session_now)["store"]["used_bytes"] and time.monotonic() < deadline:
        pass
    assert _explain.status(session_now)["store"]["used_bytes"] == 0


def test_worker_killed_while_it_makes_the_pages_of_a_put_leaves_nothing(session: None) -> None:
    @sundog.remote(max_retries=0)
    def put_until_killed(after: float) -> None:
        value = np.arange(8_000_000)  # 64 MB
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        while True:
            sundog.put(value)

    for after in (0.001, 0.01, 0.03):
        with pytest.raises(WorkerCrashedError):
            sundog.get(put_until_killed.remote(after))
    # Wherever it came to: the next value lies there whole, and nearly all of the 256 MB are free.
    whole = np.arange(28_000_000)
    assert np.array_equal(sundog.get(sundog.put(whole)), whole)


def test_nested_task_whose_child_dies(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def parent(path: str) -> int:
        tries: int = sundog.get(die_until.remote(path, 1, "SIGKILL"))
        return tries

    assert sundog.get(parent.remote(str(tmp_path / "n"))) == 2


def test_worker_death_while_others_wait(session: None) -> None:
    @sundog.remote(max_retries=0)
    def die_soon() -> None:
        time.sleep(0.2)
        os._exit(1)

    @sundog.remote
    def fine() -> str:
        time.sleep(0.3)
        return "fine"

    refs = [fine.remote(), die_soon.remote(), fine.remote()]
    ready, _ = sundog.wait(refs, num_returns=3)
    assert ready == refs
    assert sundog.get([refs[0], refs[2]]) == ["fine", "fine"]
