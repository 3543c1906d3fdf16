"""Cancelling tasks: in the queue, while they wait, while they run, with what they submitted."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import until
from test_actor_ends import has_ended

import sundog
from sundog import _core
from sundog.exceptions import (
    TaskCancelledError,
    TaskKilledError,
    TaskTimeoutError,
    WorkerCrashedError,
)

# Long enough that no test waits for its end; cut short, it leaves nothing behind.
LONG_S = 120.0


@sundog.remote
def sleeps(folder: Path, name: str = "t") -> str:
    """Tells that it began, and how it ended."""
    (folder / f"{name}.pid").write_text(str(os.getpid()))
    (folder / f"{name}.began").touch()
    try:
        time.sleep(LONG_S)
    except KeyboardInterrupt:
        (folder / f"{name}.interrupted").touch()
        raise
    return "slept"


@sundog.remote
def looks(folder: Path) -> str:
    """Looks by itself whether it is to end."""
    (folder / "t.began").touch()
    context = sundog.get_runtime_context()
    while not context.is_canceled():
        time.sleep(0.002)
    time.sleep(0.2)  # longer than a task has that does not look
    (folder / "t.ended").touch()
    return "a part of it"


@sundog.remote
def stubborn(folder: Path) -> str:
    """Takes no notice of an interrupt."""
    (folder / "t.pid").write_text(str(os.getpid()))
    (folder / "t.began").touch()
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(LONG_S)
    return "done"


@sundog.remote
def touch(path: Path, *after: Any) -> None:
    path.touch()


def began(folder: Path, name: str = "t") -> None:
    until((folder / f"{name}.began").exists, f"{name} began")


def pid_of(folder: Path, name: str = "t") -> int:
    return int((folder / f"{name}.pid").read_text())


def test_queued_task_ends_at_once_and_never_runs(one_cpu: None, tmp_path: Path) -> None:
    running = sleeps.remote(tmp_path)
    began(tmp_path)
    queued = [touch.remote(tmp_path / f"{i}") for i in range(50)]
    start = time.monotonic()
    for ref in queued:
        sundog.cancel(ref)
    for ref in queued:
        with pytest.raises(TaskCancelledError, match="cancelled, before it began"):
            sundog.get(ref)
    assert time.monotonic() - start < 5, "nothing waited for the task that runs"
    sundog.cancel(running)
    with pytest.raises(TaskCancelledError):
        sundog.get(running)
    sundog.get(touch.remote(tmp_path / "after"))
    assert not [path for path in tmp_path.iterdir() if path.name.isdigit()]


def test_task_that_waits_for_arguments_ends_at_once(one_cpu: None, tmp_path: Path) -> None:
    argument = sleeps.remote(tmp_path)
    began(tmp_path)
    waits = touch.remote(tmp_path / "ran", argument)
    behind = touch.remote(tmp_path / "ran", waits)
    sundog.cancel(waits)
    with pytest.raises(TaskCancelledError, match="before it began"):
        sundog.get(waits)
    with pytest.raises(TaskCancelledError):
        sundog.get(behind)  # its argument will never be there
    sundog.cancel(argument)
    with pytest.raises(TaskCancelledError):
        sundog.get(argument)
    assert not (tmp_path / "ran").exists()


def test_running_task_is_interrupted_and_its_worker_lives_on(one_cpu: None, tmp_path: Path) -> None:
    ref = sleeps.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError, match=r"sleeps \(task .*cancelled, while it ran"):
        sundog.get(ref)
    assert (tmp_path / "t.interrupted").exists()
    assert sundog.get(sundog.remote(os.getpid).remote()) == pid_of(tmp_path)


def test_task_that_looks_is_left_to_end_by_itself(one_cpu: None, tmp_path: Path) -> None:
    ref = looks.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    assert (tmp_path / "t.ended").exists()


def test_what_has_finished_stays(one_cpu: None, tmp_path: Path) -> None:
    ref = touch.remote(tmp_path / "ran")
    sundog.get(ref)
    sundog.cancel(ref)
    sundog.cancel(ref, force=True)
    assert sundog.get(ref) is None


def test_force_kills_the_worker_and_nothing_is_tried_again(one_cpu: None, tmp_path: Path) -> None:
    ref = stubborn.remote(tmp_path)
    began(tmp_path)
    (tmp_path / "t.began").unlink()
    sundog.cancel(ref)
    until(lambda: "was interrupted and has not ended" in sundog.explain(ref), "it is interrupted")
    sundog.cancel(ref, force=True)
    with pytest.raises(TaskKilledError, match="its worker was killed") as caught:
        sundog.get(ref)
    assert isinstance(caught.value, TaskCancelledError)
    assert isinstance(caught.value, WorkerCrashedError)
    until(lambda: has_ended(pid_of(tmp_path)), "the worker is gone")
    sundog.get(touch.remote(tmp_path / "after"))
    assert not (tmp_path / "t.began").exists()


def test_force_with_a_grace_lets_the_task_clean_up(one_cpu: None, tmp_path: Path) -> None:
    ref = sleeps.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(ref, force=True, grace_s=60)
    with pytest.raises(TaskCancelledError) as caught:
        sundog.get(ref)
    assert not isinstance(caught.value, TaskKilledError)
    assert (tmp_path / "t.interrupted").exists()
    (tmp_path / "t.began").unlink()
    again = stubborn.remote(tmp_path)
    began(tmp_path)
    until(lambda: pid_of(tmp_path), "it runs")
    sundog.cancel(again, force=True, grace_s=0.2)
    with pytest.raises(TaskKilledError):
        sundog.get(again)


def test_tasks_behind_a_killed_one_run(one_cpu: None, tmp_path: Path) -> None:
    sundog.get([touch.remote(tmp_path / "warm") for _ in range(200)])  # short: they share a queue
    ref = stubborn.remote(tmp_path)
    behind = [touch.options(max_retries=0).remote(tmp_path / f"{i}") for i in range(20)]
    began(tmp_path)
    sundog.cancel(ref, force=True)
    sundog.get(behind)
    assert len([path for path in tmp_path.iterdir() if path.name.isdigit()]) == 20
    with pytest.raises(TaskKilledError):
        sundog.get(ref)


def test_cancelling_races_with_the_end_of_short_tasks(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_retries=0)
    def short(i: int) -> int:
        return i

    cancelled = 0
    for _ in range(20):
        refs = [short.remote(i) for i in range(200)]
        for ref in refs[::3]:
            sundog.cancel(ref)
        for i, ref in enumerate(refs):
            try:
                assert sundog.get(ref) == i
            except TaskCancelledError:
                assert i % 3 == 0
                cancelled += 1
    assert cancelled > 0


def test_children_are_cancelled_with_their_parent(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def parent(folder: Path, name: str, depth: int) -> Any:
        if depth == 0:
            return sundog.get(sleeps.remote(folder, f"{name}-leaf"))
        children = [parent.remote(folder, f"{name}-{i}", depth - 1) for i in range(2)]
        (folder / f"{name}.began").touch()
        return sundog.get(children)

    ref = parent.remote(tmp_path, "p", 1)
    began(tmp_path, "p-0-leaf")
    began(tmp_path, "p-1-leaf")
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    for name in ("p-0-leaf", "p-1-leaf"):
        until((tmp_path / f"{name}.interrupted").exists, f"{name} was interrupted")


def test_without_recursion_children_go_on(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def child(folder: Path) -> None:
        (folder / "child.began").touch()
        until((folder / "go").exists, "the test says so")
        (folder / "child.ended").touch()

    @sundog.remote
    def parent(folder: Path) -> None:
        ref = child.remote(folder)
        (folder / "parent.began").touch()
        time.sleep(LONG_S)
        sundog.get(ref)

    ref = parent.remote(tmp_path)
    began(tmp_path, "parent")
    began(tmp_path, "child")
    sundog.cancel(ref, recursive=False)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    (tmp_path / "go").touch()
    until((tmp_path / "child.ended").exists, "the child ended by itself")


def test_killed_parent_leaves_no_children(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def parent(folder: Path) -> Any:
        return sundog.get([sleeps.remote(folder, f"c{i}") for i in range(2)])

    ref = parent.remote(tmp_path)
    began(tmp_path, "c0")
    began(tmp_path, "c1")
    sundog.cancel(ref, force=True)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    for name in ("c0", "c1"):
        until(lambda n=name: has_ended(pid_of(tmp_path, n)), f"the worker of {name} is gone")


def test_a_task_cancels_what_it_was_given(session: None, tmp_path: Path) -> None:
    @sundog.remote
    def stops(refs: list[Any]) -> None:
        sundog.cancel(refs[0])

    ref = sleeps.remote(tmp_path)
    began(tmp_path)
    sundog.get(stops.remote([ref]))
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)


@sundog.remote
class Slow:
    """An actor whose calls wait for files."""

    def __init__(self) -> None:
        self.calls = 0

    def until_cancelled(self, folder: Path) -> str:
        (folder / "t.began").touch()
        while not sundog.get_runtime_context().is_canceled():
            time.sleep(0.002)
        return "ended"

    def count(self) -> int:
        self.calls += 1
        return self.calls


def test_calls_of_actors(session: None, tmp_path: Path) -> None:
    actor = Slow.remote()
    running = actor.until_cancelled.remote(tmp_path)
    began(tmp_path)
    queued = [actor.count.remote() for _ in range(3)]
    sundog.cancel(queued[1])
    with pytest.raises(TaskCancelledError, match="before it began"):
        sundog.get(queued[1])
    with pytest.raises(ValueError, match="force=True would end the actor"):
        sundog.cancel(running, force=True)
    sundog.cancel(running)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        sundog.get(running)
    assert sundog.get([queued[0], queued[2]]) == [1, 2]


@sundog.remote
class Waiter:
    """An asynchronous actor."""

    async def wait(self, folder: Path) -> str:
        (folder / "t.began").touch()
        try:
            await asyncio.sleep(LONG_S)
        finally:
            (folder / "t.ended").touch()
        return "waited"

    async def quick(self) -> str:
        return "quick"


def test_call_of_an_asynchronous_actor_ends_at_its_await(session: None, tmp_path: Path) -> None:
    actor = Waiter.remote()
    ref = actor.wait.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        sundog.get(ref)
    assert (tmp_path / "t.ended").exists()
    assert sundog.get(actor.quick.remote()) == "quick"


@sundog.remote
class Occupied:
    """An actor whose calls wait for others, or yield."""

    def waits(self, refs: list[Any], folder: Path, how: str) -> Any:
        (folder / "t.began").touch()
        try:
            return sundog.get(refs[0]) if how == "get" else sundog.wait(refs)
        except TaskCancelledError as error:
            (folder / "t.ended").write_text(str(error))
            raise

    def items_of(self, folder: Path, refs: list[Any]) -> Any:
        try:
            for i in range(10**9):
                yield i
                if refs:
                    sundog.get(refs)
        finally:
            (folder / "t.ended").write_text("closed")

    def quick(self) -> str:
        return "quick"


@pytest.mark.parametrize("how", ["get", "wait"])
@pytest.mark.parametrize("threads", [1, 2])
def test_call_of_an_actor_waits_no_longer(
    session: None, tmp_path: Path, how: str, threads: int
) -> None:
    never = sleeps.remote(tmp_path, "never")
    actor = Occupied.options(max_concurrency=threads).remote()
    call = actor.waits.remote([never], tmp_path, how)
    began(tmp_path)
    sundog.cancel(call)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        sundog.get(call)
    assert (tmp_path / "t.ended").read_text() == "the call was cancelled while it waited"
    assert sundog.get(actor.quick.remote()) == "quick"
    sundog.cancel(never)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_call_of_an_actor_that_yields_ends(
    session: None, tmp_path: Path, waits: bool, threads: int
) -> None:
    never = [sleeps.remote(tmp_path, "never")] if waits else []
    actor = Occupied.options(max_concurrency=threads).remote()
    items = actor.items_of.options(_generator_backpressure_num_objects=100).remote(tmp_path, never)
    assert sundog.get(next(items)) == 0
    sundog.cancel(items)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        for ref in items:
            sundog.get(ref)
    assert (tmp_path / "t.ended").read_text() == "closed"
    assert sundog.get(actor.quick.remote()) == "quick"
    for ref in never:
        sundog.cancel(ref)


def test_a_threads_call_that_looked_ends_cancelled(session: None, tmp_path: Path) -> None:
    actor = Slow.options(max_concurrency=2).remote()
    running = actor.until_cancelled.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(running)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        sundog.get(running)
    assert sundog.get(actor.count.remote()) == 1


@pytest.mark.parametrize("num_returns", ["streaming", "dynamic", 2])
def test_generator_of_a_task_is_interrupted(
    one_cpu: None, tmp_path: Path, num_returns: Any
) -> None:
    @sundog.remote(num_returns=num_returns)
    def items(folder: Path) -> Any:
        (folder / "t.pid").write_text(str(os.getpid()))
        yield 1
        (folder / "t.began").touch()
        try:
            time.sleep(LONG_S)
        except KeyboardInterrupt:
            (folder / "t.interrupted").touch()
            raise

    made = items.remote(tmp_path)
    began(tmp_path)
    sundog.cancel(made[0] if isinstance(made, list) else made)
    with pytest.raises(TaskCancelledError, match="while it ran"):
        sundog.get([*made] if num_returns == "streaming" else made)
    assert (tmp_path / "t.interrupted").exists()
    assert sundog.get(sundog.remote(os.getpid).remote()) == pid_of(tmp_path)


def test_generator_that_runs_too_long_is_interrupted(one_cpu: None, tmp_path: Path) -> None:
    @sundog.remote(timeout_s=0.2)
    def items(folder: Path) -> Any:
        yield 1
        try:
            time.sleep(LONG_S)
        except KeyboardInterrupt:
            (folder / "t.interrupted").touch()
            raise

    with pytest.raises(TaskTimeoutError, match="and was interrupted"):
        sundog.get([*items.remote(tmp_path)])
    assert (tmp_path / "t.interrupted").exists()


def test_a_stray_interrupt_does_no_harm(one_cpu: None, tmp_path: Path) -> None:
    @sundog.remote
    def waits(folder: Path) -> str:
        (folder / "t.pid").write_text(str(os.getpid()))
        (folder / "t.began").touch()
        while not (folder / "go").exists():
            time.sleep(0.002)
        return "whole"

    ref = waits.remote(tmp_path)
    began(tmp_path)
    for _ in range(5):
        for number in (signal.SIGINT, _core.INTERRUPT_SIGNAL):
            os.kill(pid_of(tmp_path), number)
    (tmp_path / "go").touch()
    assert sundog.get(ref) == "whole"


def test_is_canceled_is_for_tasks(session: None) -> None:
    @sundog.remote
    def asks() -> bool:
        return sundog.get_runtime_context().is_canceled()

    assert sundog.get(asks.remote()) is False
    with pytest.raises(RuntimeError, match="no task runs here"):
        sundog.get_runtime_context().is_canceled()


def test_interrupted_import_ends_the_worker(one_cpu: None, tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text(
        "import pathlib, time\n"
        f"pathlib.Path({str(tmp_path)!r}, 't.began').touch()\n"
        f"time.sleep({LONG_S})\n"
    )

    @sundog.remote
    def imports(folder: str) -> None:
        import sys

        Path(folder, "t.pid").write_text(str(os.getpid()))
        sys.path.insert(0, folder)
        import slow_module  # noqa: F401

    ref = imports.remote(str(tmp_path))
    began(tmp_path)
    sundog.cancel(ref)
    with pytest.raises(TaskCancelledError):
        sundog.get(ref)
    until(lambda: has_ended(pid_of(tmp_path)), "the worker with half a module is gone")
    sundog.get(touch.remote(tmp_path / "after"))


def test_mistakes_say_what_to_do(session: None, tmp_path: Path) -> None:
    actor = Slow.remote()
    mistakes: list[Any] = [5, [touch.remote(tmp_path / "x")], actor]
    for given in mistakes:
        with pytest.raises(TypeError, match=r"cancel\(\) takes"):
            sundog.cancel(given)
    put = sundog.put(1)
    with pytest.raises(ValueError, match="was put: no task makes it"):
        sundog.cancel(put)
    with pytest.raises(ValueError, match="grace_s is for force=True"):
        sundog.cancel(touch.remote(tmp_path / "y"), grace_s=1)


def test_task_that_runs_too_long(one_cpu: None, tmp_path: Path) -> None:
    ref = sleeps.options(timeout_s=0.3).remote(tmp_path)
    with pytest.raises(TaskTimeoutError, match=r"ran longer than the 0\.3 s") as caught:
        sundog.get(ref)
    assert isinstance(caught.value, TimeoutError)
    assert (tmp_path / "t.interrupted").exists()
    (tmp_path / "t.began").unlink()
    killed = stubborn.options(timeout_s=0.1).remote(tmp_path)
    with pytest.raises(TaskTimeoutError, match="and was killed"):
        sundog.get(killed)
    sundog.get(touch.options(timeout_s=60).remote(tmp_path / "in time"))
