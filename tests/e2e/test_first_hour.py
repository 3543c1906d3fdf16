"""The first hour of somebody who meets Sundog, typed as the document has it and compared with what
the document shows: install, a first script, ten mistakes at the prompt, an old program.

The document is read when the tests run (hour_document.py says from where); hour_differences.py
lists what differs and which parts are later work. Part 4 is test_first_hour_notebook.py; part 5,
which needs torch, is in tests/torch.

Without more, the interpreter of the tests is used on the source tree. SUNDOG_WHEEL and
SUNDOG_RAY_WHEEL name wheels: then they are installed into an empty virtual environment first, as
the document says, and everything is typed there (`make wheel` does so).
"""

import builtins
import getpass
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import hour_document as document
import pytest
from conftest import session_processes, until
from hour_differences import DIFFERENCES, LATER, VARIES
from neighbours import in_its_window
from terminal import Terminal

WHEELS = [
    Path(os.environ[name]) for name in ("SUNDOG_WHEEL", "SUNDOG_RAY_WHEEL") if name in os.environ
]
MEGABYTE = 1 << 20
IMPORTS = 5  # of which the quickest counts
HERE = {1, 2, 3, 4, 5, 9}
pytestmark = pytest.mark.skipif(not document.there(), reason=document.WHY_SKIPPED)
needs_wheels = pytest.mark.skipif(len(WHEELS) < 2, reason="no wheels are named: make wheel does it")

# Line 4 and line 12 appear in what the prompt answers in part 3.
HELLO = """\
import time; began = time.perf_counter()
import sundog
@sundog.remote
def slow(i):
    time.sleep(1)
    return i * i


@sundog.remote
def divide(a, b):
    # 1 / 0 has no answer
    return a / b


@sundog.remote
def f():
    return 1


@sundog.remote
def train(cfg):
    return cfg


print(sundog.get([slow.remote(i) for i in range(4)]), f"{time.perf_counter() - began:.2f} s")
"""


@dataclass
class Place:
    """Where things are typed: a shell in a scratch folder whose `python`, `sundog` and `ray` are
    the ones under test."""

    folder: Path
    environment: dict[str, str]
    shell: Terminal
    installed: dict[str, tuple[list[str], float]] = field(default_factory=dict)

    def python(self) -> str:
        """The interpreter that `python` is there."""
        (found,), _ = self.shell.type("""python -c 'import sys; print(sys.executable)'""")
        return found


