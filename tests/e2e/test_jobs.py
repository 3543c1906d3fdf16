"""Several programs at once: who gets the CPUs, who finds whom, and what one leaves behind."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import until

import sundog
from sundog import _core, _explain, _paths


class Program:
    """A program that runs beside the test, saved as a file of its own."""

    def __init__(self, folder: Path, name: str, code: str, *words: str, **environment: str) -> None:
        """Starts it."""
        self.path = folder / f"{name}.py"
        self.path.write_text(textwrap.dedent(code))
        path = os.pathsep.join(p for p in sys.path if p)
        self.process = subprocess.Popen(
            [sys.executable, str(self.path), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )

    def line(self) -> str:
        """The next line that it prints; fails with its errors if it ended instead."""
        assert self.process.stdout is not None and self.process.stderr is not None
        text = self.process.stdout.readline()
        if not text:
            pytest.fail(f"{self.path.name} ended:\n{self.process.stderr.read()}")
        return text.strip()

    def go_on(self) -> None:
        """It waits in ``input()``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Its last output, once it ended well."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, f"{self.path.name}:\n{out}\n{err}"
        return out

    def close(self) -> None:
        """Ends it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Begin = Callable[..., Program]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts programs; those that still run at the end of the test are killed."""
    programs: list[Program] = []

    def start(name: str, code: str, *words: str, **environment: str) -> Program:
        programs.append(Program(tmp_path, name, code, *words, **environment))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def test_a_second_program_is_not_behind_the_backlog_of_the_first(begin: Begin) -> None:
    backlog, wanted = 20_000, 60
    with sundog.init(num_cpus=2, logging_level="warning"):

        @sundog.remote
        def spin(count: int) -> int:
            return sum(range(count))

        sundog.get([spin.remote(1) for _ in range(4)])
        refs = [spin.remote(40_000) for _ in range(backlog)]  # about a millisecond each
        sundog.wait(refs, num_returns=50)
        second = begin(
            "second",
            """
            import sys, sundog

            sundog.init(address="auto", logging_level="warning")

            @sundog.remote
            def spin(count):
                return sum(range(count))

            sundog.get([spin.remote(40_000) for _ in range(int(sys.argv[1]))])
            print("done", flush=True)
            """,
            str(wanted),
        )
        assert second.line() == "done"
        ready, _ = sundog.wait(refs, num_returns=len(refs), timeout=0)
        assert len(ready) < backlog, "the first program's tasks all came before"
        second.end()


def test_weights_are_ratios(begin: Begin, tmp_path: Path) -> None:
    log = tmp_path / "order"
    program = """
        import os, sys, sundog

        name, weight, count, path = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
        sundog.init(address="auto", job_weight=weight, logging_level="warning")

        @sundog.remote
        def spin(note):
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, note)
            os.close(file)
            return sum(range(100_000))

        sundog.get(spin.remote(b""))
        print("ready", flush=True)
        input()
        refs = [spin.remote(name.encode()) for _ in range(count)]
        sundog.wait(refs, num_returns=1)
        print("begun", flush=True)
        sundog.get(refs)
    """
    with sundog.init(num_cpus=1, logging_level="warning"):
        light = begin("light", program, "l", "0.5", "4000", str(log))
        heavy = begin("heavy", program, "h", "8", "300", str(log))
        assert (heavy.line(), light.line()) == ("ready", "ready")
        light.go_on()
        assert light.line() == "begun"
        heavy.go_on()
        heavy.end()
        order = log.read_bytes()
        meanwhile = order[order.index(b"h") : order.rindex(b"h")]
        # By their weights a sixteenth; equal shares would make it as many as the other's.
        assert 0 < meanwhile.count(b"l") < 100, meanwhile
        light.close()


# ---------------------------------------------------------------- which session

LOOK = """
    import json, os, sys, sundog

    sundog.init({options}logging_level="warning")
    print(sundog.get_runtime_context().get_session_name(), flush=True)
"""


def look(**options: object) -> str:
    """A program that joins a session and says its name."""
    return LOOK.format(options="".join(f"{name}={value!r}, " for name, value in options.items()))


def socket_of_session() -> str:
    return next(s for s in _paths.running_sockets() if _paths.session_of(s) == session_name())


def session_name() -> str:
    return sundog.get_runtime_context().get_session_name()


