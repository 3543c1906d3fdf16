"""`make bench ROWS=task,put_large`: Sundog, Ray and the floors in turn, in one run.

Each contestant runs in a fresh process, several rounds, interleaved and in changing order, so that
all of them meet the same neighbours on the machine. Figures go to bench/results/<row>.json, the
table of all rows measured so far to bench/results/table.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import processes, summary  # noqa: E402
from bench.rows import ROWS, Program, Row  # noqa: E402

RESULTS = ROOT / "bench/results"
PROGRAM_SECONDS_MAX = 600
LEFTOVER_SECONDS_MAX = 5.0


def compiled_floor(source: str) -> Path:
    """The program of bench/floors/`source`, compiled if it is older than its source."""
    path = ROOT / "bench/floors" / source
    program = ROOT / "build/floors" / path.stem
    if not program.exists() or program.stat().st_mtime < path.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        command = [compiler, "-O2", "-pthread", "-o", str(program), str(path)]
        subprocess.run(command, check=True)
    return program


def command_of(contestant: str, program: Program, ray_python: str) -> list[str]:
    """The command line that runs `program` for `contestant`."""
    if program.name.endswith(".c"):
        return [str(compiled_floor(program.name)), *program.arguments]
    own = str(ROOT / program.environment / "bin/python") if program.environment else sys.executable
    python = ray_python if contestant == "ray" else own
    return [python, "-m", f"bench.programs.{program.name}", *program.arguments]


def prepare_environment(folder: str) -> None:
    """Makes a virtual environment that a program needs, if it is missing."""
    if folder and not (ROOT / folder / "bin/python").exists():
        script = ROOT / "scripts" / f"{folder.removeprefix('.venv-')}_env.sh"
        subprocess.run([str(script)], check=True)


def environment_of(contestant: str, tag: str) -> dict[str, str]:
    """The program's environment: which module, one thread a BLAS, and the session's tag."""
    environment = dict(os.environ)
    environment[processes.TAG_NAME] = tag
    environment["SUNDOG_BENCH_MODULE"] = "ray" if contestant == "ray" else "sundog"
    environment["PYTHONPATH"] = os.pathsep.join(
        part for part in (str(ROOT), str(ROOT / "python"), os.environ.get("PYTHONPATH", "")) if part
    )
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    environment["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    return environment


def leftovers(tag: str) -> list[int]:
    """Processes of the program's session that outlived it."""
    needle = f"{processes.TAG_NAME}={tag}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if needle in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def await_end_of(tag: str) -> None:
    """Waits until no process of the session is left, so that rounds do not disturb each other."""
    deadline = time.monotonic() + LEFTOVER_SECONDS_MAX
    while leftovers(tag) and time.monotonic() < deadline:
        time.sleep(0.05)


def run_program(contestant: str, program: Program, ray_python: str) -> list[dict[str, Any]]:
    """Runs one program once and returns what it reported; raises RuntimeError if it failed."""
    tag = uuid.uuid4().hex
    command = command_of(contestant, program, ray_python)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment_of(contestant, tag),
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    await_end_of(tag)
    if result.returncode != 0:
        last = "\n".join(result.stderr.splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{last}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    records = []
    for line in result.stdout.splitlines():
        if line.startswith('{"metric"'):
            records.append({**json.loads(line), "program_cpu_seconds": used})
    return records


def turns(row: Row, rounds: int | None, contestants: list[str]) -> Iterator[tuple[str, Program]]:
    """Who runs when: rounds of all contestants, each round in an order of its own."""
    order = random.Random(row.name)
    wanted = {"sundog": rounds or row.rounds, "floor": rounds or row.rounds}
    wanted["ray"] = min(rounds or row.ray_rounds, row.ray_rounds)
    for number in range(max(wanted.values())):
        entries = [("sundog", row.program), ("ray", row.program)]
        entries += [("floor", floor) for floor in row.floors]
        order.shuffle(entries)
        for contestant, program in entries:
            if contestant in contestants and number < wanted[contestant]:
                yield contestant, program


def show_progress(text: str) -> None:
    """One line that the next one replaces, for a person who watches."""
    if sys.stdout.isatty():
        print(f"\r{text:<78}\r{text}", end="", flush=True)


def measure(row: Row, rounds: int | None, contestants: list[str], ray: str) -> dict[str, Any]:
    """Runs one row and returns its result, ready to be written as JSON."""
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    failures: list[str] = []
    for program in (row.program, *row.floors):
        prepare_environment(program.environment)
    for contestant, program in turns(row, rounds, contestants):
        show_progress(f"  {row.name}: {contestant} {program.name} ...")
        try:
            records[contestant] += run_program(contestant, program, ray)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failures.append(f"{contestant}: {error}")
            print(f"\n{error}", file=sys.stderr, flush=True)
    show_progress("")
    return {
        "row": row.name,
        "title": row.title,
        "measured": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "published": row.published,
        "failures": failures,
        "contestants": {name: summary.by_metric(found) for name, found in records.items()},
    }


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
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "load": os.getloadavg()[0],
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


def ray_interpreter() -> str | None:
    """Python of the environment that bench/setup_ray.sh made, made now if it is missing."""
    given = os.environ.get("RAY_PYTHON")
    if given:
        return given
    python = ROOT / ".venv-ray/bin/python"
    script = ROOT / "bench/setup_ray.sh"
    if not python.exists() and subprocess.run([str(script)], check=False).returncode != 0:
        return None
    return str(python)


def selected_rows(text: str) -> list[Row]:
    """Rows named in a comma-separated list; all of them for an empty one."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    return [ROWS[name] for name in names] if names else list(ROWS.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=os.environ.get("ROWS", ""), help="comma-separated")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "0")) or None)
    parser.add_argument("--only", default="sundog,ray,floor", help="contestants, comma-separated")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    parser.add_argument("--list", action="store_true", help="names the rows")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{row.name:<20} {row.title}" for row in ROWS.values()))
        return 0
    rows = selected_rows(options.rows)
    contestants = options.only.split(",")
    ray = (ray_interpreter() if "ray" in contestants else None) or ""
    if not ray and "ray" in contestants:
        print("Ray 2.60.0 could not be installed: its column stays empty", file=sys.stderr)
        contestants.remove("ray")
    if shutil.which(os.environ.get("CC", "cc")) is None and "floor" in contestants:
        print("no C compiler: floors that are written in C are left out", file=sys.stderr)
    options.results.mkdir(parents=True, exist_ok=True)
    failed = False
    for row in rows:
        result = measure(row, options.rounds, contestants, ray)
        failed = failed or bool(result["failures"])
        (options.results / f"{row.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print("\n".join(summary.table_lines(row, result)), flush=True)
    write_table(options.results)
    print(f"table of all rows: {options.results / 'table.md'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
