"""`make bench ROWS=task,put_large`: Sundog, Ray, other peers and the floors in turn, in one run.

Each contestant runs in a fresh process, several rounds, interleaved and in changing order, so that
all of them meet the same neighbours on the machine. Figures go to bench/results/<row>.json as soon
as a row is done, the table of all rows measured so far to bench/results/table.md. A program that
fails is told and recorded, and the others go on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import summary  # noqa: E402
from bench.contestants import (  # noqa: E402
    CONTESTANTS,
    Contestant,
    is_there,
    prepare_environment,
    run_program,
    versions,
)
from bench.rows import ROWS, WAITING, Program, Row  # noqa: E402

RESULTS = ROOT / "bench/results"
# What goes wrong with one program and says nothing about the next.
FAILURES = (RuntimeError, OSError, subprocess.SubprocessError)


def turns(row: Row, rounds: int | None, names: list[str]) -> Iterator[tuple[Contestant, Program]]:
    """Who runs when: rounds of all contestants, each round in an order of its own.

    rounds: how many for Sundog and the floors, instead of the row's own number; the others, which
    are slower to start, have at most the row's number.
    """
    order = random.Random(row.name)
    ours = rounds or row.rounds
    entries = [("sundog", row.program, ours), ("ray", row.program, min(ours, row.ray_rounds))]
    entries += [(peer, row.program, min(ours, row.peer_rounds)) for peer in row.peers]
    entries += [("floor", floor, ours) for floor in row.floors]
    for number in range(ours):
        order.shuffle(entries)
        for name, program, limit in entries:
            if name in names and number < limit:
                yield CONTESTANTS[name], program


def show_progress(text: str) -> None:
    """One line that the next one replaces, for a person who watches."""
    if sys.stdout.isatty():
        print(f"\r{text:<78}\r{text}", end="", flush=True)


def measure(row: Row, rounds: int | None, names: list[str]) -> dict[str, Any]:
    """Runs one row and returns its result, ready to be written as JSON.

    A program that fails is recorded, and its contestant has no further round in this row, unless it
    is Sundog: a peer that hangs would take the time of all others.
    """
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    begin = time.monotonic()
    prepare_environment(row.program.environment)
    if "ray" in names and row.ray_rounds > 0:
        prepare_environment(row.program.ray_environment)
    for contestant, program in turns(row, rounds, names):
        key = f"{contestant.name} {program.name}"
        if key in failures and contestant.name != "sundog":
            continue
        show_progress(f"  {row.name}: {key} ...")
        try:
            records[contestant.name] += run_program(contestant, program)
        except FAILURES as error:
            failures[key] = str(error)
            print(f"\n{row.name}: {key}: {error}", file=sys.stderr, flush=True)
    show_progress("")
    return {
        "row": row.name,
        "title": row.title,
        "measured": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - begin, 1),
        "machine": machine(),
        "published": row.published,
        "failures": [f"{key}: {said}" for key, said in failures.items()],
        "contestants": {name: summary.by_metric(found) for name, found in records.items() if found},
    }


def processor() -> str:
    """The processor's name as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit.stdout.strip(),
        "load": round(os.getloadavg()[0], 2),
    }


def write_table(folder: Path) -> None:
    """Writes table.md from all results in `folder`."""
    lines = ["# Side by side", "", "Read bench/README.md first. One line a figure.", ""]
    lines += [summary.HEADER, "|" + " --- |" * summary.HEADER.count(" | ") + " --- |"]
    notes = []
    for row in ROWS.values():
        path = folder / f"{row.name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text())
        lines += summary.table_lines(row, result)
        where = result["machine"]
        notes.append(
            f"- {row.name}: {result['measured']}, commit {where['commit']}, {where['cores']} cores,"
            f" {where['memory_gb']} GB, Linux {where['kernel']}, load before {where['load']:.1f}."
            + (f" {row.published}." if row.published else "")
            + (f" {len(result['failures'])} program(s) failed." if result["failures"] else "")
        )
    (folder / "table.md").write_text("\n".join([*lines, "", *notes, ""]))


def selected_rows(text: str) -> list[Row]:
    """Rows named in a comma-separated list; all of them for an empty one."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    return [ROWS[name] for name in names] if names else list(ROWS.values())


def selected_contestants(text: str) -> list[str]:
    """Names in a comma-separated list that can take part; says who cannot."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in CONTESTANTS]
    if unknown:
        raise SystemExit(f"no contestant {', '.join(unknown)}; there are: {', '.join(CONTESTANTS)}")
    present = [name for name in names if is_there(CONTESTANTS[name])]
    for name in set(names) - set(present):
        print(f"{name} could not be installed: it is left out", file=sys.stderr)
    if shutil.which(os.environ.get("CC", "cc")) is None and "floor" in present:
        print("no C compiler: floors that are written in C will fail", file=sys.stderr)
    return present


def show_rows(folder: Path) -> None:
    """Names of the rows, how long each took in its latest run, and those that wait."""
    for row in ROWS.values():
        path = folder / f"{row.name}.json"
        took = json.loads(path.read_text()).get("took_s") if path.exists() else None
        minutes = f"{took / 60:5.1f} min" if took else "    ? min"
        print(f"{row.name:<20} {minutes}  {row.title}")
    for name, why in WAITING.items():
        print(f"{name:<20}  not run  {why}")


def run_row(row: Row, rounds: int | None, names: list[str], folder: Path) -> list[str]:
    """Measures a row and writes its JSON; returns what failed, in one line each.

    Nothing is written if Sundog's own program never ended well: the figures of another day stay.
    """
    try:
        result = measure(row, rounds, names)
    except FAILURES as error:
        return [f"{row.name}: {error}"]
    failed = [f"{row.name}: {text.splitlines()[0]}" for text in result["failures"]]
    if not result["contestants"] or ("sundog" in names and "sundog" not in result["contestants"]):
        return [*failed, f"{row.name}: no figure of Sundog, nothing written"]
    (folder / f"{row.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{row.name} ({result['took_s']:.0f} s)")
    print("\n".join(summary.table_lines(row, result)), flush=True)
    write_table(folder)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=os.environ.get("ROWS", ""), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "0")) or None)
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--list", action="store_true", help="names the rows")
    options = parser.parse_args()
    if options.list:
        show_rows(options.results)
        return 0
    rows = selected_rows(options.rows)
    names = selected_contestants(options.only)
    options.results.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    for row in rows:
        failed += run_row(row, options.rounds, names, options.results)
    print(f"table of all rows: {options.results / 'table.md'}")
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
