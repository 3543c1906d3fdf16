"""Runtime environments of C++ workers: variables and a folder."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sundog
from sundog import _paths
from sundog.exceptions import RuntimeEnvSetupError

WORKER = Path(_paths.daemon()).parent / "calls_worker"
DRIVER = WORKER.with_name("cpp_environments")

SAYS = """
import os

def told():
    words = open("words").read() if os.path.exists("words") else "nothing"
    return " ".join([os.environ.get("COLOUR", "none"), os.environ.get("SIZE", "none"), words])

def told_bytes():
    return os.environb[b"BYTES"].hex()

class Teller:
    def told(self):
        return told()
"""

pytestmark = pytest.mark.skipif(not WORKER.exists(), reason="the C++ programs are not built")

variable = sundog.cpp_function("variable")
first_word_of = sundog.cpp_function("first_word_of")


@pytest.fixture
def cpp() -> Iterator[None]:
    with sundog.init(num_cpus=2, cpp_worker=WORKER, logging_level="warning"):
        yield


def in_environment(function: Any, **parts: object) -> Any:
    """The function or class with a runtime environment."""
    return function.options(runtime_env=parts)


def test_cpp_workers_have_the_variables_and_the_folder_of_their_job(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("beside the program")
    runtime_env = {
        "env_vars": {"COLOUR": "green", "LIGHT": "dark ${COLOUR_BEFORE}${HOME}!"},
        "working_dir": str(tmp_path),
    }
    with sundog.init(
        num_cpus=2, cpp_worker=WORKER, logging_level="warning", runtime_env=runtime_env
    ):
        asked = [
            variable.remote("COLOUR"),
            variable.remote("LIGHT"),
            first_word_of.remote("words"),
            sundog.cpp_function("variable_of_a_child").remote("COLOUR"),
            sundog.cpp_actor_class("Patient").remote().has.remote("COLOUR"),
        ]
        home = str(Path.home())
        assert sundog.get(asked, timeout=60) == [
            "green",
            f"dark {home}!",
            "beside",
            "green",
            "green",
        ]


def test_gpus_of_cpp_workers_are_those_of_the_drivers_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    with sundog.init(num_cpus=2, cpp_worker=WORKER, logging_level="warning"):
        seen = [
            variable.options(num_gpus=number).remote("CUDA_VISIBLE_DEVICES") for number in (1, 2, 0)
        ]
        one, both, none = sundog.get(seen, timeout=60)
    assert one in ("5", "GPU-abc")
    assert (both, none) == ("5,GPU-abc", "5,GPU-abc")


def test_a_call_of_cpp_has_an_environment_of_its_own(cpp: None, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("in a folder")
    red, blue = (
        in_environment(variable, env_vars={"COLOUR": colour}) for colour in ("red", "blue")
    )
    asked = [red.remote("COLOUR"), blue.remote("COLOUR"), variable.remote("COLOUR")]
    assert sundog.get(asked, timeout=60) == ["red", "blue", ""]
    beside = in_environment(first_word_of, working_dir=str(tmp_path))
    assert sundog.get([beside.remote("words"), first_word_of.remote("words")]) == ["in", ""]
    patient = in_environment(sundog.cpp_actor_class("Patient"), env_vars={"COLOUR": "white"})
    assert sundog.get(patient.remote().has.remote("COLOUR")) == "white"


def test_python_tasks_give_their_environment_to_the_cpp_that_they_call(cpp: None) -> None:
    @sundog.remote
    def asks_cpp(name: str) -> object:
        return sundog.get(sundog.cpp_function("variable").remote(name))

    green = in_environment(asks_cpp, env_vars={"COLOUR": "green"})
    assert sundog.get(green.remote("COLOUR"), timeout=60) == "green"


def test_cpp_gives_its_environment_to_the_python_that_it_calls(cpp: None, tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(SAYS)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "words").write_text("in a folder")

    @sundog.remote
    def asks_cpp() -> object:
        return sundog.get(sundog.cpp_function("told_by_python").remote("says:told"))

    asks = in_environment(
        asks_cpp,
        env_vars={"COLOUR": "green"},
        working_dir=str(tmp_path / "beside"),
        py_modules=[str(tmp_path / "says.py")],
    )
    assert sundog.get(asks.remote(), timeout=60) == "green none in a folder"


@pytest.mark.skipif(not DRIVER.exists(), reason="the C++ programs are not built")
def test_a_program_in_cpp_has_environments_for_its_python(tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(SAYS)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "words").write_text("in a folder")
    ran = subprocess.run(
        [DRIVER, sys.executable, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=WORKER.parent,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[:7] == [
        'green small "xs" nothing',
        'red small "xs" in a folder',
        'green small "xs" nothing',
        'red small "xs" in a folder',
        'red small "xs" in a folder',
        "ffc3a9",
        "ffc3a9",
    ]
    assert "runtime environment could not be set up: py_executable='/no/python' cannot" in lines[7]


def test_workers_of_a_program_that_joined_are_started_in_environments(session: None) -> None:
    red = in_environment(variable, env_vars={"COLOUR": "red"})
    waits = red.remote("COLOUR")
    (socket,) = _paths.running_sockets()
    worker = subprocess.Popen([str(WORKER), "--address", socket])
    assert sundog.get(waits, timeout=60) == "red"
    assert sundog.get(variable.remote("COLOUR")) == ""
    sundog.shutdown()
    worker.wait(timeout=20)


def test_what_makes_an_interpreter_ready_is_refused_for_cpp(cpp: None) -> None:
    for name, part in (("pip", ["six"]), ("preload", ["json"])):
        with pytest.raises(ValueError, match=f"'env_vars' and 'working_dir', got '{name}', which"):
            in_environment(variable, **{name: part}).remote("COLOUR")


def test_a_folder_that_is_gone_fails_the_tasks_of_cpp(cpp: None, tmp_path: Path) -> None:
    import shutil

    from sundog import _core, _environment

    beside = in_environment(first_word_of, working_dir=str(tmp_path))
    session = _core.current_session()
    assert session is not None
    copies = Path(_environment.folder_of(session)) / "dirs"
    (tmp_path / "words").write_text("in a folder")
    copy = _environment.resolved(session, {"working_dir": str(tmp_path)})["working_dir"]
    assert str(copy).startswith(str(copies))
    made = in_environment(first_word_of, working_dir=copy)
    shutil.rmtree(copy)
    with pytest.raises(RuntimeEnvSetupError, match="the copy of its working_dir is gone"):
        sundog.get(made.remote("words"), timeout=60)
    assert sundog.get(beside.remote("words")) == "in"
