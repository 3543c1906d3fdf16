#!/usr/bin/env python3
"""Applies the seeded defects of tests/defects one at a time and shows what catches each.

Each patch changes core code only and breaks one rule. For each, a copy of the tree gets the patch,
core_test and sim_test are built and run there, and the first failing test is named. Exit status 1
if a defect is caught by nothing, does not apply, or does not compile.

    scripts/seeded_defects.py                 all
    scripts/seeded_defects.py 03 07           those whose file name begins so
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("core_test", "sim_test")
TEST_SECONDS_MAX = 900


def run(command: list[str], cwd: Path, seconds: int = 3600) -> tuple[int, str]:
    """Exit status and output; 124 if it ran longer than `seconds`."""
    try:
        done = subprocess.run(
            command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds
        )
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def copy_tree(target: Path) -> None:
    """The tree as it lies here, without what is built. Its files are new, so that nothing built
    from an earlier copy is taken for current."""
    for name in ("CMakeLists.txt", "cmake", "src", "include", "tests"):
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("corpus")
            shutil.copytree(source, target / name, ignore=ignored, copy_function=shutil.copy)
        elif source.exists():
            shutil.copy(source, target / name)


def configure(tree: Path, build: Path) -> None:
    command = ["cmake", "-S", str(tree), "-B", str(build), "-G", "Ninja"]
    command += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1"]
    status, text = run(command, tree)
    if status != 0:
        sys.exit(f"cannot configure {tree}:\n{text}")


def build(build_dir: Path) -> tuple[bool, str]:
    jobs = str(os.cpu_count() or 2)
    status, text = run(["ninja", "-C", str(build_dir), "-j", jobs, *PROGRAMS], build_dir)
    return status == 0, text


def first_failure(program: str, status: int, text: str) -> str:
    """The test, and the seed if there is one, that the output of a failing program names."""
    running = re.findall(r"^\[ RUN      \] (\S+)", text, re.MULTILINE)
    failed = re.findall(r"^\[  FAILED  \] (\w+\.\w+)", text, re.MULTILINE)
    name = failed[0] if failed else (running[-1] if running else program)
    seed = re.search(r"^.*\bseed (\d+)\b.*$", text, re.MULTILINE)
    check = re.search(r"CHECK failed: .*", text)
    if seed:
        why = seed.group(0).strip()[:160]
    elif check:
        why = check.group(0)
    else:
        why = "hung" if status == 124 else f"exit status {status}"
    return f"{name}: {why}"


def caught_by(build_dir: Path) -> str | None:
    for program in PROGRAMS:
        command = [str(build_dir / program), "--gtest_fail_fast"]
        status, text = run(command, build_dir, TEST_SECONDS_MAX)
        if status != 0:
            return first_failure(program, status, text)
    return None


def try_defect(patch: Path, tree: Path, build_dir: Path) -> str:
    """A line for the table; begins with "NOT" if the defect escaped."""
    apply = ["patch", "-p1", "--batch", "--no-backup-if-mismatch", "-i", str(patch)]
    status, text = run(apply, tree)
    if status != 0:
        return f"NOT APPLIED: {text.strip().splitlines()[-1]}"
    try:
        good, text = build(build_dir)
        if not good:
            error = next((line for line in text.splitlines() if "error" in line), "?")
            return f"NOT COMPILED: {error}"
        return caught_by(build_dir) or "NOT CAUGHT"
    finally:
        run([*apply, "-R"], tree)


def core_only(patch: Path) -> bool:
    files = re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE)
    return bool(files) and all(
        f.startswith("src/core/") and not f.endswith("_test.cc") for f in files
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of patch names; none: all")
    parser.add_argument("--work", help="a folder for the copy, kept for the next time")
    arguments = parser.parse_args()
    patches = sorted((ROOT / "tests" / "defects").glob("*.patch"))
    if arguments.names:
        patches = [p for p in patches if any(p.name.startswith(n) for n in arguments.names)]
    work = Path(arguments.work or tempfile.mkdtemp(prefix="sundog-defects-"))
    tree, build_dir = work / "tree", work / "build"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    copy_tree(tree)
    configure(tree, build_dir)
    escaped = 0
    good, text = build(build_dir)
    if not good:
        errors = [line for line in text.splitlines() if ": error:" in line] or [text[-500:]]
        sys.exit("the tree does not build without any defect:\n" + "\n".join(errors[:5]))
    clean = caught_by(build_dir)
    if clean is not None:
        sys.exit(f"the tests fail without any defect: {clean}")
    for patch in patches:
        began = time.monotonic()
        line = try_defect(patch, tree, build_dir) if core_only(patch) else "NOT CORE CODE ONLY"
        escaped += line.startswith("NOT")
        print(f"{patch.stem:42} {time.monotonic() - began:5.0f} s  {line}", flush=True)
    print(f"{len(patches)} defects, {escaped} not caught")
    if arguments.work is None:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
