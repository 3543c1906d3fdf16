"""``init(local_mode=True)``: actors are objects of this process, and behave as ever."""

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import PATIENCE_S, run_program, until

import sundog
from sundog import _core, _explain, _local_actors
from sundog.exceptions import ActorAlreadyExistsError, ActorDiedError


@pytest.fixture(autouse=True)
def local() -> Iterator[None]:
    sundog.init(num_cpus=2, local_mode=True, logging_level="warning")
    yield


@sundog.remote
def nothing() -> None:
    pass


@sundog.remote
class Counter:
    def __init__(self, start: int = 0, *, items: list[int] | None = None) -> None:
        self.value = start
        self.items = items if items is not None else []

    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @sundog.method(num_returns=2)
    def both(self) -> tuple[int, int]:
        return self.value, -self.value

    def append(self, item: int) -> list[int]:
        self.items.append(item)
        return self.items

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise KeyError("no such thing")

    def leave(self) -> None:
        sundog.actor.exit_actor()

    def who(self) -> object:
        context = sundog.get_runtime_context()
        return context.get_actor_id(), context.get_actor_name(), context.current_actor


def test_methods_run_here_in_order() -> None:
    counter = Counter.remote(10)
    refs = [counter.add.remote(i) for i in range(4)]
    assert sundog.get(refs) == [10, 11, 13, 16]
    assert sundog.get(counter.pid.remote()) == os.getpid()
    assert sundog.wait([counter.add.remote()])[1] == []
    first, second = counter.both.remote()
    assert sundog.get([first, second]) == [17, -17]
    assert sundog.get(counter.add.options(num_returns=1).remote(n=3)) == 20
    assert sundog.get(counter.__ray_ready__.remote()) is True


def test_arguments_and_results_are_copies() -> None:
    mine = [1]
    counter = Counter.remote(items=mine)
    seen = sundog.get(counter.append.remote(2))
    seen.append(99)
    assert mine == [1]
    assert sundog.get(counter.append.remote(sundog.put(3))) == [1, 2, 3]


def test_handles_travel_into_tasks_and_other_actors() -> None:
    @sundog.remote
    def add_through(handles: list[sundog.actor.ActorHandle[Counter]]) -> int:
        return sundog.get(handles[0].add.remote(5))

    @sundog.remote
    class Owner:
        def __init__(self, counter: sundog.actor.ActorHandle[Counter]) -> None:
            self.counter = counter

        def add(self) -> int:
            return sundog.get(self.counter.add.remote())

    counter = Counter.remote()
    assert sundog.get(add_through.remote([counter])) == 5
    assert sundog.get(Owner.remote(counter).add.remote()) == 6
    method = sundog.get(sundog.put(counter.add))
    assert sundog.get(method.remote()) == 7
    assert sundog.get(sundog.put(counter)) == counter


def test_the_object_goes_with_its_last_handle() -> None:
    gone = []

    class Noted:
        def ready(self) -> bool:
            return True

        def __del__(self) -> None:
            gone.append(1)

    noted = sundog.remote(Noted).remote()
    assert sundog.get(noted.ready.remote())
    assert gone == []
    del noted
    assert gone == [1]


class Noted:
    gone: ClassVar[list[int]] = []

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def ready(self) -> int:
        return self.number

    def __del__(self) -> None:
        self.gone.append(self.number)


def test_the_object_goes_with_its_last_handle_in_the_store() -> None:
    @sundog.remote
    def use(handle: sundog.actor.ActorHandle[Noted]) -> int:
        return sundog.get(handle.ready.remote())

    @sundog.remote
    def make(number: int) -> sundog.actor.ActorHandle[Noted]:
        return sundog.remote(Noted).remote(number)

    Noted.gone.clear()
    noted = sundog.remote(Noted).remote(1)
    assert sundog.get(use.remote(noted)) == 1
    assert Noted.gone == []
    del noted
    assert Noted.gone == [1]

    stored = sundog.put([sundog.remote(Noted).remote(2)])
    assert sundog.get(sundog.get(stored)[0].ready.remote()) == 2
    method = sundog.get(stored)[0].ready
    del stored
    assert sundog.get(method.remote()) == 2
    assert Noted.gone == [1]
    del method
    assert Noted.gone == [1, 2]

    made = make.remote(3)
    assert sundog.get(sundog.get(made).ready.remote()) == 3
    assert Noted.gone == [1, 2]
    del made
    until(
        lambda: sundog.get(nothing.remote()) is None and Noted.gone == [1, 2, 3],
        "the actor ends at a later call",
    )


def test_a_store_of_which_not_all_is_told_keeps_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    @sundog.remote
    def make() -> sundog.actor.ActorHandle[Noted]:
        return sundog.remote(Noted).remote(5)

    Noted.gone.clear()
    monkeypatch.setattr(_explain, "OBJECTS_TOLD_MAX", 20)
    monkeypatch.setattr(_local_actors, "LOOK_SECONDS", 0)
    objects = [sundog.put(number) for number in range(30)]
    made = make.remote()
    for _ in range(20):
        sundog.get(nothing.remote())
    assert sundog.get(sundog.get(made).ready.remote()) == 5
    del made, objects
    until(
        lambda: sundog.get(nothing.remote()) is None and Noted.gone == [5],
        "the actor ends when all can be told",
    )


