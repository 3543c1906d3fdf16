"""`make lint`: every rule that a machine can check, one line each; exit status 1 if one fails."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from house import ROOT, Outcome, Timer, digest, run, tree_files
from tidy import tidy_all

LINES_MAX = 700
# Written apart, so that this file passes its own rule.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MYPY_TREES = ("python/sundog", "compat/ray", "scripts", "demo", "bench", "tests/typing")


def check_format(jobs: int) -> Outcome:
    files = tree_files(".cc", ".h")
    return run("clang-format-16", "--dry-run", "-Werror", *files) if files else Outcome(True, "")


def check_arrows(jobs: int) -> Outcome:
    return run(sys.executable, "scripts/check_arrows.py")


def check_text(jobs: int) -> Outcome:
    found = []
    for path in tree_files(".cc", ".h", ".py", ".pyi", ".sh", ".md", ".cmake", ".pml", ".js"):
        lines = path.read_text(errors="replace").split("\n")
        name = path.relative_to(ROOT)
        if len(lines) - 1 > LINES_MAX:
            found.append(f"{name}: {len(lines) - 1} lines, at most {LINES_MAX}: split it")
        for number, line in enumerate(lines, 1):
            if match := UNFINISHED.search(line):
                found.append(f"{name}:{number}: {match.group()}: finish it or write it in PLAN.md")
    return Outcome(not found, "\n".join(found))


def reachable(header: Path, seen: dict[Path, bytes]) -> dict[Path, bytes]:
    """The header and every header of the tree that it includes, with their text."""
    if header not in seen and header.is_file():
        seen[header] = header.read_bytes()
        for name in re.findall(rb'^#include "([^"]+)"', seen[header], re.MULTILINE):
            reachable(ROOT / "src" / name.decode(), seen)
            reachable(ROOT / "include" / name.decode(), seen)
    return seen


def check_headers(jobs: int) -> Outcome:
    """Every header compiles as the only line of a program."""
    places = (ROOT / "src", ROOT / "include")
    headers = [p for p in tree_files(".h") if any(p.is_relative_to(place) for place in places)]
    (ROOT / "build/lint").mkdir(parents=True, exist_ok=True)

    def compile_alone(header: Path) -> Outcome:
        texts = [text for _, text in sorted(reachable(header, {}).items())]
        passed = ROOT / "build/lint" / ("header-" + digest([str(header).encode(), *texts]))
        if passed.exists():
            return Outcome(True, "")
        flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wthread-safety"]
        flags += ["-Isrc", "-Iinclude", "-Wno-unused-const-variable", "-x", "c++"]
        outcome = run("clang++-16", *flags, "-include", header, "/dev/null")
        if outcome.ok:
            passed.touch()
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(compile_alone, headers))
    return Outcome(all(o.ok for o in outcomes), "".join(o.text for o in outcomes))


def check_threads(jobs: int) -> Outcome:
    """clang's warnings and thread-safety analysis, all of them errors."""
    return run("cmake", "--build", "build/clang", "-j", str(jobs), "--", "-k", "0", "--quiet")


def check_tidy(jobs: int) -> Outcome:
    return tidy_all(jobs)


def check_ruff(jobs: int) -> Outcome:
    found = run(sys.executable, "-m", "ruff", "check", "--quiet", ".")
    layout = run(sys.executable, "-m", "ruff", "format", "--check", "--quiet", ".")
    return Outcome(found.ok and layout.ok, found.text + layout.text)


def check_mypy(jobs: int) -> Outcome:
    trees = [t for t in MYPY_TREES if any((ROOT / t).rglob("*.py"))]
    return run(sys.executable, "-m", "mypy", "--no-error-summary", *trees)


def check_checkers(jobs: int) -> Outcome:
    """The tests of the checks themselves."""
    return run(sys.executable, "-m", "pytest", "-q", "scripts")


STEPS: dict[str, tuple[str, Callable[[int], Outcome]]] = {
    "format": ("clang-format", check_format),
    "arrows": ("arrows between folders", check_arrows),
    "text": (f"no file over {LINES_MAX} lines, nothing unfinished", check_text),
    "ruff": ("ruff", check_ruff),
    "mypy": ("mypy --strict", check_mypy),
    "checkers": ("tests of these checks", check_checkers),
    "headers": ("every header compiled alone", check_headers),
    "threads": ("clang-16: warnings, thread safety", check_threads),
    "tidy": ("clang-tidy-16", check_tidy),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=STEPS)
    args = parser.parse_args()
    failed = []
    for name, (title, step) in STEPS.items():
        if args.only in (None, name):
            timer = Timer()
            outcome = step(args.jobs)
            print(f"{'ok  ' if outcome.ok else 'FAIL'}  {title}  {timer.seconds:.1f} s", flush=True)
            if not outcome.ok:
                failed.append(name)
                print(outcome.text.rstrip() + "\n", flush=True)
    if failed:
        print(f"lint: {len(failed)} failed: {' '.join(failed)} (one alone: make lint TESTS=name)")
    else:
        print("lint: all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
