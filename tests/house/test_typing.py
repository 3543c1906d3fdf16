"""Types of the public names by pyright; ``make lint`` has mypy check the same file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = ROOT / ".venv-pyright/bin/pyright"


def test_pyright_finds_the_types_that_we_promise() -> None:
    pyright = str(OWN) if OWN.exists() else shutil.which("pyright")
    if pyright is None:
        pytest.skip(
            "pyright not run: python3 -m venv .venv-pyright && "
            ".venv-pyright/bin/pip install pyright"
        )
    done = subprocess.run(
        [pyright, "-p", str(ROOT / "tests/typing"), "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
