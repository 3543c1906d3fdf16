"""The command `sundog`."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import descendants, of_every_process, run_program

import sundog
from sundog import _paths


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sundog", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


@sundog.remote
def square(x: int) -> int:
    return x * x


def test_version_names_everything_that_matters() -> None:
    done = command("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        r"sundog 0\.1\.0 \(\w+\), protocol \d+, CPython 3\.\d+, Linux \d+\.\d+ \w+, glibc 2\.\d+\n",
        done.stdout,
    )


def test_doctor_has_one_line_for_each_subject() -> None:
    done = command("doctor")
    assert done.returncode == 0, done.stdout
    subjects = [line[6:22].rstrip() for line in done.stdout.splitlines()]
    assert subjects == ["shared memory", "memory", "cpus", "open files", "gpus", "leftovers"]
    assert all(line.startswith("ok    ") for line in done.stdout.splitlines())
    assert "memfd; /dev/shm is not used" in done.stdout
    assert re.search(r"cpus +\d+ \(affinity \d+, cgroup quota \w+", done.stdout)


@pytest.mark.parametrize(
    ("variable", "text", "subject", "told"),
    [
        ("SUNDOG_NUM_CPUS", "-3", "cpus", "SUNDOG_NUM_CPUS is a number from 0 on, got '-3'"),
        ("SUNDOG_NUM_CPUS", "nan", "cpus", "SUNDOG_NUM_CPUS is a number from 0 on, got 'nan'"),
        ("SUNDOG_NUM_GPUS", "two", "gpus", "SUNDOG_NUM_GPUS is a number, got 'two'"),
        (
            "SUNDOG_OBJECT_STORE_MEMORY",
            "7GB",
            "memory",
            "SUNDOG_OBJECT_STORE_MEMORY is a number, got '7GB'",
        ),
        (
            "SUNDOG_HOME",
            "/proc/none",
            "folders",
            "no folder can be made in /proc (No such file or directory): set SUNDOG_HOME for "
            "sessions and their logs, XDG_RUNTIME_DIR for their sockets",
        ),
    ],
)
def test_doctor_says_which_setting_is_wrong(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, subject: str, told: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(variable, text)
        done = command("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    bad = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
    assert bad == [f"{'BAD':<6}{subject:<16}{told}"]


def test_a_limit_on_files_that_is_too_small_is_told(tmp_path: Path) -> None:
    program = """
        import resource, sundog
        from sundog import _cli
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        _cli.main(["doctor"])
        sundog.init(num_cpus=1)
    """
    done = run_program(program, tmp_path, check=False, SUNDOG_OBJECT_STORE_MEMORY="2000000000")
    told = "limit 1,048,576 bytes, and the object store is 2,000,000,000: raise it"
    assert f"BAD   file size       {told}" in done.stdout
    assert "SundogError: cannot start a session: " in done.stderr
    assert f"file size: {told}" in done.stderr


def test_unknown_command_is_told_what_it_may_have_meant() -> None:
    done = command("docter")
    assert done.returncode == 2
    assert done.stderr == "sundog: no command 'docter'; did you mean 'doctor'?\n"
    assert "usage: sundog COMMAND" in command("help").stdout


def test_without_a_session_says_so() -> None:
    for words in (["status"], ["memory"], ["list", "actors"], ["timeline"], ["debug", "dump"]):
        done = command(*words)
        assert done.returncode == 2
        assert done.stderr == "sundog: no session of this user runs on this machine\n"


def test_stop_ends_the_session_that_it_names(session: None) -> None:
    name = sundog.get_runtime_context().get_session_name()
    assert command("stop", "--session", "none").returncode == 2
    assert sundog.get(square.remote(3)) == 9
    done = command("stop", "--session", name)
    assert done.stdout == (
        f"stopped session {name}; its logs stay in {os.environ['SUNDOG_HOME']}/sessions/{name}\n"
    )
    with pytest.raises(sundog.exceptions.NodeDiedError):
        sundog.get(square.remote(3))


def daemon_and_children() -> tuple[int, set[int]]:
    """The processes of this program's session."""
    below = descendants(os.getpid())
    names = {pid: name.decode().strip() for pid, name in of_every_process("comm") if pid in below}
    (daemon,) = (pid for pid, name in names.items() if name == "sundogd")
    return daemon, descendants(daemon)