def test_a_session_is_joined_by_its_name_its_socket_and_the_environment(
    begin: Begin, session: None
) -> None:
    name, socket = session_name(), socket_of_session()
    for program in (
        begin("by_name", look(address=name)),
        begin("by_socket", look(address=socket)),
        begin("auto", look(address="auto")),
        begin("by_variable", look(), SUNDOG_ADDRESS=name),
    ):
        assert program.end().strip() == name
    apart = begin("local", look(address="local", num_cpus=1), SUNDOG_ADDRESS=socket)
    assert apart.end().strip() not in ("", name)
    implicit = """
        import sundog

        @sundog.remote
        def where():
            return sundog.get_runtime_context().get_session_name()

        print(sundog.get(where.remote()))
    """
    assert begin("implicit", implicit, SUNDOG_ADDRESS="auto").end().strip() == name


def test_the_address_that_init_tells_is_joined(begin: Begin) -> None:
    code = """
        import sys, sundog

        with sundog.init(address=sys.argv[1], logging_level="warning") as context:
            print(context["address"])
    """
    with sundog.init(num_cpus=1, logging_level="warning") as context:
        address = str(context["address"])
        assert begin("told", code, address).end().strip() == address == session_name()


def test_ray_address_is_read_by_ray_init(begin: Begin, session: None) -> None:
    compat = os.path.join(os.path.dirname(__file__), "..", "..", "compat", "ray")
    code = f"""
        import sys
        sys.path.insert(0, {os.path.abspath(compat)!r})
        import ray

        ray.init(logging_level="warning")
        print(ray.get_runtime_context().get_session_name())
    """
    assert begin("by_ray", code, RAY_ADDRESS="auto").end().strip() == session_name()


@pytest.mark.parametrize("name", ["num_cpus", "resources", "preload", "object_store_memory"])
def test_what_describes_a_new_session_is_refused_where_one_is_joined(name: str) -> None:
    value: Any = {"resources": {"a": 1}, "preload": ["wave"]}.get(name, 100_000_000)
    text = f"{name} says what a new session has, and address='auto' joins one"
    with pytest.raises(ValueError, match=text):
        sundog.init(address="auto", **{name: value})


def test_sessions_that_do_not_run_are_told(begin: Begin, session: None) -> None:
    there = session_name()
    sundog.shutdown()
    with pytest.raises(ConnectionError, match=f"no session {there} of this user runs here"):
        sundog.init(address=there)
    with pytest.raises(ConnectionError, match=r"no session listens at .*: it has ended"):
        sundog.init(address=os.path.join(_paths.socket_folder(), f"{there}.sock"))


# ---------------------------------------------------------------- two users

