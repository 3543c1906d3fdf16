"""The guide: every page runs as it is shown, in a process and a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house.guide_page import agree, blocks_of

ROOT = Path(__file__).resolve().parent.parent.parent
RUNNER = ROOT / "tests/house/guide_page.py"
GUIDE = ROOT / "docs/guide"
PAGES = [
    "first-steps",
    "tasks",
    "objects",
    "actors",
    "resources-and-gpus",
    "models",
    "around-tasks",
    "debugging",
    "performance",
    "cpp",
    "moving-from-ray",
    "moving-from-dask",
    "moving-from-multiprocessing",
]
TORCH_PYTHON = ROOT / ".venv-torch/bin/python"  # of `make torch`


def run_page(page: Path, folder: Path, python: str = sys.executable) -> str:
    """Runs a page in a folder; what its run says, empty if all of it is as shown."""
    done = subprocess.run(
        [python, str(RUNNER), str(page)],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
            "SUNDOG_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), str(ROOT / "compat/ray")]),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_index_of_the_guide_names_its_pages_in_order() -> None:
    assert sorted(p.stem for p in GUIDE.glob("*.md")) == sorted([*PAGES, "README"])
    index = (GUIDE / "README.md").read_text()
    places = [index.index(f"]({name}.md)") for name in PAGES]
    assert places == sorted(places)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_what_it_shows(name: str, tmp_path: Path) -> None:
    page = GUIDE / f"{name}.md"
    said = run_page(page, tmp_path)
    if "not run: torch" in said:
        assert sum("torch" in block.words for block in blocks_of(page.read_text())) == len(
            said.splitlines()
        )
    else:
        assert said == ""


def test_the_page_of_models_prints_what_it_shows_with_torch(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is here: the page ran with it already")
    if not TORCH_PYTHON.exists():
        pytest.skip("snippets with torch not run: make torch makes the environment for them")
    assert run_page(GUIDE / "models.md", tmp_path, str(TORCH_PYTHON)) == ""


@pytest.mark.parametrize(
    ("expected", "printed", "agrees"),
    [
        ("a ⟨7⟩ b", "a 12 b", True),
        ("a ⟨7⟩ b", "a 12 c", False),
        ("a ⟨7⟩ b", "a 1\n2 b", False),
        ("⟨…⟩\nend", "one\ntwo\nend", True),
        ("⟨…⟩\nend", "one\ntwo", False),
        ("", "", True),
        ("", "unexpected", False),
        ("shown", "", False),
    ],
)
def test_only_what_is_marked_may_vary(expected: str, printed: str, agrees: bool) -> None:
    assert agree(expected, printed) is agrees


def test_a_page_that_shows_something_else_is_found(tmp_path: Path) -> None:
    page = tmp_path / "wrong.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n2\n```\n\n"
        "```pycon\n>>> 1 / 0\nZeroDivisionError: no\n```\n\n```console\n$ echo a\nb\n```\n"
    )
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(page)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert [done.stdout.count(f"wrong.md:{line}:") for line in (2, 10, 15)] == [1, 1, 1]
