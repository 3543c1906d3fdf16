"""Actors that run several calls at once: asynchronous ones, threaded ones, concurrency groups."""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program, until

import sundog

PATIENCE_S = 60.0


@sundog.remote
class Gate:
    """Calls wait at it until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def enter(self, answer: Any = None) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return answer

    async def let_all_in(self) -> int:
        self.open.set()
        return self.inside

    def look(self) -> tuple[int, int]:
        return self.inside, self.most

    async def fail(self, error: BaseException) -> None:
        await asyncio.sleep(0)
        raise error

    async def who(self) -> tuple[str | None, str | None]:
        before = sundog.get_runtime_context().get_task_id()
        await asyncio.sleep(0.01)
        return before, sundog.get_runtime_context().get_task_id()

    def pid(self) -> int:
        return os.getpid()

    async def die(self) -> None:
        os._exit(7)

    async def leave(self) -> None:
        sundog.actor.exit_actor()


@sundog.remote
def double(x: int) -> int:
    return 2 * x


def wait_inside(gate: Any, count: int) -> None:
    until(lambda: sundog.get(gate.look.remote())[0] == count, f"{count} calls are inside")


# ---------------------------------------------------------------- asynchronous actors


def test_calls_run_at_once_and_answer_out_of_order(session: None) -> None:
    gate = Gate.remote()
    waiting = [gate.enter.remote(i) for i in range(100)]
    wait_inside(gate, 100)
    assert sundog.wait(waiting, timeout=0) == ([], waiting)
    assert sundog.get(gate.pid.remote()) != os.getpid()  # a later call ends before them
    assert sundog.get(gate.let_all_in.remote()) == 100
    assert sundog.get(waiting) == list(range(100))


def test_ten_thousand_calls_are_in_flight(session: None) -> None:
    gate = Gate.options(max_concurrency=10_000).remote()
    waiting = [gate.enter.remote(i) for i in range(9_999)]
    wait_inside(gate, 9_999)
    assert sundog.get(gate.let_all_in.remote()) == 9_999
    assert sundog.get(waiting) == list(range(9_999))


def test_ten_thousand_calls_wait_for_an_actor_that_runs_a_few(session: None) -> None:
    gate = Gate.options(max_concurrency=8).remote()
    waiting = [gate.enter.remote(i) for i in range(7)]
    wait_inside(gate, 7)
    opened = gate.let_all_in.remote()
    waiting += [gate.enter.remote(i) for i in range(7, 10_000)]
    assert sundog.get(waiting) == list(range(10_000))
    assert sundog.get(opened) == 7


def test_no_more_than_max_concurrency_run_and_a_thousand_by_default(session: None) -> None:
    few = Gate.options(max_concurrency=3).remote()
    waiting = [few.enter.remote(i) for i in range(2)]
    wait_inside(few, 2)
    waiting += [few.enter.remote(i) for i in range(2, 50)]
    opened = few.let_all_in.remote()  # behind them all, and nobody else opens it
    assert sundog.wait([opened], timeout=0.3)[0] == []
    sundog.kill(few)
    many = Gate.remote()
    waiting = [many.enter.remote(i) for i in range(1_200)]
    ready, _ = sundog.wait([many.let_all_in.remote()], timeout=0.5)
    assert ready == [], "a thousand calls fill it"
    sundog.kill(many)
    with pytest.raises(sundog.exceptions.ActorDiedError):
        sundog.get(waiting)


def test_sync_methods_and_constructor_share_the_loop_s_thread(session: None) -> None:
    @sundog.remote
    class Shared:
        def __init__(self) -> None:
            self.thread = threading.get_ident()
            self.loop = asyncio.get_event_loop_policy().get_event_loop()

        def plain(self) -> bool:
            return threading.get_ident() == self.thread

        async def of_loop(self) -> bool:
            here = threading.get_ident() == self.thread
            return here and asyncio.get_running_loop() is self.loop

    shared = Shared.remote()
    assert sundog.get([shared.plain.remote(), shared.of_loop.remote()]) == [True, True]


def test_each_call_has_a_context_of_its_own(session: None) -> None:
    gate = Gate.remote()
    refs = [gate.who.remote() for _ in range(50)]
    told = sundog.get(refs)
    assert [a for a, _ in told] == [b for _, b in told] == [r.task_id().hex() for r in refs]


def test_what_calls_submit_and_put_side_by_side_is_told_apart(session: None) -> None:
    @sundog.remote
    class Busy:
        async def work(self, x: int) -> list[Any]:
            refs = [double.remote(x + i) for i in range(5)]
            await asyncio.sleep(0)
            put = sundog.put(x)
            later = asyncio.create_task(self.submit(x))
            values = await asyncio.gather(*refs)
            return [*values, await put, await later]

        async def submit(self, x: int) -> int:
            return int(await double.remote(-x))

    busy = Busy.remote()
    got = sundog.get([busy.work.remote(x) for x in range(40)])
    assert got == [[2 * (x + i) for i in range(5)] + [x, -2 * x] for x in range(40)]


def test_refs_are_awaited_with_asyncio_s_own_tools(session: None) -> None:
    @sundog.remote
    class Awaiting:
        async def tools(self) -> list[Any]:
            refs = [double.remote(i) for i in range(4)]
            first = await asyncio.wait_for(refs[0], PATIENCE_S)
            gathered = await asyncio.gather(*refs)
            done, pending = await asyncio.wait([asyncio.ensure_future(r) for r in refs])
            by_end = sorted([await f for f in asyncio.as_completed(refs)])
            return [first, gathered, len(done), len(pending), by_end, refs[3].future().result()]

    assert sundog.get(Awaiting.remote().tools.remote()) == [0, [0, 2, 4, 6], 4, 0, [0, 2, 4, 6], 6]
    future: Future[int] = double.remote(4).future()
    assert future.result(PATIENCE_S) == 8


@pytest.mark.parametrize(
    "error", [ValueError("v"), asyncio.TimeoutError("slow"), asyncio.QueueEmpty("none")]
)
def test_errors_keep_their_type(session: None, error: Exception) -> None:
    gate = Gate.remote()
    with pytest.raises(type(error)) as caught:
        sundog.get(gate.fail.remote(error))
    assert isinstance(caught.value, sundog.exceptions.TaskError)
    assert caught.value.function_name == "Gate.fail"
    assert "sundog/_async_actor" not in caught.value.remote_traceback


def test_a_call_that_cancels_itself_fails_and_the_actor_goes_on(session: None) -> None:
    gate = Gate.remote()
    with pytest.raises(sundog.exceptions.TaskError, match="CancelledError"):
        sundog.get(gate.fail.remote(asyncio.CancelledError()))
    assert sundog.get(gate.look.remote()) == (0, 0)


def test_a_blocked_loop_is_told_by_the_method_s_name(tmp_path: Path) -> None:
    told = run_program(
        """
        import time, sundog

        @sundog.remote
        def slow():
            time.sleep(2.0)
            return 1

        @sundog.remote
        class Blocking:
            async def wait_for_it(self):
                return sundog.get(slow.remote())
            async def fine(self):
                return 2

        sundog.init(num_cpus=2)
        blocking = Blocking.remote()
        print(sundog.get([blocking.wait_for_it.remote(), blocking.fine.remote()]))
        """,
        tmp_path,
        SUNDOG_BLOCKED_LOOP_SECONDS="0.5",
    )
    assert "[1, 2]" in told.stdout
    assert "the event loop of Blocking (pid " in told.stderr
    assert "by Blocking.wait_for_it() at program.py:12: return sundog.get(" in told.stderr
    assert "'await ref' gives a value without blocking" in told.stderr
    assert told.stderr.count("by Blocking.wait_for_it()") == 1


# ---------------------------------------------------------------- how they end


def test_death_in_the_middle_of_a_thousand_calls_fails_them_all(session: None) -> None:
    gate = Gate.remote()
    waiting = [gate.enter.remote(i) for i in range(998)]
    wait_inside(gate, 998)
    waiting += [gate.die.remote(), *[gate.enter.remote(i) for i in range(100)]]
    for ref in waiting:
        with pytest.raises(sundog.exceptions.ActorDiedError, match="exited with code 7"):
            sundog.get(ref)


def test_calls_are_tried_again_after_a_restart(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_restarts=1, max_task_retries=1)
    class Fragile:
        async def first_dies(self, mark: str, x: int) -> int:
            await asyncio.sleep(0.01)
            if x == 50 and not os.path.exists(mark):
                Path(mark).touch()
                os._exit(3)
            return x

    fragile = Fragile.remote()
    refs = [fragile.first_dies.remote(str(tmp_path / "died"), x) for x in range(200)]
    assert sundog.get(refs) == list(range(200))


def test_exit_actor_in_an_async_method_ends_the_actor(session: None, tmp_path: Path) -> None:
    @sundog.remote
    class Leaving:
        async def stay(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                Path(tmp_path / "unwound").touch()

        async def leave(self) -> None:
            await asyncio.gather(self.leave_indeed())

        async def leave_indeed(self) -> None:
            await asyncio.sleep(0)
            sundog.actor.exit_actor()

    leaving = Leaving.remote()
    staying = leaving.stay.remote()
    assert sundog.get(leaving.leave.remote()) is None
    with pytest.raises(sundog.exceptions.ActorDiedError, match=r"called exit_actor\(\)"):
        sundog.get(staying)
    until((tmp_path / "unwound").exists, "the call that stayed was cancelled")


def test_exit_actor_beside_a_call_that_runs_prints_nothing(tmp_path: Path) -> None:
    program = """
        import asyncio, sundog

        @sundog.remote
        class Server:
            async def stay(self):
                await asyncio.sleep(60)

            async def leave(self):
                sundog.actor.exit_actor()

        sundog.init(num_cpus=1, logging_level="warning")
        server = Server.remote()
        running = server.stay.remote()
        assert sundog.get(server.leave.remote()) is None
        try:
            sundog.get(running)
        except sundog.exceptions.ActorDiedError as error:
            assert "it called exit_actor()" in str(error)
    """
    assert run_program(program, tmp_path).stderr == ""


def test_the_end_waits_for_calls_that_run(session: None) -> None:
    gate = Gate.remote()
    opener = Gate.remote()

    @sundog.remote
    class Patient:
        async def wait(self, gate: Any) -> str:
            return str(await gate.enter.remote("through"))

    patient = Patient.remote()
    waiting = patient.wait.remote(gate)
    wait_inside(gate, 1)
    del patient, opener
    sundog.get(gate.let_all_in.remote())
    assert sundog.get(waiting) == "through"


def test_kill_fails_what_runs(session: None) -> None:
    gate = Gate.remote()
    waiting = [gate.enter.remote() for _ in range(20)]
    wait_inside(gate, 20)
    sundog.kill(gate)
    for ref in waiting:
        with pytest.raises(sundog.exceptions.ActorDiedError, match=r"kill\(\)"):
            sundog.get(ref)


# ---------------------------------------------------------------- threads


@sundog.remote(max_concurrency=4)
class Threaded:
    def __init__(self) -> None:
        self.met = threading.Barrier(4)
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def meet(self) -> tuple[int, str | None]:
        self.met.wait(PATIENCE_S)
        return threading.get_ident(), sundog.get_runtime_context().get_task_id()

    def rest(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.001)
        with self.lock:
            self.inside -= 1

    def seen(self) -> int:
        return self.most

    def nested(self, x: int) -> int:
        return int(sundog.get(double.remote(x)))

    def fail(self) -> None:
        raise KeyError("k")

    def leave(self) -> None:
        sundog.actor.exit_actor()

    def die(self) -> None:
        os._exit(9)


def test_a_threaded_actor_runs_as_many_calls_as_it_may(session: None) -> None:
    actor = Threaded.remote()
    refs = [actor.meet.remote() for _ in range(8)]
    told = sundog.get(refs)  # four threads meet, twice
    assert [task for _, task in told] == [r.task_id().hex() for r in refs]
    assert len({thread for thread, _ in told}) == 4
    sundog.get([actor.rest.remote() for _ in range(200)])
    assert 2 <= sundog.get(actor.seen.remote()) <= 4
    assert sundog.get([actor.nested.remote(x) for x in range(20)]) == [2 * x for x in range(20)]
    with pytest.raises(KeyError):
        sundog.get(actor.fail.remote())


def test_exit_and_death_of_a_threaded_actor(session: None) -> None:
    actor = Threaded.remote()
    stuck = [actor.meet.remote() for _ in range(3)]
    assert sundog.get(actor.leave.remote()) is None
    for ref in stuck:
        with pytest.raises(sundog.exceptions.ActorDiedError, match=r"exit_actor\(\)"):
            sundog.get(ref)
    actor = Threaded.remote()
    stuck = [actor.meet.remote() for _ in range(3)]
    actor.die.remote()
    for ref in stuck:
        with pytest.raises(sundog.exceptions.ActorDiedError, match="exited with code 9"):
            sundog.get(ref)


# ---------------------------------------------------------------- groups, order, pending calls


def test_groups_are_counted_apart_in_async_actors(session: None) -> None:
    @sundog.remote(concurrency_groups={"io": 2, "compute": 1})
    class Grouped(Gate.__wrapped__):  # type: ignore[misc, name-defined]
        @sundog.method(concurrency_group="io")
        async def read(self) -> Any:
            return await self.enter("read")

    grouped = Grouped.remote()
    reads = [grouped.read.remote() for _ in range(100)]
    wait_inside(grouped, 2)
    computed = grouped.enter.options(concurrency_group="compute").remote("computed")
    wait_inside(grouped, 3)
    assert sundog.get(grouped.look.remote()) == (3, 3), "other calls are in no group"
    assert sundog.get(grouped.let_all_in.remote()) == 3
    assert sundog.get([computed, *reads]) == ["computed", *["read"] * 100]
    wrong = grouped.enter.options(concurrency_group="net").remote()
    with pytest.raises(sundog.exceptions.TaskUnschedulableError, match="it has 'io', 'compute'"):
        sundog.get(wrong)


def test_groups_are_counted_apart_in_threaded_actors(session: None) -> None:
    @sundog.remote(concurrency_groups={"io": 2})
    class Grouped:
        def __init__(self) -> None:
            self.both = threading.Barrier(2)
            self.go = threading.Event()

        @sundog.method(concurrency_group="io")
        def read(self) -> None:
            self.both.wait(PATIENCE_S)
            self.go.wait(PATIENCE_S)

        def open(self) -> None:
            self.go.set()

    grouped = Grouped.remote()
    reads = [grouped.read.remote() for _ in range(6)]
    assert sundog.wait(reads, timeout=0.2)[0] == []
    sundog.get(grouped.open.remote())
    assert sundog.get(reads) == [None] * 6


def test_calls_may_overtake_one_whose_argument_is_missing(session: None) -> None:
    @sundog.remote
    class Noting:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def note(self, x: int) -> None:
            self.seen.append(x)

        def told(self) -> list[int]:
            return self.seen

    gate = Gate.remote()
    late = gate.enter.remote(1)
    wait_inside(gate, 1)
    free = Noting.options(allow_out_of_order_execution=True).remote()
    first = free.note.remote(late)
    free.note.remote(2)
    assert sundog.get(free.told.remote()) == [2]
    ordered = Noting.remote()
    ordered.note.remote(late)
    ordered.note.remote(2)
    sundog.get(gate.let_all_in.remote())
    sundog.get(first)
    assert sundog.get(free.told.remote()) == [2, 1]
    assert sundog.get(ordered.told.remote()) == [1, 2]


@pytest.mark.parametrize("given", [{"max_concurrency": 2}, {}])
def test_actors_with_calls_at_once_keep_no_order_of_arguments_unless_asked(
    session: None, given: dict[str, int]
) -> None:
    class Threaded:
        def echo(self, x: int) -> int:
            return x

    class Async:
        async def echo(self, x: int) -> int:
            return x

    gate = Gate.remote()
    late = gate.enter.remote(1)
    wait_inside(gate, 1)
    cls = sundog.remote(Threaded if given else Async)
    free = cls.options(**given).remote()
    behind = free.echo.remote(late)
    assert sundog.get(free.echo.remote(2), timeout=20) == 2
    ordered = cls.options(**given, allow_out_of_order_execution=False).remote()
    ordered.echo.remote(late)
    after = ordered.echo.remote(2)
    until(lambda: "behind a call of the same caller" in sundog.explain(after), "it keeps the order")
    sundog.get(gate.let_all_in.remote())
    assert sundog.get([behind, after]) == [1, 2]


def test_a_group_of_one_call_at_a_time_has_one_thread(session: None) -> None:
    @sundog.remote(concurrency_groups={"io": 1, "compute": 1})
    class Keeping:
        def __init__(self) -> None:
            self.kept = threading.local()

        def keep(self, value: str) -> int:
            self.kept.value = value
            return threading.get_ident()

        def told(self) -> tuple[str, int]:
            return self.kept.value, threading.get_ident()

    actor = Keeping.remote()
    groups: list[dict[str, str]] = [
        {},
        {"concurrency_group": "io"},
        {"concurrency_group": "compute"},
    ]
    threads = [
        sundog.get(actor.keep.options(**group).remote(str(i))) for i, group in enumerate(groups)
    ]
    assert len(set(threads)) == 3
    for turn in (0, 2, 1, 1, 0, 2):
        found = sundog.get(actor.told.options(**groups[turn]).remote())
        assert found == (str(turn), threads[turn])


def test_max_pending_calls_is_told_at_the_call(session: None) -> None:
    gate = Gate.options(max_pending_calls=10).remote()
    waiting = [gate.enter.remote(i) for i in range(9)]
    until(lambda: sundog.get(gate.look.remote())[0] == 9, "nine calls are inside")
    waiting.append(gate.enter.remote(9))
    with pytest.raises(sundog.exceptions.PendingCallsLimitExceeded, match="max_pending_calls=10"):
        gate.enter.remote(10)
    with pytest.raises(sundog.exceptions.PendingCallsLimitExceeded):
        gate.let_all_in.remote()

    @sundog.remote
    def open_it(gate: Any) -> int:
        return int(sundog.get(gate.let_all_in.remote()))

    assert sundog.get(open_it.remote(gate)) == 10, "another process counts its own"
    assert sundog.get(waiting) == list(range(10))
    assert sundog.get(gate.enter.remote(11)) == 11


def test_local_mode_runs_each_call_to_its_end(tmp_path: Path) -> None:
    told = run_program(
        """
        import asyncio, sundog

        @sundog.remote
        class Sum:
            def __init__(self):
                self.total, self.lock = 0, asyncio.Lock()
            async def add(self, x):
                async with self.lock:
                    await asyncio.sleep(0)
                    self.total += x
                return self.total

        sundog.init(local_mode=True)
        sum = Sum.remote()
        print(sundog.get([sum.add.remote(x) for x in range(4)]))

        async def main():
            return await sum.add.remote(10)

        print(asyncio.run(main()))
        """,
        tmp_path,
    )
    assert told.stdout == "[0, 1, 3, 6]\n16\n"


def test_exit_in_a_method_ends_the_actor(session: None) -> None:
    @sundog.remote
    class Leaving:
        async def leave(self) -> None:
            sys.exit(3)

    with pytest.raises(sundog.exceptions.ActorDiedError, match="exited with code 3"):
        sundog.get(Leaving.remote().leave.remote(), timeout=PATIENCE_S)
