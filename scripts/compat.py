"""`make compat`: brings docs/compat.txt up to date by trying each line, and writes docs/compat.md.

A line whose status no longer holds gets the one that was found; a name of Ray's list that has no
line gets one; a line that works and names no test that exists gets one. Rules, differences, words
and chosen tests stay as they were written. `--check` changes nothing and says what would change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/e2e")]

import ray_reference  # noqa: E402

import compat_probe  # noqa: E402
import compat_table  # noqa: E402
import compat_tests  # noqa: E402
from compat_table import Entry, Section  # noqa: E402

TOP, UTIL, STATE = "Names of ray", "ray.util", "ray.util.state"
# Of the functions of ray.util.state, one of each kind: the others have the same keywords.
SAME_KEYWORDS = tuple(f"ray.util.state.{n}" for n in ("list_tasks", "summarize_tasks", "get_task"))


def wanted() -> dict[str, list[str]]:
    """Section's title to what Ray's list has for it; empty without the list."""
    if not ray_reference.PATH.exists():
        return {}
    full = ray_reference.full_names()
    signatures = ray_reference.signatures()

    def with_keywords(names: list[str]) -> list[str]:
        lines = []
        for name in names:
            lines.append(name)
            if compat_probe.try_name(name)[0] == compat_probe.WORKS:
                parameters = [p for p in signatures.get(name, []) if p not in ("args", "kwargs")]
                lines += [f"{name}({parameter})" for parameter in parameters]
        return lines

    def below(prefix: str) -> list[str]:
        return [name for name in full if name.startswith(prefix)]

    special = ("ray.util.", "ray.exceptions.")
    methods = [
        name
        for name in ray_reference.methods()
        if compat_probe.try_name(name.rpartition(".")[0])[0] == compat_probe.WORKS
    ]
    util = [name for name in below("ray.util.") if not name.startswith("ray.util.state.")]
    options = ray_reference.options
    members = [f"ObjectRef.{name}" for name in ray_reference.members("ObjectRef")]
    members += [
        f"ObjectRefGenerator.{name}" for name in ray_reference.members("ObjectRefGenerator")
    ]
    return {
        TOP: with_keywords([name for name in full if not name.startswith(special)]),
        "Options of functions": [f"function: {name}" for name in options("functions")],
        "Options of actor classes": [f"actor class: {name}" for name in options("actor classes")],
        "Options of methods": [f"method: {name}" for name in options("@ray.method keys")],
        "References": members,
        "Where code runs": [
            f"RuntimeContext.{name}" for name in ray_reference.members("RuntimeContext")
        ],
        "Exceptions": below("ray.exceptions."),
        UTIL: [*with_keywords(util), *methods],
        STATE: [
            line
            for name in below("ray.util.state.")
            for line in (with_keywords([name]) if name in SAME_KEYWORDS else [name])
        ],
        "Commands": [f"$ ray {word}" for word in ray_reference.commands()],
    }


def complete(sections: list[Section]) -> None:
    """Adds sections and lines of Ray's list that are missing, in its order."""
    by_title = {section.title: section for section in sections}
    for number, (title, lines) in enumerate(wanted().items()):
        if title not in by_title:
            by_title[title] = Section(title)
            sections.insert(number, by_title[title])
        section = by_title[title]
        have = {entry.what: entry for entry in section.entries}
        listed = [have.pop(line, Entry(line, "works", "")) for line in lines]
        section.entries = [*listed, *have.values()]


def refresh(entry: Entry, tests: list[compat_tests.Test], known: set[str]) -> None:
    """The entry as it is found now."""
    if entry.status in ("rule", "differs"):
        return
    status, sentence = compat_probe.probe(entry.what)
    if status == compat_probe.WORKS:
        if entry.status == "none" and entry.text:
            return  # taken, and a person wrote why it does nothing
        if entry.status != "works" or entry.text not in known:
            entry.text = compat_tests.test_of(entry.what, tests)
        entry.status = "works"
    else:
        entry.status, entry.text = status, sentence


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    before = compat_table.TABLE.read_text() if compat_table.TABLE.exists() else ""
    sections = compat_table.parse(before)
    complete(sections)
    tests = compat_tests.index()
    known = {test.place for test in tests}
    for section in sections:
        for entry in section.entries:
            refresh(entry, tests, known)
    after, page = compat_table.dump(sections), compat_table.page(sections)
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    for line in changed:
        print(line)
    if arguments.check:
        return 1 if changed else 0
    compat_table.TABLE.write_text(after)
    compat_table.PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
