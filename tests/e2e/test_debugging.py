"""Debuggers and logging: tasks in this process, breakpoints in workers, the driver's log format."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import PATIENCE_S, run_program, until

import sundog


@pytest.fixture
def local() -> Iterator[None]:
    sundog.init(num_cpus=2, local_mode=True, logging_level="warning")
    yield


@sundog.remote
def pid() -> int:
    return os.getpid()


@sundog.remote
def change(items: list[int]) -> list[int]:
    items.append(4)
    return items


@sundog.remote
def divide(a: int, b: int) -> float:
    return a / b


@sundog.remote
def nested(a: int, b: int) -> float:
    return sundog.get(divide.remote(a, b)) + 1


def test_local_tasks_run_in_this_process(local: None) -> None:
    assert sundog.get(pid.remote()) == os.getpid()
    assert sundog.get(nested.remote(4, 2)) == 3.0
    ready, rest = sundog.wait([pid.remote(), pid.remote()], num_returns=2)
    assert (len(ready), rest) == (2, [])


def test_local_tasks_work_on_copies(local: None) -> None:
    mine = [1, 2, 3]
    ref = change.remote(mine)
    assert mine == [1, 2, 3]
    assert sundog.get(ref) == [1, 2, 3, 4]
    assert sundog.get(change.remote(ref)) == [1, 2, 3, 4, 4]
    assert sundog.get(ref) == [1, 2, 3, 4]

    @sundog.remote
    def write(array: np.ndarray) -> None:
        array[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        sundog.get(write.remote(np.zeros(10_000)))


def test_local_errors_are_raised_by_get(local: None) -> None:
    ref = nested.remote(1, 0)
    with pytest.raises(ZeroDivisionError) as raised:
        sundog.get(ref)
    assert isinstance(raised.value, sundog.exceptions.TaskError)
    with pytest.raises(ZeroDivisionError):
        sundog.get(change.remote(divide.remote(1, 0)))
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'b'"):
        divide.remote(1)


def test_local_calls_have_several_results_or_none(local: None) -> None:
    @sundog.remote(num_returns=2)
    def two() -> tuple[int, int]:
        return 1, 2

    assert sundog.get(two.remote()) == [1, 2]
    assert sundog.get(two.options(num_returns=1).remote()) == (1, 2)
    with pytest.raises(ValueError, match="num_returns=3"):
        sundog.get(two.options(num_returns=3).remote()[0])


def test_tasks_are_remote_again_after_a_local_session(local: None) -> None:
    sundog.shutdown()
    sundog.init(num_cpus=1, logging_level="warning")
    assert sundog.get(pid.remote()) != os.getpid()


def test_pdb_stops_in_a_local_task(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sundog\n"
        "sundog.init(num_cpus=1, local_mode=True, logging_level='warning')\n"
        "@sundog.remote\n"
        "def f(x):\n"
        "    breakpoint()\n"
        "    return x + 1\n"
        "print(sundog.get(f.remote(1)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        input="p 'x is', x\nx = 41\nc\n",
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert "('x is', 1)" in done.stdout
    assert done.stdout.rstrip().endswith("42")


def test_breakpoint_in_a_task_says_how_to_attach_and_it_is_true(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sundog\n"
        "sundog.init(num_cpus=1, logging_level='warning')\n"
        "@sundog.remote\n"
        "def f(x):\n"
        "    breakpoint()\n"
        "    return x + 1\n"
        "print(sundog.get(f.remote(1)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    errors = tmp_path / "errors"
    with open(errors, "w") as stderr:
        program = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment,
        )
        until(lambda: "sundog debug" in errors.read_text(), "the breakpoint is told")
        said = re.fullmatch(
            r"\(f pid=(\d+)\) breakpoint at program\.py:5 in f: the task waits\. Attach from a "
            r"terminal with: sundog debug \1\n",
            errors.read_text(),
        )
        assert said is not None
        attached = subprocess.run(
            [sys.executable, "-m", "sundog", "debug", said[1]],
            input="p 'x is', x\nx = 41\nc\n",
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        assert attached.returncode == 0, attached.stderr
        assert "('x is', 1)" in attached.stdout
        assert "return x + 1" in attached.stdout
        assert program.communicate(timeout=PATIENCE_S)[0] == "42\n"


def test_without_a_stopped_task_debug_says_so(session: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sundog", "debug"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert (done.returncode, done.stderr) == (2, "sundog: no task waits at a breakpoint\n")


def test_logging_in_tasks_follows_the_driver(tmp_path: Path) -> None:
    program = """
        import logging, sundog
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s|%(name)s|%(message)s")
        logging.getLogger("asyncio").setLevel(logging.WARNING)

        @sundog.remote
        def work():
            logging.getLogger("mine").debug("fine detail")
            return logging.getLogger().level

        @sundog.remote
        def later():
            logging.debug("unheard")
            logging.warning("heard")

        sundog.init(num_cpus=1, logging_level="warning")
        assert sundog.get(work.remote()) == logging.DEBUG
        logging.getLogger().setLevel(logging.WARNING)
        sundog.get(later.remote())
    """
    done = run_program(program, tmp_path)
    lines = [re.sub(r" pid=\d+", "", line) for line in done.stderr.splitlines()]
    assert lines == ["(work) DEBUG|mine|fine detail", "(later) WARNING|root|heard"]


def test_our_own_lines_go_through_the_logger_sundog(tmp_path: Path) -> None:
    program = """
        import logging, sundog
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        sundog.init(num_cpus=1)
    """
    done = run_program(program, tmp_path)
    assert re.match(r"sundog: session \w+: 1 CPU", done.stderr)


@pytest.mark.parametrize("words", [["-"], [], ["-i", "-q"]])
def test_program_on_standard_input_has_remote_functions(words: list[str]) -> None:
    program = (
        "import sundog\n"
        "_ = sundog.init(num_cpus=2, logging_level='warning')\n"
        "@sundog.remote\n"
        "def f(x):\n"
        "    return g(x) + 1\n"
        "\n"
        "def g(x):\n"
        "    return 10 * x\n"
        "\n"
        "print(sundog.get([f.remote(i) for i in range(3)]))\n"
    )
    done = subprocess.run(
        [sys.executable, *words],
        input=program,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert "[1, 11, 21]\n" in done.stdout, done.stderr
