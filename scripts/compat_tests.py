"""Which test shows a name, a keyword or an option: found by what the tests call.

An index of all test functions; the table's own choice counts, this fills in what is missing there.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tests/e2e", "tests/torch", "tests/tensorflow", "tests/house")
BASIC = ("test_tasks", "test_objects", "test_wait", "test_session", "test_actors", "test_ray")
TRIED = "test_compat::test_every_line_is_what_comes_of_trying_it"


@dataclass
class Test:
    """A test function, and the words that it uses."""

    place: str  # test_wait::test_empty_list
    names: set[str] = field(default_factory=set)  # f, x.f
    keywords: set[tuple[str, str]] = field(default_factory=set)  # f(keyword=...)


def _words(node: ast.AST, test: Test) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            test.names.add(part.id)
        elif isinstance(part, ast.Attribute):
            test.names.add(part.attr)
        elif isinstance(part, ast.Call):
            called = part.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            test.keywords |= {(name, word.arg) for word in part.keywords if word.arg}


def index() -> list[Test]:
    """All tests, by file and line."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("test_*.py")):
            prefix = "" if folder == "tests/e2e" else f"{folder.removeprefix('tests/')}/"
            for node in ast.parse(path.read_text()).body:
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    continue
                if node.name.startswith("test_"):
                    test = Test(f"{prefix}{path.stem}::{node.name}")
                    _words(node, test)
                    found.append(test)
    return found


def best(tests: list[Test], word: str) -> str | None:
    """Named for the word, in the file named for it, of a basic file, and short: in this order."""

    def rank(test: Test) -> tuple[object, ...]:
        file, _, name = test.place.partition("::")
        place = BASIC.index(file) if file in BASIC else len(BASIC)
        return word.lower() not in name, word.lower() not in file, place, len(test.names), name

    return min(tests, key=rank).place if tests else None


def is_module(what: str) -> bool:
    """Whether a name is a module of the package `ray`, which tests import without a word of it."""
    path = ROOT / "compat/ray" / what.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def test_of(what: str, tests: list[Test]) -> str:
    """A test that uses what the line is about; the one that tries each line where none does."""
    option = re.fullmatch(r"(function|actor class|method): (\w+)", what)
    keyword = re.fullmatch(r"([\w.]+)\((\w+)\)", what)
    word = what.removeprefix("$ ray ").rpartition(".")[2]
    if what.startswith("$ ray "):
        return "test_ray::test_the_command_answers_and_refuses"
    if option:
        calls = {"function": ("remote", "options"), "actor class": ("remote", "options")}
        names = calls.get(option[1], ("method", "options"))
        users = [t for t in tests if any((name, option[2]) in t.keywords for name in names)]
        of_actors = option[1] != "function"
        users = [t for t in users if ("actor" in t.place) == of_actors] or users
        word = option[2]
    elif keyword:
        name = keyword[1].rpartition(".")[2]
        users = [t for t in tests if (name, keyword[2]) in t.keywords]
        if not users and not keyword[2].startswith("_"):
            users = [t for t in tests if name in t.names]  # given by its place
        word = name
    elif is_module(what):
        return TRIED
    else:
        users = [t for t in tests if word in t.names]
        cls = what.split(".")[-2] if "." in what else ""
        if cls[:1].isupper():  # a method: of tests that know its class
            users = [t for t in users if cls in t.names or cls.lower() in t.place] or users
    return best(users, word) or TRIED
