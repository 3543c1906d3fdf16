"""Checks that includes and imports follow the arrows between folders, and says which does not.

C++: the arrows are the `sundog_folder(name deps...)` lines of CMakeLists.txt. A file of src/<name>
may include headers of its own folder and of what the folder links, directly or through others;
include/sundog may include itself only. The folders that decide (PURE) may not include a header that
reaches the system, a thread or a clock, and may not iterate a hash table (its order is arbitrary).

Python: see PYTHON_MAY_IMPORT. Imports inside a function or under TYPE_CHECKING are lazy: the
package may name numpy there, never at its top level, so that `import sundog` stays cheap.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PURE = ("base", "model", "wire", "core", "sim")
IMPURE_HEADERS = re.compile(
    r"(sys/|linux/|arpa/|net/|netinet/)|"
    r"(thread|mutex|shared_mutex|condition_variable|future|chrono|fstream|filesystem|random|"
    r"unistd\.h|fcntl\.h|poll\.h|pthread\.h|sched\.h|signal\.h|csignal|time\.h|ctime)$"
)
# Pure files that may include an impure header, and why.
EXCUSED = {
    (
        "src/core/client_drops.h",
        "thread",
    ): "yields while another thread is inside push(); starts none",
}

# tree -> what its modules may import beside the standard library: at the top level, and lazily.
PYTHON_MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "python/sundog": (
        {"sundog"},
        {"sundog", "cloudpickle", "numpy", "torch", "IPython", "ipykernel"},
    ),
    "compat/ray": ({"sundog", "ray"}, {"sundog", "ray"}),
}
# file -> what it alone may import at the top level: it is imported only where its user did so, or
# is about to need it.
PYTHON_FILE_MAY_IMPORT: dict[str, set[str]] = {
    "compat/ray/ray/cloudpickle.py": {"cloudpickle"},
    "compat/ray/ray/util/joblib.py": {"joblib"},
    "python/sundog/_cloudpickle.py": {"cloudpickle"},
    "python/sundog/_torch.py": {"torch"},
    "python/sundog/testing.py": {"pytest"},
    "python/sundog/util/joblib.py": {"joblib"},
}
# Trees that no other tree imports.
LEAVES = {"tests", "bench", "demo", "scripts", "examples", "compat"}

FOLDER = re.compile(r"^\s*sundog_folder\(\s*([\w ]+?)\s*\)", re.MULTILINE)
PROGRAM = re.compile(r"^\s*sundog_(program|programs_in)\(\s*([\w./ ]+?)\s*\)", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
HASH_TABLE = re.compile(
    r"\b(?:IdMap|IdSet|(?:std::|boost::)?unordered_\w+)\s*<[^;={}]*>\s+(\w+)\s*(?:[;={]|$)"
)


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def read_arrows(cmake_text: str) -> dict[str, set[str]]:
    """Folder -> every folder it links, directly or through others.

    Raises ValueError when a folder is declared twice or links one that is declared later or never,
    so that the arrows cannot form a circle.
    """
    closure: dict[str, set[str]] = {}
    for match in FOLDER.finditer(cmake_text):
        name, *deps = match.group(1).split()
        if name in closure:
            raise ValueError(f"sundog_folder({name} ...) is declared twice")
        reach: set[str] = set()
        for dep in deps:
            if dep not in closure:
                raise ValueError(
                    f"sundog_folder({name} ...) links '{dep}', which is not declared above it"
                )
            reach |= {dep} | closure[dep]
        closure[name] = reach
    return closure


def read_programs(cmake_text: str, arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Source file or folder of programs -> the folders it links."""
    programs: dict[str, set[str]] = {}
    for match in PROGRAM.finditer(cmake_text):
        kind, words = match.group(1), match.group(2).split()
        place, deps = (words[1], words[2:]) if kind == "program" else (words[0], words[1:])
        programs[place] = set(deps).union(*(arrows.get(d, set()) for d in deps))
    return programs