ASKS = """
import os, sys, sundog
try:
    sundog.init(address=sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
try:
    sundog.init(address="auto")
except Exception as error:
    print(type(error).__name__, error)
sundog.init(num_cpus=1, logging_level="warning")
print(sundog.get(sundog.remote(os.getuid).remote()))
sundog.shutdown()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
def test_a_session_of_another_user_is_refused_and_apart(session: None) -> None:
    nobody, socket = 65534, socket_of_session()
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chown(home, nobody, nobody)
        path = os.pathsep.join(p for p in sys.path if p)
        environment = {**os.environ, "PYTHONPATH": path, "SUNDOG_HOME": home, "TMPDIR": home}
        environment.pop("XDG_RUNTIME_DIR", None)

        def as_nobody(python: str, code: str, *words: str) -> subprocess.CompletedProcess[str]:
            user = [f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"]
            return subprocess.run(
                ["setpriv", *user, python, "-c", code, *words],
                capture_output=True,
                text=True,
                env=environment,
                cwd="/",
                timeout=60,
            )

        # Whose interpreter another user may run, and the session that it starts again.
        probe = "import os, sys, sundog._core, cloudpickle; "
        probe += "os.execv(sys.executable, [sys.executable, '-c', ''])"
        pythons = [sys.executable, f"/usr/bin/python3.{sys.version_info[1]}"]
        usable = [p for p in pythons if as_nobody(p, probe).returncode == 0]
        if not usable:
            pytest.skip("another user may not run this interpreter or read the source tree")
        done = as_nobody(usable[0], ASKS, socket)
        lines = done.stdout.splitlines()
        assert len(lines) == 3, done.stdout + done.stderr
        assert lines[0].startswith(
            f"PermissionError the session at {socket} belongs to user 'root'"
        )
        assert "a session serves nobody but who started it" in lines[0]
        assert lines[1].startswith("ConnectionError address='auto': no session of this user runs")
        assert lines[2] == str(nobody)
        folders = list(Path(home, "sessions").iterdir())
        assert folders and all(f.stat().st_mode & 0o777 == 0o700 for f in folders)
        assert all(f.stat().st_uid == nobody for f in folders)
    assert Path(socket).parent.stat().st_mode & 0o777 == 0o700


# ---------------------------------------------------------------- what each program has


def test_workers_look_like_the_program_that_joined(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "own_module.py").write_text("def answer():\n    return 42\n")
    code = """
        import os, sys, json, sundog, own_module

        os.umask(0o027)
        sundog.init(address="auto", logging_level="warning")

        @sundog.remote
        def look():
            mask = os.umask(0)
            os.umask(mask)
            here = os.environ["OWN_VARIABLE"], os.environ.get("SUNDOG_SESSION")
            return own_module.answer(), os.getcwd(), *here, sys.argv, mask

        answer, folder, own, session, argv, mask = sundog.get(look.remote())
        assert answer == 42 and folder == os.getcwd() and own == "here", (answer, folder, own)
        assert session == sundog.get_runtime_context().get_session_name()
        assert argv == sys.argv and mask == 0o027, (argv, mask)
    """
    with sundog.init(num_cpus=2, logging_level="warning"):

        @sundog.remote
        def own_variable() -> str | None:
            return os.environ.get("OWN_VARIABLE")

        begin("joins", code, "--with", "words", OWN_VARIABLE="here").end()
        assert sundog.get(own_variable.remote()) is None


def test_a_program_that_joins_again_keeps_its_description(begin: Begin, tmp_path: Path) -> None:
    """What is left of its first job ends while the second runs: the same process, other files."""
    (tmp_path / "own_module.py").write_text("def answer():\n    return 42\n")
    code = """
        import json, time, sundog, own_module
        from sundog import _core, _explain

        def join():
            sundog.init(address="auto", namespace="n", logging_level="warning")

        def states():
            jobs = json.loads(_core.current_session().query(_explain.JOBS))
            return {job["job"]: job["state"] for job in jobs}

        @sundog.remote(num_cpus=0)
        class Own:
            def answer(self):
                return own_module.answer()

        join()
        first = sundog.get_runtime_context().get_job_id()
        kept = Own.options(name="kept", lifetime="detached").remote()
        assert sundog.get(kept.answer.remote()) == 42
        sundog.shutdown()
        join()
        sundog.kill(sundog.get_actor("kept"))
        while states()[first] != "ENDED":
            time.sleep(0.01)
        actors = [Own.remote() for _ in range(3)]  # more than there are workers
        assert sundog.get([actor.answer.remote() for actor in actors]) == [42, 42, 42]
    """
    with sundog.init(num_cpus=1, logging_level="warning"):
        socket = Path(_paths.running_sockets()[0])
        begin("again", code).end()
        until(lambda: not list(socket.parent.glob(f"{socket.name}.*")), "no job, no description")
    assert list(socket.parent.glob(f"{socket.name}*")) == []


def test_each_program_is_a_job_that_is_listed(begin: Begin, session: None) -> None:
    code = """
        import sundog

        sundog.init(address="auto", job_weight=2.5, namespace="theirs", logging_level="warning")

        @sundog.remote
        def job():
            return sundog.get_runtime_context().get_job_id()

        own = sundog.get_runtime_context().get_job_id()
        assert sundog.get(job.remote()) == own
        print(own, flush=True)
        input()
    """
    second = begin("second", code, "a b", "c")
    theirs, ours = second.line(), sundog.get_runtime_context().get_job_id()
    assert theirs != ours
    listed = {job["job"]: job for job in told_jobs()}
    assert listed[ours]["state"] == listed[theirs]["state"] == "RUNNING"
    assert listed[ours]["pid"] == os.getpid() and listed[theirs]["pid"] == second.process.pid
    assert listed[theirs]["entry_point"] == f"{second.path} 'a b' c"
    assert (listed[theirs]["namespace"], listed[theirs]["weight"]) == ("theirs", 2.5)
    shown = subprocess.run(
        [sys.executable, "-m", "sundog", "list", "jobs", "--session", session_name()],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ).stdout  # fmt: skip
    assert f"{theirs}  RUNNING" in shown and shown.endswith("\n2 programs run\n"), shown
    second.go_on()
    second.end()
    until(lambda: {j["job"]: j for j in told_jobs()}[theirs]["state"] == "ENDED", "it has ended")


def test_a_program_whose_words_are_no_text_has_a_session(begin: Begin) -> None:
    code = """
        import json, sys, sundog
        from sundog import _core, _explain

        @sundog.remote
        def last_word():
            return sys.argv[-1]

        sundog.init(num_cpus=1, logging_level="warning")
        (job,) = json.loads(_core.current_session().query(_explain.JOBS))
        assert job["entry_point"].endswith(".py a?b"), job
        assert sundog.get(last_word.remote()) == sys.argv[-1]
    """
    begin("odd", code, os.fsdecode(b"a\xffb")).end()


def told_jobs() -> list[dict[str, Any]]:
    running: Any = _core.current_session()
    found: list[dict[str, Any]] = json.loads(running.query(_explain.JOBS))
    return found


# ---------------------------------------------------------------- what one leaves behind

LEAVES = """
    import json, os, sundog

    sundog.init(address="auto", namespace="n", logging_level="warning")

    @sundog.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs
        def keep_more(self, refs):
            self.more = refs
        def read(self):
            return sundog.get(self.refs)
        def read_more(self):
            return sundog.get(self.more)
        def pid(self):
            return os.getpid()

    @sundog.remote
    def double(x):
        return 2 * x

    @sundog.remote
    def long():
        import time
        time.sleep(1000)

    mine = Keeper.remote()
    kept = Keeper.options(name="kept", lifetime="detached").remote()
    value, result = sundog.put(bytes(300_000)), double.remote(21)
    sundog.get([result, kept.keep.remote([value, result]), mine.keep.remote([])])
    running = long.remote()
    sundog.get(kept.keep_more.remote([running]))
    waiting = [long.remote() for _ in range(50)]
    print(json.dumps(sundog.get([mine.pid.remote(), kept.pid.remote()])), flush=True)
    print(sundog.get_runtime_context().get_job_id(), flush=True)
    input()
