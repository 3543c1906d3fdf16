"""clang-tidy over every source of build/clang, two or more at once.

A file whose text, headers and checks have passed before is not looked at again: build/lint holds
one empty file for each content that passed. build/clang must be built, because ninja's record of
its headers is what the content is made of.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from house import ROOT, Outcome, digest, run

BUILD = ROOT / "build/clang"
PASSED = ROOT / "build/lint"


@dataclass(frozen=True)
class Unit:
    source: Path
    command: str
    headers: tuple[Path, ...]

    def key(self, checks: bytes) -> str:
        return "tidy-" + digest([checks, self.command.encode(), *map(read, self.headers)])


def read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def headers_by_object() -> dict[str, tuple[Path, ...]]:
    """Object file -> the tree's files it was made of, as ninja recorded them."""
    listed = subprocess.run(
        ["ninja", "-C", str(BUILD), "-t", "deps"], capture_output=True, text=True, check=True
    )
    headers: dict[str, list[Path]] = {}
    current = ""
    for line in listed.stdout.splitlines():
        if line and not line.startswith(" "):
            current = line.split(":")[0]
        elif line.strip():
            path = (BUILD / line.strip()).resolve()
            if path.is_relative_to(ROOT):
                headers.setdefault(current, []).append(path)
    return {name: tuple(sorted(paths)) for name, paths in headers.items()}


def units() -> list[Unit]:
    headers = headers_by_object()
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    found = []
    for entry in commands:
        source, words = Path(entry["file"]), shlex.split(entry["command"])
        made = words[words.index("-o") + 1]
        found.append(Unit(source, entry["command"], headers.get(made, (source,))))
    return found


def tidy_all(jobs: int) -> Outcome:
    checks = (ROOT / ".clang-tidy").read_bytes()
    PASSED.mkdir(parents=True, exist_ok=True)

    def tidy(unit: Unit) -> Outcome:
        passed = PASSED / unit.key(checks)
        if passed.exists():
            return Outcome(True, "")
        # Tests are written to be read; their speed is nobody's concern.
        less = ["--checks=-performance-*"] if unit.source.name.endswith("_test.cc") else []
        outcome = run("clang-tidy-16", "--quiet", *less, "-p", BUILD, unit.source)
        if outcome.ok:
            passed.touch()
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(tidy, units()))
    return Outcome(all(o.ok for o in outcomes), "".join(o.text for o in outcomes if not o.ok))