def lives(pid: int) -> bool:
    """Whether there is such a process; one that nobody has asked for its status is none."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_stop_kills_only_if_it_is_told(session: None) -> None:
    assert sundog.get(square.remote(3)) == 9
    name = sundog.get_runtime_context().get_session_name()
    daemon, children = daemon_and_children()
    os.kill(daemon, signal.SIGSTOP)
    for child in children:  # nobody is left who would clean up
        os.kill(child, signal.SIGSTOP)
    done = command("stop", "--grace-period", "0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"sundog: session {name} (sundogd, pid {daemon}) did not end within 0.1 s; "
        f"sundog stop --force --session {name} kills it\n"
    )
    assert lives(daemon)
    done = command("stop", "--force", "--grace-period", "0.1", "--session", name)
    assert done.returncode == 0, done
    assert done.stdout.startswith(f"killed session {name}: sundogd (pid {daemon}), which did not")
    assert re.search(
        r" end, and (a process|\d processes) that it left; its logs stay in ", done.stdout
    )
    with pytest.raises(sundog.exceptions.NodeDiedError):
        sundog.get(square.remote(3))
    assert [pid for pid in (daemon, *children) if lives(pid)] == []
    assert _paths.running_sockets() == []
    assert command("stop", "--force").returncode == 2
    assert "--grace-period wants seconds" in command("stop", "--grace-period", "x").stderr


def test_stop_signals_no_process_that_is_no_daemon(tmp_path: Path) -> None:
    """A socket in the place of a session's that somebody else made."""
    program = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "s.bind(sys.argv[1]); s.listen(); print('listens', flush=True)\n"
        "input()\n"
    )
    folder = Path(_paths.private_folder(_paths.socket_folder()))
    path = folder / "abcd.sock"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "listens\n"
        done = command("stop", "--force", "--grace-period", "0")
        assert done.returncode == 1
        assert done.stderr == f"sundog: {path} is no session's: left alone\n"
        assert other.poll() is None
        other.communicate("\n")
    path.unlink()


def test_commands_about_the_running_session(session: None, tmp_path: Path) -> None:
    ref = sundog.put(np.zeros(1 << 20))
    assert sundog.get([square.remote(i) for i in range(3)]) == [0, 1, 4]
    name = sundog.get_runtime_context().get_session_name()
    status = command("status")
    assert status.stdout.startswith(f"session {name}, node "), status.stderr
    assert "CPU     0 of 4 used" in status.stdout
    memory = command("memory", "--session", name)
    assert ref.hex() in memory.stdout
    assert f"pid {os.getpid()}: 1 references" in memory.stdout
    dump = json.loads(command("debug", "dump").stdout)
    assert dump["status"]["session"] == name
    path = tmp_path / "trace.json"
    assert "open it in ui.perfetto.dev" in command("timeline", "-o", str(path)).stdout
    assert "square" in path.read_text()
    assert command("status", "--session", "none").returncode == 2


def test_timeline_is_a_page_if_the_file_is_named_so(session: None, tmp_path: Path) -> None:
    assert sundog.get(square.remote(2)) == 4
    done = command("timeline", "-o", str(tmp_path / "tasks.html"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/tasks.html: open it in a browser\n")
    assert "TaskTimeline" in (tmp_path / "tasks.html").read_text()


def test_list_shows_actors_and_why_they_ended(session: None) -> None:
    @sundog.remote
    class Kept:
        def ready(self) -> bool:
            return True

    one = Kept.options(name="one", num_cpus=2).remote()
    killed = Kept.remote()
    sundog.get([one.ready.remote(), killed.ready.remote()])
    sundog.kill(killed)
    done = command("list", "actors")
    heading, first, second, cause, total = done.stdout.splitlines()
    assert heading.split() == ["actor", "class", "state", "pid", "name", "holds"]
    first, second = sorted((first, second), key=lambda line: "DEAD" in line)
    assert re.fullmatch(r"[0-9a-f]{40}  Kept   ALIVE  \d+ +job-1/one  2 CPU", first), done.stdout
    assert "DEAD" in second and "it was ended by kill()" in cause
    assert total == "1 actors, and 1 that have ended"
    del one, killed


def test_lists_are_tables_or_json_with_filters(session: None) -> None:
    @sundog.remote(max_retries=0)
    def fail() -> None:
        raise ValueError("no such file")

    assert sundog.get([square.remote(i) for i in range(3)]) == [0, 1, 4]
    with pytest.raises(ValueError, match="no such file"):
        sundog.get(fail.remote())
    told = command("list", "tasks").stdout.splitlines()
    assert told[0].split()[:4] == ["task_id", "attempt_number", "name", "state"]
    assert told[-1] == "4 tasks" and len([line for line in told if " square " in line]) == 3
    assert "ValueError: no such file" in "".join(told)
    done = command("list", "tasks", "--filter", "name!=square", "--format", "json")
    (row,) = json.loads(done.stdout)
    assert (row["state"], row["error_type"]) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    cut = command("list", "tasks", "--limit", "2")
    assert cut.stdout.splitlines()[-1] == "2 tasks"
    assert cut.stderr == "only the first 2 are shown; there are more: --limit 4\n"
    for subject in ("objects", "workers", "nodes", "placement-groups", "runtime-envs"):
        assert command("list", subject).stdout.splitlines()[-1].endswith(subject.replace("-", " "))
    wrong = command("list", "tasks", "--filter", "colour=red")
    assert wrong.returncode == 2 and "no filter for 'colour'" in wrong.stderr
    wrong = command("list", "nothing")
    assert wrong.returncode == 2 and "list has as subjects actors, jobs, packages, tasks" in (
        wrong.stderr
    )
