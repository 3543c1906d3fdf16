"""`make others`: what works, what fails and what hangs must be told apart."""

from __future__ import annotations

import os
import subprocess
import sys
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
