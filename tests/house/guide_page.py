"""Runs one page of the guide: ``python guide_page.py PAGE`` in an empty folder.

Blocks run in their order, in this process, as one program. What a block prints is compared with
what the page shows, where ⟨…⟩ stands for anything within a line, and a line that is only ⟨…⟩ for
any lines. What differs is printed, and the exit status is 1.

- ``python`` runs; the ``text`` block right below it is what it prints, and without one it prints
  nothing. ``python file=NAME`` is saved under that name instead.
- ``pycon`` is typed line by line; of an error its last lines are shown, without the traceback.
- ``console`` runs each line that begins with ``$``; output and errors are shown in their order.
- ``sh`` and anything else is only read.
- ``torch`` in a block's first line: it runs only where torch can be imported.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import linecache
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FENCE = re.compile(r"^```(\w*)(.*)$")
VARIES = re.compile(r"⟨[^⟩]*⟩")
COMMAND_S_MAX = 60


class Block(NamedTuple):
    """A fenced block."""

    kind: str
    words: list[str]  # the rest of its first line
    text: str
    line: int  # of its first line of text, from 1 on
    expected: str  # what the page says that it prints


def blocks_of(page: str) -> Iterator[Block]:
    """The blocks of a page that do something."""
    lines = page.split("\n")
    fences = [n for n, line in enumerate(lines) if line.startswith("```")]
    assert len(fences) % 2 == 0, "a block is not closed"
    found = []
    for begin, end in zip(fences[::2], fences[1::2], strict=True):
        opened = FENCE.match(lines[begin])
        assert opened, lines[begin]
        text = "".join(f"{line}\n" for line in lines[begin + 1 : end])
        found.append((opened[1], opened[2].split(), text, begin, end))
    for number, (kind, words, text, begin, end) in enumerate(found):
        expected = ""
        if kind == "python" and number + 1 < len(found):
            below, _, shown, below_begin, _ = found[number + 1]
            if below == "text" and not "".join(lines[end + 1 : below_begin]).strip():
                expected = shown
        yield Block(kind, words, text, begin + 2, expected)


def agree(expected: str, printed: str) -> bool:
    """Whether the output is what the page shows."""
    pattern = ""
    for line in expected.rstrip("\n").split("\n"):
        if VARIES.fullmatch(line):
            pattern += r"(?:.*\n)*?"
        else:
            pattern += "[^\n]+?".join(re.escape(part) for part in VARIES.split(line))
            pattern += r" *\n"
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None


class Page:
    """A page that is being run."""

    def __init__(self, path: Path) -> None:
        """``path``: the page."""
        self.name = path.name
        self.text = path.read_text()
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.problems = 0
        self.has_torch = importlib.util.find_spec("torch") is not None

    def run(self) -> int:
        """Runs every block; how many did not do what the page says."""
        for block in blocks_of(self.text):
            if "torch" in block.words and not self.has_torch:
                print(f"{self.name}:{block.line}: not run: torch is not installed")
            elif block.kind == "python":
                self.run_python(block)
            elif block.kind == "pycon":
                self.run_prompt(block)
            elif block.kind == "console":
                self.run_commands(block)
        return self.problems

    def compare(self, line: int, expected: str, printed: str) -> None:
        """Tells what differs."""
        if not agree(expected, printed):
            self.problems += 1
            print(f"{self.name}:{line}: the page shows\n{expected}but it prints\n{printed}")

    def execute(self, source: str, line: int, mode: str) -> str:
        """What the source prints, and its error without the traceback."""
        file = f"{self.name}:{line}"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(source, file, mode), self.names)
            except Exception as error:
                printed.write("".join(traceback.format_exception_only(type(error), error)))
        return printed.getvalue()

    def run_python(self, block: Block) -> None:
        """One part of the program."""
        for word in block.words:
            if word.startswith("file="):
                Path(word.removeprefix("file=")).write_text(block.text)
                return
        self.compare(block.line, block.expected, self.execute(block.text, block.line, "exec"))

    def run_prompt(self, block: Block) -> None:
        """What is typed at a prompt."""
        for example in doctest.DocTestParser().get_examples(block.text):
            line = block.line + example.lineno
            self.compare(line, example.want, self.execute(example.source, line, "single"))

    def run_commands(self, block: Block) -> None:
        """What is typed in a shell."""
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            done = subprocess.run(
                command,
                shell=True,
                env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_S_MAX,
            )
            self.compare(block.line, expected, done.stdout)


if __name__ == "__main__":
    sys.exit(1 if Page(Path(sys.argv[1])).run() else 0)
