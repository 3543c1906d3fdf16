"""Options of tasks: retries by type of exception, priorities, max_calls, second Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import until

import sundog
from sundog.exceptions import ActorDiedError, TaskUnschedulableError
from sundog.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
)


class Special(ConnectionError):
    """Travels by its class."""


@sundog.remote
def fails(path: str, times: int, kind: type[Exception]) -> int:
    """Fails so often, then tells how often it began."""
    with open(path, "a") as file:
        file.write("x")
    began = os.path.getsize(path)
    if began <= times:
        raise kind("not yet")
    return began


def test_exceptions_are_retried_by_their_types(session: None, tmp_path: Path) -> None:
    listed = fails.options(retry_exceptions=[ConnectionError, KeyError], max_retries=3)
    assert sundog.get(listed.remote(str(tmp_path / "a"), 2, Special)) == 3
    with pytest.raises(ValueError, match="not yet"):
        sundog.get(listed.remote(str(tmp_path / "b"), 2, ValueError))
    assert (tmp_path / "b").stat().st_size == 1
    assert sundog.get(fails.options(retry_exceptions=True).remote(str(tmp_path / "c"), 1, OSError))
    with pytest.raises(OSError, match="not yet"):
        sundog.get(fails.options(retry_exceptions=[]).remote(str(tmp_path / "d"), 1, OSError))
    assert (tmp_path / "d").stat().st_size == 1
    with pytest.raises(Special):
        sundog.get(listed.remote(str(tmp_path / "e"), 99, Special))
    assert (tmp_path / "e").stat().st_size == 4, "max_retries is the limit"


def test_larger_priority_runs_first(one_cpu: None, tmp_path: Path) -> None:
    @sundog.remote
    def hold(folder: Path) -> None:
        (folder / "held").touch()
        until((folder / "go").exists, "the test says so")

    @sundog.remote
    def note(folder: Path, name: str) -> None:
        with open(folder / "order", "a") as file:
            file.write(name)

    first = hold.remote(tmp_path)
    until((tmp_path / "held").exists, "the CPU is taken")
    order = {"a": 0, "b": 5, "c": -3, "d": 5}
    refs = [note.options(priority=p).remote(tmp_path, name) for name, p in order.items()]
    (tmp_path / "go").touch()
    sundog.wait(refs, num_returns=len(refs))
    sundog.get([first, *refs])
    assert (tmp_path / "order").read_text() == "bdac"


def test_worker_ends_after_max_calls(one_cpu: None) -> None:
    @sundog.remote(max_calls=3)
    def pid() -> int:
        return os.getpid()

    pids = sundog.get([pid.remote() for _ in range(9)])
    counts = {p: pids.count(p) for p in pids}
    assert sorted(counts.values()) == [3, 3, 3]


def test_second_interrupt_cancels_what_a_script_submitted(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import pathlib, sys, time
            import sundog

            sundog.init(num_cpus=1, logging_level="info")

            @sundog.remote
            def sleeps():
                time.sleep(120)

            refs = [sleeps.remote() for _ in range(3)]
            for turn in range(2):
                try:
                    pathlib.Path(sys.argv[1], f"waits{turn}").touch()
                    sundog.get(refs)
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
            for ref in refs:
                try:
                    sundog.get(ref)
                except sundog.exceptions.TaskCancelledError:
                    print("cancelled", flush=True)
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as running:
        wchan = Path(f"/proc/{running.pid}/wchan")
        for turn in range(2):
            until((tmp_path / f"waits{turn}").exists, "the program waits")
            until(lambda: "futex" in wchan.read_text(), "it sleeps in get")
            running.send_signal(signal.SIGINT)
            until(lambda t=turn: t == 1 or (tmp_path / "waits1").exists(), "it was interrupted")
        out, err = running.communicate(timeout=60)
    assert out.split() == ["interrupted"] * 2 + ["cancelled"] * 3
    assert "Ctrl-C again" in err


def test_strategies_that_this_node_matches(session: None) -> None:
    own = sundog.get_runtime_context().get_node_id()

    @sundog.remote
    def node() -> str:
        return sundog.get_runtime_context().get_node_id()

    @sundog.remote
    class Actor:
        def node(self) -> str:
            return sundog.get_runtime_context().get_node_id()

    given: list[dict[str, object]] = [
        {"scheduling_strategy": "DEFAULT"},
        {"scheduling_strategy": "SPREAD"},
        {"scheduling_strategy": NodeAffinitySchedulingStrategy(own, soft=False)},
        {"scheduling_strategy": NodeAffinitySchedulingStrategy("f" * 32, soft=True)},
        {"scheduling_strategy": NodeLabelSchedulingStrategy({"ray.io/node-id": In(own)})},
        {"scheduling_strategy": NodeLabelSchedulingStrategy(soft={"zone": Exists()})},
        {"scheduling_strategy": NodeLabelSchedulingStrategy({"zone": DoesNotExist()})},
        {"label_selector": {"ray.io/node-id": own, "zone": "!in(a, b)"}},
    ]
    for options in given:
        assert sundog.get(node.options(**options).remote(), timeout=20) == own
        actor = Actor.options(**options).remote()
        assert sundog.get(actor.node.remote(), timeout=20) == own


def test_what_no_node_matches_waits_and_says_so(session: None) -> None:
    @sundog.remote
    def never() -> None:
        pass

    given: list[tuple[dict[str, object], str]] = [
        ({"label_selector": {"zone": "a"}}, r"node with label zone In\('a'\)"),
        (
            {"scheduling_strategy": NodeLabelSchedulingStrategy({"zone": Exists()})},
            r"node with label zone Exists\(\)",
        ),
    ]
    for options, missing in given:
        ref = never.options(**options).remote()
        assert re.search(f"it needs 1 {missing}, this session has 0", sundog.explain(ref))
        sundog.cancel(ref)


def test_what_may_run_on_another_node_only_fails(session: None) -> None:
    elsewhere = NodeAffinitySchedulingStrategy("f" * 32, soft=False)

    @sundog.remote(scheduling_strategy=elsewhere)
    def never() -> None:
        pass

    @sundog.remote
    class Never:
        def call(self) -> None:
            pass

    text = "it may run only on node " + "f" * 32 + ", which is not in this session"
    with pytest.raises(TaskUnschedulableError, match=text):
        sundog.get(never.remote(), timeout=20)
    actor = Never.options(scheduling_strategy=elsewhere).remote()
    with pytest.raises(ActorDiedError, match=text):
        sundog.get(actor.call.remote(), timeout=20)


def test_wrong_strategies_are_refused() -> None:
    @sundog.remote
    def f() -> None:
        pass

    wrong: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"scheduling_strategy": "PACK"}, ValueError, "is one of"),
        ({"scheduling_strategy": 5}, TypeError, "NodeAffinitySchedulingStrategy"),
        ({"label_selector": "zone=a"}, TypeError, "a dictionary of labels"),
        ({"label_selector": {"zone": 5}}, TypeError, "labels and values are strings"),
        ({"priority": 1.5}, TypeError, "priority is an integer"),
        ({"max_calls": -1}, ValueError, "max_calls is from 0"),
        ({"timeout_s": 0}, ValueError, "timeout_s is a number of seconds"),
    ]
    for options, kind, text in wrong:
        with pytest.raises(kind, match=text):
            f.options(**options)
