"""Reads the document of a newcomer's first hour: what is typed, part by part, and what is shown.

The document is not part of the tree. SUNDOG_FIRST_HOUR names it, else it is looked for in
`../shared/FIRST_HOUR.md` of the checkout. A part begins with a line `**3 Title**`. In its fenced
blocks a line with a prompt (`$`, `>>>`) is typed, what stands below it is shown, and what follows
two blanks and `#` is said about it. In what is shown ⟨…⟩ varies.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hour_differences import DIFFERENCES, VARIES

ROOT = Path(__file__).resolve().parent.parent.parent
PATH = Path(os.environ.get("SUNDOG_FIRST_HOUR", ROOT.parent / "shared" / "FIRST_HOUR.md"))
WHY_SKIPPED = f"the document is not beside this checkout: {PATH}"

HEADING = re.compile(r"^\*\*(\d+) ", re.MULTILINE)
BLOCK = re.compile(r"^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(\w*\$|>>>) (.*)$")
REMARK = re.compile(r"^(.*?)(?: {2,}# (.*))?$")


@dataclass(frozen=True)
class Step:
    """One line that a person types.

    line: what is typed, as the document has it.
    shown: the lines below it; empty where the document shows none.
    said: what the document says about it, in comments behind it or behind what is shown.
    """

    line: str
    shown: tuple[str, ...]
    said: str

    def limit(self, unit: str = "") -> float:
        """The number behind `<` or `≤` in what is said, with this unit behind it."""
        return limit(self.said, rf"[<≤] ([\d.]+) ?{unit}")


def limit(text: str, how: str) -> float:
    """The one number that a regular expression finds in a text."""
    (number,) = re.findall(how, text)
    return float(number)


def there() -> bool:
    """Whether the document is beside this checkout."""
    return PATH.is_file()


def parts() -> dict[int, str]:
    """Each part's text by its number, its heading included."""
    _, *pieces = HEADING.split(PATH.read_text())
    return {int(number): text for number, text in zip(pieces[::2], pieces[1::2], strict=True)}


def changed(part: int, text: str) -> str:
    """A part after the replacements that hour_differences.py lists for it."""
    for difference in DIFFERENCES:
        if difference.part == part:
            text = text.replace(difference.find, difference.put)
    return text


def part(number: int) -> str:
    """A part's text, as it is compared here."""
    return changed(number, parts()[number])


def steps(number: int) -> list[Step]:
    """What a person types in a part, in order."""
    return [step for block in BLOCK.findall(part(number)) for step in of_block(block)]


def of_block(block: str) -> Iterator[Step]:
    """The steps of one fenced block; what a remark alone stands on belongs to the step above."""
    step: Step | None = None
    for text in block.splitlines():
        line, said = REMARK.fullmatch(text).groups(default="")  # type: ignore[union-attr]
        if typed := PROMPT.match(line):
            if step is not None:
                yield step
            step = Step(typed[2].rstrip(), (), said)
            continue
        assert step is not None, f"nothing was typed before {text!r}"
        shown = (*step.shown, line.rstrip()) if line.strip() else step.shown
        step = replace(step, shown=shown, said=" ".join(filter(None, (step.said, said))))
    if step is not None:
        yield step


def points(number: int) -> list[str]:
    """A part's list, point by point."""
    return re.findall(r"^- (.*)$", part(number), re.MULTILINE)


def typed_in(text: str) -> list[str]:
    """What stands between backticks in a sentence."""
    return re.findall(r"`([^`]+)`", text)


def pattern(number: int, shown: str) -> "re.Pattern[str]":
    """What a shown line matches: ⟨…⟩ varies, and so does what hour_differences.py says."""
    found = re.escape(shown)
    for each in VARIES:
        if number in each.parts:
            found = re.sub(each.find, each.put, found)
    return re.compile(re.sub(r"⟨[^⟩]*⟩", ".+", found))
