"""Reads the documents that Sundog follows: their cells, in order, with what they print there.

The documents are not part of the tree. SUNDOG_SEEDS names their folder, else they are looked for
in `../shared/seeds` of the checkout. They come in two forms: a page whose cells are fenced blocks
at the left margin (fences inside quotations are illustrations), and a notebook printed as
text, whose cells begin with `In [7]:` and end where the text is no program any more.
"""

import ast
import doctest
import os
import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
FOLDER = Path(os.environ.get("SUNDOG_SEEDS", ROOT.parent / "shared" / "seeds"))
WHY_SKIPPED = f"the documents are not beside this checkout: {FOLDER}"

EXERCISE = re.compile(r"^#+ Exercise (\d+) - (.*)$")
PROMPT = re.compile(r"^In \[(\d+|None)\]:$")
MAGIC = re.compile(r"^( *)(?:(\w+) *= *)?%\w+.*$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell of a document.

    document: its three digits.
    exercise: the number in the heading above; 0 before the first.
    line: where the source begins in the document.
    source: the program, IPython's magics included.
    printed: what the document shows below the source or in comments behind it; a list of lines.
    """

    document: str
    exercise: int
    line: int
    source: str
    printed: tuple[str, ...]


def there() -> bool:
    """Whether the documents are beside this checkout."""
    return all(list(FOLDER.glob(f"{number}_*.txt")) for number in ("000", "001", "002", "003"))


def text_of(document: str) -> str:
    """The document with this number."""
    (path,) = FOLDER.glob(f"{document}_*.txt")
    return path.read_text()


def cells(document: str) -> list[Cell]:
    """The cells of a document, in order."""
    lines = text_of(document).splitlines()
    if any(PROMPT.match(line) for line in lines):
        return notebook_cells(document, lines)
    return fenced_cells(document, lines)


def was_run(cell: Cell) -> bool:
    """Whether the notebook shows the cell with a number; `In [None]` was never run."""
    prompt = text_of(cell.document).splitlines()[cell.line - 2]
    return PROMPT.match(prompt) is not None and "None" not in prompt


def exercise(document: str, number: int) -> list[Cell]:
    """The cells below one heading `Exercise N`."""
    return [cell for cell in cells(document) if cell.exercise == number]


def fenced_cells(document: str, lines: list[str]) -> list[Cell]:
    """Blocks between ```python and ``` at the left margin."""
    found = []
    heading = 0
    begin: int | None = None
    for at, line in enumerate(lines):
        match = EXERCISE.match(line)
        if begin is None and match:
            heading = int(match[1])
        elif begin is None and line == "```python":
            begin = at + 1
        elif begin is not None and line == "```":
            source = lines[begin:at]
            printed = comments_behind(source) or indented_below(lines, at + 1)
            found.append(Cell(document, heading, begin + 1, "\n".join(source), tuple(printed)))
            begin = None
    return found


def illustrations(document: str) -> list[Cell]:
    """Fenced blocks inside quotations, in order; a block of `>>>` lines is a cell for each of them,
    with what the document shows below the line."""
    quoted: list[str] = []
    found: list[Cell] = []
    heading = 0
    inside = False
    for at, line in enumerate(text_of(document).splitlines()):
        text = line.removeprefix(">").strip() if line.startswith(">") else None
        if match := EXERCISE.match(line):
            heading = int(match[1])
        elif text == "```python":
            quoted, inside = [], True
        elif text == "```" and inside:
            inside = False
            block = textwrap.dedent("\n".join(quoted))
            found += split_prompts(Cell(document, heading, at + 1 - len(quoted), block, ()))
        elif inside and text is not None:
            quoted.append(line.removeprefix(">").removeprefix(" "))
    return found


def split_prompts(cell: Cell) -> list[Cell]:
    """One cell for each `>>>` of a block; a block without any is one cell."""
    examples = doctest.DocTestParser().get_examples(cell.source)
    return [
        replace(cell, source=each.source, printed=tuple(each.want.splitlines()))
        for each in examples
    ] or [cell]


def comments_behind(source: list[str]) -> list[str]:
    """Comments after the last line of program: there the author pasted what was printed."""
    found: list[str] = []
    for line in reversed(source):
        if line.strip() and not line.startswith("#"):
            break
        if line.strip():
            found.insert(0, line.removeprefix("#").removeprefix(" ").rstrip())
    return [] if len(found) == len([line for line in source if line.strip()]) else found


def indented_below(lines: list[str], at: int) -> list[str]:
    """The indented block that follows a cell on a page: what the cell printed."""
    found: list[str] = []
    for line in lines[at:]:
        if line.strip() and not line.startswith("    "):
            break
        if line.strip():
            found.append(line.strip())
    return found


def is_program(text: str) -> bool:
    """Whether this parses, IPython's magics aside."""
    plain = MAGIC.sub(lambda m: f"{m[1]}{m[2] or '_'} = None", text)
    try:
        ast.parse(plain)
    except SyntaxError:
        return False
    return True


def notebook_cells(document: str, lines: list[str]) -> list[Cell]:
    """What follows `In [7]:`, up to the last paragraph with which it is still a program."""
    prompts = [at for at, line in enumerate(lines) if PROMPT.match(line)]
    found = []
    for at, end in zip(prompts, [*prompts[1:], len(lines)], strict=True):
        body = lines[at + 1 : end]
        breaks = [i for i, line in enumerate(body) if not line.strip()] + [len(body)]
        length = max(i for i in breaks if is_program("\n".join(body[:i])))
        source = "\n".join(body[:length]).rstrip()
        shown = [line for line in body[length:] if line.strip()]
        found.append(Cell(document, 0, at + 2, source, tuple(shown)))
    return found