def without_comments(text: str) -> str:
    """The same lines with comments blanked."""

    def blank(match: re.Match[str]) -> str:
        return match.group(0) if match.group(1) else "\n" * match.group(0).count("\n")

    return re.sub(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', blank, text, flags=re.DOTALL)


def check_cpp_file(path: str, text: str, folder: str | None, may: set[str]) -> Iterator[Finding]:
    """Findings of one C++ file. `folder` is its folder of src, None elsewhere; `may` the folders
    whose headers it may include beside its own."""
    lines = without_comments(text).split("\n")
    is_test = path.endswith("_test.cc")
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match is None:
            continue
        quote, name = match.groups()
        target = name.split("/")[0]
        if quote == '"' and "/" not in name:
            yield Finding(path, number, f'"{name}" has no folder; write the path below src')
        elif quote == '"' and target not in may | {folder, "sundog"}:
            owner = f"src/{folder}" if folder else path
            yield Finding(
                path,
                number,
                f"wrong arrow: {owner} -> src/{target}. It may use "
                f"{', '.join(sorted(may)) or 'nothing'} (CMakeLists.txt)",
            )
        elif quote == "<" and folder in PURE and not is_test and IMPURE_HEADERS.match(name):
            if (path, name) in EXCUSED:
                continue
            yield Finding(
                path,
                number,
                f"<{name}>: src/{folder} decides and touches no system, thread or clock",
            )
    if folder in ("core", "controller", "sim"):
        yield from check_hash_tables(path, lines)


def check_hash_tables(path: str, lines: list[str]) -> Iterator[Finding]:
    names = {m.group(1) for line in lines for m in HASH_TABLE.finditer(line)}
    if not names:
        return
    loop = re.compile(
        r"for\s*\([^;)]*:\s*(?:this->)?(" + "|".join(sorted(names)) + r")\s*\)|"
        r"\b(" + "|".join(sorted(names)) + r")\.(?:begin|cbegin)\(\)"
    )
    for number, line in enumerate(lines, 1):
        if match := loop.search(line):
            yield Finding(
                path,
                number,
                f"iterates the hash table {match.group(1) or match.group(2)}: its order is "
                "arbitrary, and what decides must not depend on it",
            )


def check_cpp(root: Path) -> Iterator[Finding]:
    cmake_text = (root / "CMakeLists.txt").read_text()
    arrows = read_arrows(cmake_text)
    programs = read_programs(cmake_text, arrows)
    for path in sorted(p for p in root.glob("src/**/*") if p.suffix in (".h", ".cc")):
        relative = path.relative_to(root).as_posix()
        folder = relative.split("/")[1]
        text = path.read_text()
        if relative in programs:
            yield from check_cpp_file(relative, text, None, programs[relative] | {"main"})
        elif folder == "main":
            yield from check_cpp_file(relative, text, folder, set(arrows))
        elif folder not in arrows:
            yield Finding(relative, 1, f"src/{folder} has no sundog_folder line in CMakeLists.txt")
        else:
            yield from check_cpp_file(relative, text, folder, arrows[folder])
    # The extension is a folder of its own that links the client; its own headers have no folder.
    extension = {"client"} | arrows.get("client", set())
    for path in sorted(root.glob("python/sundog/_core/*.[ch]*")):
        relative, text = path.relative_to(root).as_posix(), path.read_text()
        own = re.compile(r'^\s*#\s*include "[^/"]+"', re.MULTILINE)
        yield from check_cpp_file(relative, own.sub("", text), None, extension)
    for path in sorted(root.glob("include/**/*.h")):
        yield from check_cpp_file(path.relative_to(root).as_posix(), path.read_text(), None, set())
    for place, may in sorted(programs.items()):
        if not place.endswith(".cc"):
            for path in sorted(root.glob(f"{place}/*.cc")):
                relative = path.relative_to(root).as_posix()
                # Examples show the public header alone.
                allowed = set() if place.startswith("examples") else may
                yield from check_cpp_file(relative, path.read_text(), None, allowed)


def imports(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """(line, first part of the module's name, lazy) of every absolute import."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[int, str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0], lazy
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module:
                yield node.lineno, node.module.split(".")[0], lazy
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.body:
                yield from visit(statement, True)
            for statement in node.orelse:
                yield from visit(statement, lazy)
        else:
            inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inner)

    yield from visit(tree, False)


def check_python_file(path: str, text: str, top: set[str], lazily: set[str]) -> Iterator[Finding]:
    for line, name, lazy in imports(ast.parse(text, path)):
        if name in sys.stdlib_module_names or name in top or (lazy and name in lazily):
            continue
        if name in lazily:
            yield Finding(path, line, f"'{name}' may be imported inside a function only")
        elif name in LEAVES:
            yield Finding(path, line, f"wrong arrow: {path} -> {name}, which nothing may import")
        else:
            yield Finding(path, line, f"'{name}' is no dependency of this package")


def check_python(root: Path) -> Iterator[Finding]:
    for place, (top, lazily) in PYTHON_MAY_IMPORT.items():
        for path in sorted(root.glob(f"{place}/**/*.py*")):
            if path.suffix in (".py", ".pyi"):
                relative = path.relative_to(root).as_posix()
                own = PYTHON_FILE_MAY_IMPORT.get(relative, set())
                yield from check_python_file(relative, path.read_text(), top | own, lazily)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    try:
        findings = [*check_cpp(root), *check_python(root)]
    except ValueError as error:
        print(f"CMakeLists.txt: {error}")
        return 1
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