def test_as_many_objects_are_told_as_the_daemon_tells() -> None:
    objects = [sundog.put(number) for number in range(_explain.OBJECTS_TOLD_MAX + 1)]
    session = _core.current_session()
    assert session is not None
    assert len(json.loads(session.query(_explain.MEMORY))) == _explain.OBJECTS_TOLD_MAX
    del objects


def test_a_handle_pickled_by_the_program_keeps_its_actor() -> None:
    Noted.gone.clear()
    noted = sundog.remote(Noted).remote(4)
    pickled = pickle.dumps(noted)
    del noted
    assert sundog.get(nothing.remote()) is None
    assert Noted.gone == []
    assert sundog.get(pickle.loads(pickled).ready.remote()) == 4
    sundog.shutdown()
    assert Noted.gone == [4]


def test_an_exception_is_raised_by_get() -> None:
    counter = Counter.remote()
    ref = counter.fail.remote()
    with pytest.raises(KeyError, match="no such thing"):
        sundog.get(ref)
    assert sundog.get(counter.add.remote()) == 1
    with pytest.raises(TypeError, match=r"add\(\) got an unexpected keyword argument 'm'"):
        counter.add.remote(m=1)
    with pytest.raises(AttributeError, match="did you mean 'add'"):
        counter.addd.remote()
    with pytest.raises(TypeError, match="unexpected keyword argument 'begin'"):
        Counter.remote(begin=1)


def test_a_constructor_that_raises_is_the_cause() -> None:
    @sundog.remote
    class Broken:
        def __init__(self) -> None:
            raise OSError("no such disk")

        def read(self) -> int:
            return 1

    broken = Broken.remote()
    with pytest.raises(ActorDiedError, match="its constructor raised an exception") as caught:
        sundog.get(broken.read.remote())
    causes, error = [], caught.value.__cause__
    while error is not None:
        causes.append(type(error))
        error = error.__cause__
    assert OSError in causes


def test_names() -> None:
    counter = Counter.options(name="tally").remote(1)
    assert sundog.get_actor("tally") == counter
    assert sundog.get(sundog.get_actor("tally").add.remote()) == 2
    assert sundog.util.list_named_actors() == ["tally"]
    same = Counter.options(name="tally", get_if_exists=True).remote()
    assert sundog.get(same.add.remote()) == 3
    with pytest.raises(ActorAlreadyExistsError, match="the name 'tally' is taken by"):
        Counter.options(name="tally").remote()
    with pytest.raises(ValueError, match="did you mean 'tally'"):
        sundog.get_actor("taly")
    elsewhere = Counter.options(name="tally", namespace="other").remote()
    assert sundog.get_actor("tally", "other") == elsewhere
    del counter, same, elsewhere
    with pytest.raises(ValueError, match="no actor is named 'tally'"):
        sundog.get_actor("tally")


def test_kill_and_restart() -> None:
    counter = Counter.options(max_restarts=1).remote(5)
    assert sundog.get(counter.add.remote()) == 6
    sundog.kill(counter, no_restart=False)
    assert sundog.get(counter.add.remote()) == 6, "the constructor ran again"
    sundog.kill(counter, no_restart=False)
    with pytest.raises(
        ActorDiedError, match=r"Counter.add: its actor Counter died: .* by kill\(\)"
    ):
        sundog.get(counter.add.remote())


def test_exit_actor() -> None:
    counter = Counter.remote()
    assert sundog.get(counter.leave.remote()) is None
    with pytest.raises(ActorDiedError, match=r"it called exit_actor\(\)"):
        sundog.get(counter.add.remote())
    with pytest.raises(TypeError, match="this process is none"):
        sundog.actor.exit_actor()


def test_code_of_an_actor_knows_whose_it_is() -> None:
    counter = Counter.options(name="who").remote()
    identity, name, handle = sundog.get(counter.who.remote())
    assert (identity, name, handle) == (counter._actor_id.hex(), "who", counter)
    assert sundog.get_runtime_context().get_actor_id() is None
    sundog.shutdown()


@sundog.remote
class Asking:
    """Its constructor asks whose it is."""

    def __init__(self) -> None:
        context = sundog.get_runtime_context()
        self.me = context.current_actor
        self.told = context.get_actor_id(), context.get_actor_name()

    def answers(self) -> tuple[str | None, str | None]:
        return self.told

    def ask_itself(self) -> tuple[str | None, str | None]:
        me, self.me = self.me, None  # a handle of itself would keep it
        return sundog.get(me.answers.remote())


def test_a_constructor_knows_whose_it_is() -> None:
    asking = Asking.options(name="asking").remote()
    told = (asking._actor_id.hex(), "asking")
    assert asking.__doc__ == "Its constructor asks whose it is."
    assert sundog.get([asking.answers.remote(), asking.ask_itself.remote()]) == [told, told]


