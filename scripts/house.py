"""What the scripts of the house share: the tree's files, running a command, reporting a step."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tree_files(*suffixes: str) -> list[Path]:
    """Files of the tree that git does not ignore, sorted; absolute paths."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        sys.exit(f"{ROOT} must be a git checkout: {listed.stderr.strip()}")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return sorted(p for p in set(paths) if p.suffix in suffixes and p.is_file())


def digest(parts: Iterable[bytes]) -> str:
    """A short name for this content."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:24]


@dataclass
class Outcome:
    ok: bool
    text: str  # what a person must read when it failed


def run(*command: str | Path) -> Outcome:
    """Runs a command in the tree's root; stdout and stderr together."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return Outcome(done.returncode == 0, done.stdout)


class Timer:
    def __init__(self) -> None:
        self.start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start
