"""The table behind docs/compat.md: one line for each of Ray's names, keywords, rules.

docs/compat.txt is amended by hand; scripts/compat.py fills in what it finds out by trying. A line
is `what  status  text`, apart by two spaces or more:

- `works`: text is the test that shows it, as `test_wait::test_empty_list`
- `none`: it is taken and has no meaning here; text says why
- `refused`: text is what the error says
- `rule`: a rule of behaviour that no signature carries; text is its test
- `differs`: a difference on purpose, with its reason; text is its test

`ray.wait(timeout)` is a keyword; `function: max_calls`, `actor class: lifetime` and `method:
num_returns` are options; `ObjectRef.hex` is a member; `$ ray stop` is a command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/compat.txt"
PAGE = ROOT / "docs/compat.md"
STATUSES = ("works", "none", "refused", "rule", "differs")


@dataclass
class Entry:
    """One line of the table."""

    what: str
    status: str
    text: str


@dataclass
class Section:
    """A heading, the words below it, and its lines."""

    title: str
    words: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def parse(text: str) -> list[Section]:
    """Sections of a table; raises ValueError for a line that is none."""
    sections: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            sections.append(Section(line[3:]))
        elif line.startswith("# ") or not line.strip():
            continue
        elif not sections:
            raise ValueError(f"line {number} stands before the first heading: {line}")
        elif line.startswith("> "):
            sections[-1].words.append(line[2:])
        else:
            parts = re.split(r"\s{2,}", line.strip(), maxsplit=2)
            if len(parts) < 2 or parts[1] not in STATUSES:
                raise ValueError(f"line {number} has no status of {STATUSES}: {line}")
            sections[-1].entries.append(Entry(parts[0], parts[1], "".join(parts[2:])))
    return sections


def dump(sections: list[Section]) -> str:
    """The table as text."""
    lines = ["# Ray's names here; scripts/compat_table.py says how to read and amend this."]
    for section in sections:
        lines += ["", f"## {section.title}", *(f"> {line}" for line in section.words)]
        for entry in section.entries:
            lines.append(f"{entry.what:<44}  {entry.status:<7}  {entry.text}".rstrip())
    return "\n".join([*lines, ""])


def load() -> list[Section]:
    """The tree's own table."""
    return parse(TABLE.read_text())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _counts(sections: list[Section]) -> str:
    entries = [entry for section in sections for entry in section.entries]
    number = {status: sum(e.status == status for e in entries) for status in STATUSES}
    return (
        f"{number['works']} names, keywords and options work, {number['none']} are taken and have"
        f" no meaning here, {number['refused']} are refused. {number['rule']} rules of behaviour"
        f" and {number['differs']} deliberate differences follow."
    )


def _line(entry: Entry) -> str:
    if entry.status in ("works", "rule", "differs"):
        file, _, test = entry.text.partition("::")
        shown = f"`{test}` in `{file}.py`"
    else:
        shown = entry.text
    if entry.status in ("rule", "differs"):
        return f"| {_cell(entry.what)} | {shown} |"
    status = "no meaning here" if entry.status == "none" else entry.status
    return f"| `{entry.what}` | {status} | {_cell(shown)} |"


INTRODUCTION = """\
# What of Ray works here

Made by `make compat` from `docs/compat.txt`; a test tries each line. Ray is 2.60.0, and what is
said of a name holds for `import ray` of the package `sundog-ray`, and for the same name of
`sundog`. *Works* names the test that shows it. *No meaning here* is accepted, and says why it does
nothing. *Refused* is what the error says. Nothing is accepted and silently ignored.
[Moving from Ray](guide/moving-from-ray.md) shows it as programs.
"""


def page(sections: list[Section]) -> str:
    """docs/compat.md."""
    lines = [*INTRODUCTION.splitlines(), "", _counts(sections)]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.words:
            lines += [*section.words, ""]
        plain = section.entries and section.entries[0].status in ("rule", "differs")
        lines += ["| | test |", "| --- | --- |"] if plain else ["| | | |", "| --- | --- | --- |"]
        lines += [_line(entry) for entry in section.entries]
    return "\n".join([*lines, ""])
