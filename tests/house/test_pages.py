"""The pages of the project: links lead somewhere, and what the README shows runs as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
TARGET_IN_CODE = re.compile(r"`make ([a-z-]+)|^\$ make ([a-z-]+)", re.MULTILINE)
PATH_IN_CODE = re.compile(
    r"`((?:src|include|python|scripts|tests|docs|bench|demo|examples|cmake)/[\w./*-]+)`"
)


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_named_file_and_make_target_exists(page: Path) -> None:
    text = page.read_text()
    for path in PATH_IN_CODE.findall(text):
        found = list(ROOT.glob(path.rstrip("/"))) if "*" in path else [ROOT / path]
        assert found and found[0].exists(), f"{page.name} names {path}, which is not there"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for names in TARGET_IN_CODE.findall(text):
        name = names[0] or names[1]
        assert name in targets, f"{page.name} names 'make {name}', which is no target"


def test_the_program_of_the_readme_prints_what_its_comments_say(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    expected = re.findall(r"^ *print\(.*\)  # (.*)$", program, re.MULTILINE)
    assert len(expected) >= 3
    script = tmp_path / "sixty_seconds.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "SUNDOG_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    printed.remove("caught: ZeroDivisionError")  # its line has no comment
    assert printed == expected
    assert (tmp_path / "timeline.json").stat().st_size > 0