"""


@pytest.mark.parametrize("way", ["ends", "is killed"])
def test_a_program_takes_what_is_its_own_and_leaves_the_rest(begin: Begin, way: str) -> None:
    with sundog.init(num_cpus=2, namespace="n", logging_level="warning"):

        @sundog.remote
        class Ours:
            def pid(self) -> int:
                return os.getpid()

        @sundog.remote
        def square(x: int) -> int:
            return x * x

        ours, ref = Ours.remote(), square.remote(3)
        pid = sundog.get(ours.pid.remote())
        second = begin("second", LEAVES)
        mine, kept = json.loads(second.line())
        job = second.line()
        if way == "ends":
            second.go_on()
            second.end()
        else:
            second.process.kill()
        until(lambda: not alive(mine), "an actor ended with its program")
        until(
            lambda: _explain.status(_current())["tasks"]["live"] == 0,
            "tasks ended with their program",
        )
        assert {j["job"]: j for j in told_jobs()}[job]["state"] == "DETACHED"
        assert sundog.get(ref) == 9 and sundog.get(square.remote(4)) == 16
        assert sundog.get(ours.pid.remote()) == pid
        keeper = sundog.get_actor("kept")
        assert sundog.get(keeper.read.remote()) == [bytes(300_000), 42]
        assert sundog.get(keeper.pid.remote()) == kept
        with pytest.raises(sundog.exceptions.TaskCancelledError, match="its driver has ended"):
            sundog.get(keeper.read_more.remote(), timeout=20)
        sundog.kill(keeper)
        until(lambda: not alive(kept), "it was killed")
        until(
            lambda: {j["job"]: j for j in told_jobs()}[job]["state"] == "ENDED", "nothing is left"
        )


def _current() -> _core.Session:
    session = _core.current_session()
    assert session is not None
    return session


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("way", ["shuts down", "is killed"])
def test_a_session_goes_on_while_somebody_uses_it(begin: Begin, way: str) -> None:
    starter = begin(
        "starter",
        """
        import sundog

        sundog.init(num_cpus=2, logging_level="warning")
        print(sundog.get_runtime_context().get_session_name(), flush=True)
        input()
        sundog.shutdown()
        print("over", sundog.is_initialized(), flush=True)
        input()
        """,
    )
    name = starter.line()
    second = begin(
        "second",
        """
        import sys, sundog

        sundog.init(address=sys.argv[1], logging_level="warning")

        @sundog.remote
        def square(x):
            return x * x

        kept = square.remote(2)
        print(sundog.get(kept), sundog.get_runtime_context().get_session_name(), flush=True)
        input()
        print(sundog.get([kept, *[square.remote(i) for i in range(20)]])[:5], flush=True)
        """,
        name,
    )
    assert second.line() == f"4 {name}"
    if way == "shuts down":
        starter.go_on()
        assert starter.line() == "over False"
    else:
        starter.process.kill()
        starter.process.wait()
    second.go_on()
    assert second.line() == "[4, 0, 1, 4, 9]"
    second.end()
    until(
        lambda: name not in map(_paths.session_of, _paths.running_sockets()),
        "the session ends with its last program",
    )
    beside = Path(_paths.socket_folder())
    until(lambda: not list(beside.glob(f"{name}.*")), "no file is left beside the socket")
