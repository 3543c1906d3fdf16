"""How actors end: with their handles, by kill, by a crash, by themselves; and what comes after."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import run_program, until
from neighbours import within
from test_actors import Counter, actors

import sundog
from sundog.actor import exit_actor
from sundog.exceptions import ActorDiedError
from sundog.util import list_named_actors


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@sundog.remote
class Fragile:
    """Ends in every way there is."""

    def __init__(self, log: str = "") -> None:
        self.calls = 0
        self.log = log
        if log:
            with open(log, "a") as file:
                file.write("made\n")

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def pid(self) -> int:
        return os.getpid()

    def restarted(self) -> bool:
        return sundog.get_runtime_context().was_current_actor_reconstructed

    def wait_for(self, path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.005)

    def tell(self, line: str) -> None:
        with open(self.log, "a") as file:
            file.write(f"{line}\n")

    def crash_once(self, path: str) -> int:
        if not os.path.exists(path):
            Path(path).touch()
            os._exit(3)
        return self.count()

    def crash(self) -> None:
        os._exit(3)

    def leave(self) -> None:
        exit_actor()

    def leave_from_afar(self) -> None:
        try:
            exit_actor()
        except Exception:
            self.calls = -1

    def sys_exit(self) -> None:
        raise SystemExit(5)


@sundog.remote
class Broken:
    def __init__(self, path: str = "") -> None:
        while path and not os.path.exists(path):
            time.sleep(0.005)
        raise ValueError("cannot be made")

    def read(self) -> int:
        return 1


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


# ---------------------------------------------------------------- the last handle


@pytest.mark.alone
def test_actor_ends_within_a_second_of_its_last_handle(session: None) -> None:
    fragile = Fragile.options(num_cpus=1).remote()
    pid = sundog.get(fragile.pid.remote())
    copied = sundog.get(sundog.put(fragile))
    del fragile
    assert sundog.get(copied.count.remote()) == 1
    with within(1.0):
        del copied
        until(lambda: not alive(pid), "the process has ended")  # nothing else is called meanwhile
    until(lambda: sundog.available_resources()["CPU"] == 4, "its CPU is free")


def test_queued_calls_are_done_before_the_end(session: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    fragile = Fragile.remote(str(log))
    for i in range(50):
        fragile.tell.remote(str(i))
    del fragile
    until(lambda: not actors(), "the actor has ended")
    assert lines(log) == ["made", *map(str, range(50))]


def test_method_object_keeps_the_actor(session: None) -> None:
    count = Fragile.remote().count
    assert sundog.get([count.remote(), count.remote()]) == [1, 2]
    assert sundog.get(Fragile.remote().count.remote()) == 1


# ---------------------------------------------------------------- kill


def test_kill_fails_running_and_queued_calls_and_later_ones(session: None, tmp_path: Path) -> None:
    fragile = Fragile.remote()
    pid = sundog.get(fragile.pid.remote())
    running = fragile.wait_for.remote(str(tmp_path / "never"))
    queued = fragile.count.remote()
    sundog.kill(fragile)
    for ref in (running, queued, fragile.count.remote()):
        with pytest.raises(ActorDiedError, match=r"Fragile.* ended by kill\(\) in the program"):
            sundog.get(ref)
    until(lambda: not alive(pid), "the process has ended")
    sundog.kill(fragile)  # nothing happens


def test_kill_with_restart_brings_the_actor_back(session: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    fragile = Fragile.options(max_restarts=1).remote(str(log))
    assert sundog.get([fragile.count.remote(), fragile.count.remote()]) == [1, 2]
    assert not sundog.get(fragile.restarted.remote())
    sundog.kill(fragile, no_restart=False)
    until(lambda: lines(log) == ["made", "made"], "it was made anew")
    assert sundog.get(fragile.count.remote()) == 1
    assert sundog.get(fragile.restarted.remote())
    sundog.kill(fragile, no_restart=False)
    with pytest.raises(ActorDiedError, match="restarted 1 time"):
        sundog.get(fragile.count.remote())


def test_kill_ends_an_actor_that_is_not_made_yet(one_cpu: None) -> None:
    hungry = Fragile.options(num_cpus=8).remote()
    ref = hungry.count.remote()
    sundog.kill(hungry)
    with pytest.raises(ActorDiedError, match="kill"):
        sundog.get(ref)


# ---------------------------------------------------------------- crashes


def test_only_the_call_that_was_tried_fails_when_there_are_restarts(session: None) -> None:
    fragile = Fragile.options(max_restarts=1).remote()
    before, crash, behind = (
        fragile.count.remote(),
        fragile.crash.remote(),
        [fragile.count.remote() for _ in range(20)],
    )
    assert sundog.get(before) == 1
    with pytest.raises(ActorDiedError, match="exited with code 3"):
        sundog.get(crash)
    assert sundog.get(behind) == list(range(1, 21))


def test_all_calls_fail_with_the_cause_when_there_is_no_restart(session: None) -> None:
    fragile = Fragile.remote()
    refs = [fragile.crash.remote(), fragile.count.remote()]
    for ref in (*refs, fragile.count.remote()):
        with pytest.raises(ActorDiedError, match=r"Fragile \(actor .* exited with code 3"):
            sundog.get(ref)


def test_call_is_tried_again_as_often_as_the_actor_says(session: None, tmp_path: Path) -> None:
    fragile = Fragile.options(max_restarts=-1, max_task_retries=1).remote()
    assert sundog.get(fragile.crash_once.remote(str(tmp_path / "a"))) == 1
    with pytest.raises(ActorDiedError):
        sundog.get(fragile.crash.remote())
    none = fragile.crash_once.options(max_task_retries=0)
    with pytest.raises(ActorDiedError):
        sundog.get(none.remote(str(tmp_path / "b")))
    assert sundog.get(fragile.count.remote()) == 1


def test_process_killed_from_outside_is_restarted(session: None, tmp_path: Path) -> None:
    fragile = Fragile.options(max_restarts=2, max_task_retries=-1).remote()
    seen = []
    for i in range(2):
        pid = sundog.get(fragile.pid.remote())
        seen.append(pid)
        path = tmp_path / str(i)
        running = fragile.wait_for.remote(str(path))
        os.kill(pid, signal.SIGKILL)
        path.touch()
        assert sundog.get(running) is None
    pid = sundog.get(fragile.pid.remote())
    assert pid not in seen
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ActorDiedError, match=r"restarted 2 times before.*signal 9"):
        sundog.get(fragile.count.remote())


def test_calls_made_while_the_daemon_learns_of_a_death_were_never_tried(session: None) -> None:
    fragile = Fragile.options(max_restarts=-1, max_task_retries=0).remote()
    for _ in range(5):
        pid = sundog.get(fragile.pid.remote())
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: has_ended(pid), "the process is gone")
        calls = []
        for _ in range(40):  # while the daemon reaps it and reads its last words
            calls.append(fragile.count.remote())
            time.sleep(0.0002)
        assert sundog.get(calls) == list(range(1, 41))


def test_system_exit_of_a_method_ends_the_process(session: None) -> None:
    fragile = Fragile.remote()
    with pytest.raises(ActorDiedError, match="exited with code 5"):
        sundog.get(fragile.sys_exit.remote())


# ---------------------------------------------------------------- constructors


def test_calls_of_an_actor_whose_constructor_raises_carry_its_exception(
    session: None, tmp_path: Path
) -> None:
    path = tmp_path / "go"
    broken = Broken.remote(str(path))
    before = broken.read.remote()
    path.touch()
    for ref in (before, broken.read.remote()):
        with pytest.raises(ActorDiedError, match="its constructor raised an exception") as caught:
            sundog.get(ref)
        assert isinstance(caught.value.__cause__, ValueError)
        assert str(caught.value.__cause__) == "cannot be made"
        assert "in __init__" in "".join(
            getattr(caught.value.__cause__, "__notes__", ["in __init__"])
        )
    assert not actors()


def test_constructor_whose_argument_failed_ends_the_actor(session: None) -> None:
    @sundog.remote
    def fail() -> None:
        raise KeyError("no argument")

    counter = Counter.remote(fail.remote())
    with pytest.raises(ActorDiedError) as caught:
        sundog.get(counter.increment.remote())
    assert isinstance(caught.value.__cause__, KeyError)


def test_constructor_that_kills_its_process_is_tried_again(session: None, tmp_path: Path) -> None:
    @sundog.remote(max_restarts=3)
    class Stubborn:
        def __init__(self, path: Path) -> None:
            with open(path, "a") as file:
                file.write("try\n")
            if len(path.read_text().splitlines()) < 3:
                os._exit(1)

        def read(self) -> int:
            return 1

    path = tmp_path / "tries"
    assert sundog.get(Stubborn.remote(path).read.remote()) == 1
    assert len(lines(path)) == 3


# ---------------------------------------------------------------- exit_actor


@sundog.remote
class Unwilling:
    def __init__(self) -> None:
        exit_actor()

    def read(self) -> int:
        return 1


def test_exit_actor_in_a_constructor_is_told(session: None) -> None:
    unwilling = Unwilling.remote()
    with pytest.raises(ActorDiedError, match=r"its constructor called exit_actor\(\)"):
        sundog.get(unwilling.read.remote())


def test_exit_actor_ends_it_for_good(session: None) -> None:
    fragile = Fragile.options(max_restarts=5).remote()
    pid = sundog.get(fragile.pid.remote())
    leaving, behind = fragile.leave.remote(), fragile.count.remote()
    assert sundog.get(leaving) is None
    for ref in (behind, fragile.count.remote()):
        with pytest.raises(ActorDiedError, match=r"exit_actor\(\)"):
            sundog.get(ref)
    until(lambda: not alive(pid), "the process has ended")
    assert sundog.get(Fragile.remote().leave_from_afar.remote()) is None
    with pytest.raises(TypeError, match="this process is none"):
        exit_actor()


# ---------------------------------------------------------------- jobs, names, detached


def test_program_takes_its_actors_with_it(tmp_path: Path) -> None:
    program = """
        import sundog, os, json

        sundog.init(address="auto", namespace="n", logging_level="warning")

        @sundog.remote
        class Kept:
            def __init__(self):
                self.n = 0
            def count(self):
                self.n += 1
                return self.n
            def pid(self):
                return os.getpid()

        mine = Kept.options(name="mine").remote()
        kept = Kept.options(name="kept", lifetime="detached", max_restarts=1).remote()
        sundog.get([mine.count.remote(), kept.count.remote()])
        print(json.dumps(sundog.get([mine.pid.remote(), kept.pid.remote()])), flush=True)
        os._exit(0)
    """
    with sundog.init(num_cpus=2, namespace="n", logging_level="warning"):
        mine, kept = json.loads(run_program(program, tmp_path).stdout)
        until(lambda: not alive(mine), "an actor ended with its program")
        assert alive(kept) and list_named_actors() == ["kept"]
        found = sundog.get_actor("kept")
        assert sundog.get(found.count.remote()) == 2
        os.kill(kept, signal.SIGKILL)
        until(lambda: sundog.get(found.count.remote()) == 1, "it was made anew")
        again = sundog.get(found.pid.remote())
        sundog.kill(found)
        until(lambda: not alive(again), "it was killed")
        assert list_named_actors() == []


def test_detached_actor_lives_without_handles(session: None) -> None:
    Counter.options(name="kept", lifetime="detached").remote(5)
    assert sundog.get(sundog.get_actor("kept").increment.remote()) == 6
    assert sundog.get(sundog.get_actor("kept").increment.remote()) == 7
    sundog.kill(sundog.get_actor("kept"))


def test_no_process_is_left_after_shutdown(session: None) -> None:
    handles = [Fragile.options(lifetime="detached", name=str(i)).remote() for i in range(3)]
    handles += [Fragile.options(max_restarts=-1).remote() for _ in range(3)]
    pids = sundog.get([h.pid.remote() for h in handles])
    sundog.shutdown()
    until(lambda: not any(alive(pid) for pid in pids), "no actor is left")
    with pytest.raises(sundog.exceptions.ObjectLostError, match=r"Actor\(Fragile, .*shut down at"):
        handles[0].count.remote()
    sundog.init(num_cpus=1, logging_level="warning")
    for use in (
        lambda: handles[0].count.remote(),
        lambda: sundog.kill(handles[0]),
        lambda: sundog.put(handles[0]),
        lambda: Counter.remote(handles),
    ):
        with pytest.raises(sundog.exceptions.ObjectLostError, match=r"shut down at \d\d:\d\d"):
            use()


def test_values_that_an_actor_keeps_are_free_when_it_ends(session: None) -> None:
    counter = Counter.remote()
    ref = sundog.put(bytes(1_000_000))
    sundog.get(counter.note.remote([ref]))
    held = _held(ref.hex())
    del ref
    assert held == _held(held) != ""
    del counter
    until(lambda: _held(held) == "", "the store has let it go")


def _held(object_id: str) -> str:
    """The id, while the session knows the object."""
    from sundog import _core, _explain

    session: Any = _core.current_session()
    known = json.loads(session.query(_explain.MEMORY))
    return object_id if any(item["object"] == object_id for item in known) else ""
