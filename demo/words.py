"""Word statistics over the sources of Python's standard library, serial and parallel."""

from __future__ import annotations

import io
import os
import re
import sysconfig
import time
import tokenize
from collections import Counter
from pathlib import Path

from demo.outcome import Outcome, require
from demo.runtime import session, sundog
from demo.speedup import compare

BYTES_MAX = 14_000_000  # some 6 s of work for one core
PARTS = 16
WORD = re.compile(r"[a-z]{3,}")


def sources() -> list[str]:
    """Paths of the standard library's modules, tests and installed packages left out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skipped = {"site-packages", "dist-packages", "test", "tests", "__pycache__"}
    paths, total = [], 0
    for path in sorted(root.rglob("*.py")):
        if skipped.isdisjoint(path.relative_to(root).parts):
            total += path.stat().st_size
            if total > BYTES_MAX:
                break
            paths.append(str(path))
    return paths


def parts_of_equal_size(paths: list[str], count: int) -> list[list[str]]:
    """Deals the files out, largest first, each to the part that has the fewest bytes."""
    parts: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for path in sorted(paths, key=lambda name: (-os.path.getsize(name), name)):
        smallest = sizes.index(min(sizes))
        parts[smallest].append(path)
        sizes[smallest] += os.path.getsize(path)
    return parts


def count_words(paths: list[str]) -> dict[str, Counter[str]]:
    """Counts the words of comments, of strings and of names, apart."""
    kinds = {tokenize.COMMENT: "comments", tokenize.STRING: "strings", tokenize.NAME: "names"}
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds.values()}
    for path in paths:
        with tokenize.open(path) as file:
            text = file.read()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = kinds.get(token.type)
            if kind is not None:
                counts[kind].update(WORD.findall(token.string.lower()))
    return counts


remote_count_words = sundog.remote(count_words)


def merge(counts: list[dict[str, Counter[str]]]) -> dict[str, Counter[str]]:
    """Sums the parts' counts."""
    total: dict[str, Counter[str]] = {}
    for part in counts:
        for kind, words in part.items():
            total.setdefault(kind, Counter()).update(words)
    return total


def run() -> Outcome:
    """The same parts counted one after the other, then as tasks."""
    paths = sources()
    parts = parts_of_equal_size(paths, PARTS)
    start = time.perf_counter()
    serial = merge([count_words(part) for part in parts])
    serial_seconds = time.perf_counter() - start
    with session(num_cpus=len(os.sched_getaffinity(0))):
        start = time.perf_counter()
        parallel = merge(sundog.get([remote_count_words.remote(part) for part in parts]))
        parallel_seconds = time.perf_counter() - start
    require(serial == parallel, "serial and parallel counts differ")
    favourite = serial["comments"].most_common(1)[0][0]
    remark = f"{len(paths)} files; comments say '{favourite}' most"
    return compare(serial_seconds, parallel_seconds, remark)