def commands_of_the_tree(folder: Path) -> None:
    """`python`, `sundog` and `ray` on the source tree, as an installation would bring them."""
    folder.mkdir()
    python = shlex.quote(sys.executable)
    for name, call in (("python", ""), ("sundog", " -m sundog"), ("ray", " -m ray._command")):
        (folder / name).write_text(f'#!/bin/sh\nexec {python}{call} "$@"\n')
        (folder / name).chmod(0o755)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, home_of_its_own: None) -> Iterator[Place]:
    """An empty environment with the wheel in it, or the source tree's."""
    folder = tmp_path_factory.mktemp("hour")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"TERM": "dumb", "PYTHON_BASIC_REPL": "1", "NO_COLOR": "1", "PS1": "$ "}
    environment |= {"USER": getpass.getuser(), "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if WHEELS:
        shutil.copy(WHEELS[0], folder)
    else:
        commands_of_the_tree(folder / "bin")
        places = [str(document.ROOT / "compat/ray"), *(p for p in sys.path if p)]
        environment["PYTHONPATH"] = os.pathsep.join(places)
        environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    (folder / "hello.py").write_text(HELLO)
    (folder / "old.py").write_text(HELLO.replace("sundog", "ray"))
    words = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
    shell = Terminal(words, folder, environment, "$ ")
    found = Place(folder, environment, shell)
    if WHEELS:
        for step in document.steps(1)[:2]:
            found.installed[step.line] = shell.type(step.line)
        numpy = f"numpy=={version('numpy')}"  # part 3 has an array
        shell.type(f"python -m pip install --quiet --only-binary=:all: {numpy}")
    yield found
    shell.close()


def check_shown(number: int, step: document.Step, answer: list[str]) -> None:
    """The answer is what the document shows below the line, and nothing else."""
    for line, shown in zip(answer, step.shown, strict=True):
        assert document.pattern(number, shown).fullmatch(line), f"{step.line}: {line}"


def test_every_part_is_typed_or_named_as_later() -> None:
    assert set(document.parts()) == HERE | set(LATER)
    assert not HERE & set(LATER)


def test_every_difference_finds_its_place() -> None:
    parts = document.parts()
    for difference in DIFFERENCES:
        assert parts[difference.part].count(difference.find) == 1, difference
    for each in VARIES:
        for number in each.parts:
            shown = [line for step in document.steps(number) for line in step.shown]
            texts = map(re.escape, shown + document.points(number))
            assert any(re.search(each.find, text) for text in texts), each


@needs_wheels
def test_1_the_wheel_is_small_and_quickly_installed(place: Place) -> None:
    made, installed = document.steps(1)[:2]
    assert place.installed[made.line][0] == []
    assert WHEELS[0].stat().st_size <= installed.limit("MB") * MEGABYTE
    answer, took = place.installed[installed.line]
    check_shown(1, installed, answer[-1:])
    assert took < installed.limit("s,")
    assert "no compiler" in installed.said and "Building" not in "\n".join(answer)


def test_1_import_is_quick_and_takes_no_numpy(place: Place) -> None:
    (step,) = (step for step in document.steps(1) if "import sundog" in step.line)
    runs = [place.shell.type(step.line)[0] for _ in range(IMPORTS)]
    assert all(len(run) == 1 and run[0].endswith("| sundog") for run in runs), runs
    assert min(int(run[0].split("|")[1]) for run in runs) <= 1000 * step.limit("ms")
    assert "numpy is not imported" in step.said
    everything, _ = place.shell.type(step.line.partition("|")[0])
    assert len(everything) > 5 and not any(re.search(r"\| +numpy$", e) for e in everything)


@pytest.mark.parametrize("command", ["sundog --version", "sundog doctor"])
def test_1_version_and_doctor(place: Place, command: str) -> None:
    (step,) = (step for step in document.steps(1) if step.line == command)
    check_shown(1, step, place.shell.type(step.line)[0])
    assert place.shell.type("echo $?")[0] == ["0"]


def first_script(place: Place, name: str) -> tuple[list[str], float]:
    """What the first script's command prints for a script of that name, and its own seconds."""
    step, _ = document.steps(2)
    answer, _ = place.shell.type(step.line.replace("hello.py", name))
    return answer, float(answer[-1].split()[-2])


def check_first_script(place: Place, name: str) -> None:
    """Four tasks of a second at once, and one line about the session."""
    step, _ = document.steps(2)
    answer, seconds = first_script(place, name)
    assert 1.0 <= seconds < 2.0, answer  # at once, not one after the other
    told = re.sub(r" [\d.]+ s$", " 1.00 s", answer[-1])  # its window is the next test's
    check_shown(2, step, [*answer[:-1], told])


def daemons_and_files(place: Place, line: str) -> set[str]:
    """What `pgrep` and `ls` show, but for daemons that these tests did not start."""
    ours = session_processes()
    answer, _ = place.shell.type(line)
    return {word for word in answer if not word.isdigit() or int(word) in ours}


@pytest.mark.alone
def test_2_first_script(place: Place) -> None:
    _, left = document.steps(2)
    before = daemons_and_files(place, left.line)
    check_first_script(place, "hello.py")
    seconds = document.limit(left.said, r"([\d.]+) s after the exit")
    until(
        lambda: daemons_and_files(place, left.line) <= before,
        "no daemon and no shared memory is left",
        seconds=seconds,
    )


@pytest.fixture
def prompt(place: Place) -> Iterator[Terminal]:
    """`python -i hello.py`, with what a person imported and made on the way."""
    found = Terminal([place.python(), "-i", "hello.py"], place.folder, place.environment, ">>> ")
    try:
        for line in (
            "import contextlib, threading, numpy",
            "ref = sundog.put(numpy.zeros(4))",
            "_ = sundog.get([train.remote(1), f.remote()])",
        ):
            assert found.type(line)[0] == [], line
        yield found
    finally:
        found.close()


def check_answer(step: document.Step, answer: list[str], lines_max: float) -> None:
    """The last lines are the shown ones; the rest is my line and nothing of ours."""
    text = "\n".join(answer)
    assert len(answer) <= lines_max, text
    check_shown(3, step, answer[-len(step.shown) :])
    assert '  File "<stdin>", line 1, in <module>' in answer, text
    files = re.findall(r'File "([^"]+)"', text)
    assert all(name == "<stdin>" or name.endswith("hello.py") for name in files), text


def check_catchable(prompt: Terminal, step: document.Step) -> None:
    """The exception is caught by each of the names that the document says."""
    for name in re.findall(r"\w+Error", step.said):
        found = name if hasattr(builtins, name) else f"sundog.exceptions.{name}"
        prompt.type(f"with contextlib.suppress({found}): {step.line}")
        assert prompt.type("")[0] == [], name


def start_again(prompt: Terminal) -> None:
    """Another session; what was `ref` is of the old one."""
    for line in ("old_ref = ref", "sundog.shutdown()"):
        assert prompt.type(line)[0] == []
    prompt.type("context = sundog.init(num_cpus=2)")


def waits(step: document.Step) -> float:
    """How many seconds a line asks to wait."""
    return sum(float(seconds) for seconds in re.findall(r"timeout=([\d.]+)", step.line))


@pytest.mark.alone
def test_3_ten_mistakes(prompt: Terminal) -> None:
    text, steps = document.part(3), document.steps(3)
    assert len(steps) == 10
    seconds_max = document.limit(text, r"under ([\d.]+) s")
    lines_max = document.limit(text, r"at most (\d+) lines")
    late = []
    for step in steps:
        if "shutdown() and init()" in step.said:
            start_again(prompt)
        answer, took = prompt.type(step.line)
        check_answer(step, answer, lines_max)
        if "catchable" in step.said:
            check_catchable(prompt, step)
        if took - waits(step) >= seconds_max:
            late.append(step)
    for step in late:

        def attempt(step: document.Step = step) -> None:
            took = prompt.type(step.line)[1]
            assert took - waits(step) < seconds_max, f"{step.line}: {took:.3f} s"

        in_its_window(attempt)


def quoted_in_part_9(word: str) -> str:
    """The one piece of part 9 between backticks that has this word."""
    (found,) = (typed for typed in document.typed_in(document.part(9)) if word in typed)
    return found


@pytest.mark.alone
def test_9_my_old_ray_program(place: Place) -> None:
    if WHEELS:
        place.shell.type(f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS[1].parent}")
        answer, _ = place.shell.type(quoted_in_part_9("pip install sundog-ray"))
        assert re.match(r"Successfully installed .*sundog-ray-", answer[-1]), answer
    check_first_script(place, quoted_in_part_9("old.py").removeprefix("python "))


def test_9_ray_status_answers(place: Place) -> None:
    driver = Terminal([place.python(), "-i"], place.folder, place.environment, ">>> ")
    try:
        driver.type("import ray; context = ray.init(num_cpus=3)")
        answer, _ = place.shell.type(quoted_in_part_9("ray status"))
        assert "CPU     0 of 3 used" in "\n".join(answer)
    finally:
        driver.close()


def test_9_what_is_not_here_says_so(place: Place) -> None:
    line = quoted_in_part_9("import ray.tune")
    answer, _ = place.shell.type(f"python -c '{line}'")
    assert answer[-1] == quoted_in_part_9("ModuleNotFoundError")
    # As pip leaves it: a real Ray has its metadata beside ours.
    real = place.folder / "real" / "ray-2.60.0.dist-info"
    real.mkdir(parents=True)
    answer, _ = place.shell.type(f"PYTHONPATH={real.parent}:$PYTHONPATH python -c 'import ray'")
    assert answer[-1] == quoted_in_part_9("ImportError")
