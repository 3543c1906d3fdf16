"""`make others`: what works, what fails and what hangs must be told apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import others

WORKING = """
import ray

@ray.remote
def half(x):
    return x / 2

assert ray.get(half.remote(3)) == 1.5
"""
HANGING = """
import os
import sys
import time

with open(sys.argv[0] + ".pid", "w") as file:
    file.write(str(os.getpid()))
print("about to wait", flush=True)
time.sleep(3600)
"""


MEDDLING = """
import subprocess

import ray

print(subprocess.run(["ray", "status"], capture_output=True, text=True).stderr)
ray.init(address="auto")
"""


def test_a_program_does_not_find_a_session_of_somebody_else(
    tmp_path: Path,
) -> None:
    program = tmp_path / "meddles.py"
    program.write_text(MEDDLING)
    start = "import sundog; sundog.init(num_cpus=1); input(); print(sundog.get(sundog.put(7)))"
    environ = others.environment(tmp_path / "bin")
    with subprocess.Popen(
        [sys.executable, "-c", start],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdin is not None and session.stdout is not None and session.stderr
        name = session.stderr.readline().split()[2].rstrip(":")
        environ["SUNDOG_ADDRESS"] = environ["RAY_ADDRESS"] = name
        ran = others.run(program, "meddles.py", 50, tmp_path / "meddles.log", environ)
        session.stdin.write("\n")
        session.stdin.close()
        assert session.stdout.read() == "7\n"
    assert ran.result == others.FAILS
    assert "no session of this user runs here" in ran.reason
    assert "no session of this user runs on this machine" in (tmp_path / "meddles.log").read_text()


def test_each_program_has_its_result(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "works.py").write_text(WORKING)
    (tmp_path / "sub" / "raises.py").write_text("raise ValueError('wrong number')\n")
    (tmp_path / "asks.py").write_text("import ray\nimport no_such_module\n")
    (tmp_path / "commands.py").write_text(
        "import subprocess\nassert b'ray, version' in subprocess.check_output(['ray', '--version'])"
    )
    command = [sys.executable, others.__file__, str(tmp_path), "--seconds", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    results = {line.split()[0]: line for line in done.stdout.splitlines() if ".py" in line}
    assert list(results) == ["asks.py", "commands.py", "sub/raises.py", "works.py"], done.stderr
    assert " works " in results["works.py"]
    assert " works " in results["commands.py"]
    assert " fails " in results["sub/raises.py"]
    assert results["sub/raises.py"].endswith("ValueError: wrong number")
    assert " not installed " in results["asks.py"]
    assert "4 programs: 2 works, 1 fails, 0 too slow, 1 not installed" in done.stdout
    assert done.returncode == 1


def test_a_program_that_does_not_end_is_ended_with_its_group(tmp_path: Path) -> None:
    program = tmp_path / "hangs.py"
    program.write_text(HANGING)
    environ = others.environment(tmp_path / "bin")
    ran = others.run(program, "hangs.py", 2, tmp_path / "hangs.log", environ)
    assert ran.result == others.LATE
    assert ran.reason == "not done after 2 s; said last: about to wait"
    pid = int((tmp_path / "hangs.py.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_program_is_ended_when_somebody_interrupts(tmp_path: Path) -> None:
    program, told = tmp_path / "hangs.py", tmp_path / "hangs.py.pid"
    program.write_text(HANGING)
    environ = others.environment(tmp_path / "bin")

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        others.run(program, "hangs.py", 60, tmp_path / "hangs.log", environ)
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_a_program_that_says_much_is_judged_by_its_end(tmp_path: Path) -> None:
    program = tmp_path / "talks.py"
    program.write_text("print('x' * 10**6)\nraise ValueError('in the end')\n")
    environ = others.environment(tmp_path / "bin")
    ran = others.run(program, "talks.py", 50, tmp_path / "talks.log", environ)
    assert (ran.result, ran.reason) == (others.FAILS, "ValueError: in the end")
    assert (tmp_path / "talks.log").stat().st_size > 10**6


def test_the_reason_is_the_programs_own_last_line() -> None:
    said = "ValueError: too few\n(double pid=12) halfway\n\n(Actor(index=1) pid=13) done\n"
    assert others.judge(1, said, 60) == (others.FAILS, "ValueError: too few")
    assert others.judge(-11, said, 60) == (others.FAILS, "signal 11: ValueError: too few")
    assert others.judge(3, "", 60) == (others.FAILS, "exit code 3: ")
    assert others.judge(0, said, 60) == (others.WORKS, "")


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("", "it is not this tree"),
        (str(others.ROOT), "it is not this tree"),
        ("/", "it is not this tree"),
        ("/no/such/folder", "is not a folder"),
        ("{empty}", "no program (*.py) in"),
    ],
)
def test_what_is_no_folder_of_programs_is_refused(tmp_path: Path, folder: str, why: str) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "library.py").write_text("raise SystemExit(1)\n")
    command = [sys.executable, others.__file__, folder.format(empty=tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert why in done.stderr
    assert not done.stdout
