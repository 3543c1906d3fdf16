"""The C++ package: find_package(sundog), `sundog new-cpp`, the examples, and the guide's page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sundog import _cli, _paths

BUILD = Path(_paths.daemon()).parent
ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(
    not (BUILD / "libsundog.a").exists(), reason="the C++ package is not built"
)


def run(*command: object, home: Path) -> str:
    """What a program prints; it ends well."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **os.environ,
            "SUNDOG_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_new_program_builds_against_the_package_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hello"
    assert _cli.main(["new-cpp", str(folder)]) == 0
    commands = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [command[0] for command in commands] == ["cmake", "cmake", f"{folder}/build/hello"]
    for command in commands[:2]:
        run(*command, home=tmp_path)
    printed = run(*commands[2], home=tmp_path)
    assert printed == "the squares of 1 to 10 add up to 385\n"
    assert _cli.main(["new-cpp", str(folder)]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_installed_package_is_found(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    run("cmake", "--install", BUILD, "--component", "cpp", "--prefix", prefix, home=tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(look LANGUAGES CXX)\n"
        "find_package(sundog 0.1 REQUIRED)\n"
        "get_target_property(archive sundog::sundog IMPORTED_LOCATION)\n"
        "get_target_property(headers sundog::sundog INTERFACE_INCLUDE_DIRECTORIES)\n"
        "foreach(path ${archive} ${headers}/sundog/sundog.h ${SUNDOG_DAEMON})\n"
        '  if(NOT EXISTS ${path})\n    message(FATAL_ERROR "${path} is not there")\n  endif()\n'
        'message(STATUS "found ${path}")\nendforeach()\n'
    )
    build = tmp_path / "build"
    printed = run(
        "cmake", "-S", tmp_path, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", home=tmp_path
    )
    assert printed.count(f"found {prefix}") == 3


@pytest.mark.parametrize(
    ("program", "arguments", "printed"),
    [
        ("parallel_pi", ["1"], "pi is about 3.1"),
        ("tree_reduce", [], "the first sum is 12000000, the last 13599984"),
        ("parameter_server", [], "y = 3 x + 1"),
        (
            "model_server",
            [sys.executable, ROOT / "examples/cpp"],
            "answers of shape 4 x 1: 3 3 3 3 \nby a weighted sum\nUFuncTypeError of Python",
        ),
    ],
)
def test_example_prints_what_it_should(
    program: str, arguments: list[object], printed: str, tmp_path: Path
) -> None:
    assert printed in run(BUILD / program, *arguments, home=tmp_path)


def test_guide_shows_what_its_program_does(tmp_path: Path) -> None:
    page = (ROOT / "docs/guide/cpp.md").read_text()
    program = (ROOT / "examples/cpp/guide.cc").read_text()
    shown = ""
    for kind, text in FENCE.findall(page):
        if kind == "cpp":
            assert text in program, f"not in examples/cpp/guide.cc:\n{text}"
        if kind == "text":
            shown += text
    assert run(BUILD / "guide", sys.executable, home=tmp_path) == shown