def test_an_actor_does_not_outlive_its_session() -> None:
    counter = Counter.options(name="old", lifetime="detached").remote()
    sundog.shutdown()
    sundog.init(num_cpus=1, local_mode=True, logging_level="warning")
    with pytest.raises(ValueError, match="no actor is named 'old'"):
        sundog.get_actor("old")
    with pytest.raises(sundog.exceptions.ObjectLostError):
        sundog.kill(counter)
    with pytest.raises(sundog.exceptions.ObjectLostError):
        counter.add.remote(sundog.put(1))
    sundog.shutdown()
    sundog.init(num_cpus=1, logging_level="warning")
    elsewhere = Counter.remote()
    assert sundog.get(elsewhere.pid.remote()) != os.getpid()


def test_pdb_steps_into_a_method(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sundog\n"
        "sundog.init(num_cpus=1, local_mode=True, logging_level='warning')\n"
        "@sundog.remote\n"
        "class Adder:\n"
        "    def add(self, x):\n"
        "        breakpoint()\n"
        "        return x + 1\n"
        "adder = Adder.remote()\n"
        "print('result', sundog.get(adder.add.remote(41)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        input="p x * 2\nc\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert "82" in done.stdout and "result 42" in done.stdout, done.stdout + done.stderr


def test_leaving_the_debugger_ends_the_program(tmp_path: Path) -> None:
    done = run_program(
        """
        import bdb
        import sundog

        sundog.init(num_cpus=1, local_mode=True, logging_level="warning")

        @sundog.remote
        class Stopped:
            def run(self):
                raise bdb.BdbQuit

        stopped = Stopped.remote()
        stopped.run.remote()
        """,
        tmp_path,
        check=False,
    )
    assert done.returncode == 1 and "BdbQuit" in done.stderr


def context_here() -> dict[str, object]:
    """What the runtime context tells."""
    context = sundog.get_runtime_context()
    return {
        "name": context.get_task_name(),
        "function": context.get_task_function_name(),
        "resources": context.get_assigned_resources(),
        "actor": context.get_actor_id(),
        "actor name": context.get_actor_name(),
        "canceled": context.is_canceled(),
        "job": context.get_job_id(),
        "node": context.get_node_id(),
        "namespace": context.namespace,
        "generation": context.was_current_actor_reconstructed,
    }


@sundog.remote
def ask() -> dict[str, object]:
    return context_here()


@sundog.remote
class Told:
    def __init__(self) -> None:
        self.made = context_here()

    def all_of_it(self) -> list[dict[str, object]]:
        inner = ask.options(name="inner", num_cpus=0.5, resources={"disk": 2})
        return [self.made, context_here(), sundog.get(inner.remote())]

    def one_by_one(self) -> Iterator[dict[str, object]]:
        yield context_here()


@sundog.remote
class ToldLater:
    async def one(self) -> dict[str, object]:
        return context_here()


def everything_told() -> list[dict[str, object]]:
    """Of a task, an actor and what it calls, a generator and an asynchronous method."""
    told = Told.options(name="told", num_cpus=1).remote()
    items = told.one_by_one.remote()
    found = [
        sundog.get(ask.remote()),
        *sundog.get(told.all_of_it.remote()),
        sundog.get(next(items)),
    ]
    found.append(sundog.get(ToldLater.remote().one.remote()))
    actor = told._actor_id.hex()
    assert [one["actor"] == actor for one in found] == [False, True, True, False, True, False]
    return [{k: v for k, v in one.items() if k not in ("actor", "node")} for one in found]


def test_the_context_tells_what_it_tells_in_a_worker() -> None:
    sundog.shutdown()
    options: dict[str, object] = {"num_cpus": 4, "resources": {"disk": 4}, "namespace": "here"}
    sundog.init(**options, local_mode=True, logging_level="warning")  # type: ignore[arg-type]
    here = everything_told()
    context = sundog.get_runtime_context()
    assert (context.get_task_id(), context.get_task_name(), context.task_id) == (None, None, None)
    assert context.get_task_function_name() is None
    sundog.shutdown()
    sundog.init(**options, logging_level="warning")  # type: ignore[arg-type]
    assert here == everything_told()


def test_each_call_has_an_id_of_its_own() -> None:
    @sundog.remote
    def outer() -> tuple[str | None, str | None, str | None]:
        context = sundog.get_runtime_context()
        before = context.get_task_id()
        return before, sundog.get(inner.remote()), context.get_task_id()

    @sundog.remote
    def inner() -> str | None:
        return sundog.get_runtime_context().get_task_id()

    before, within, after = sundog.get(outer.remote())
    assert before == after != within
    assert before is not None and len(before) == 32
    assert before.startswith(sundog.get_runtime_context().get_job_id())


def test_calls_of_several_threads_are_told_apart() -> None:
    together = threading.Barrier(2)

    @sundog.remote
    def name_of_task() -> str | None:
        together.wait(PATIENCE_S)
        name = sundog.get_runtime_context().get_task_name()
        together.wait(PATIENCE_S)
        return name

    def call(name: str) -> str | None:
        return sundog.get(name_of_task.options(name=name).remote())

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(call, ["first", "second"])) == ["first", "second"]
