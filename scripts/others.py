"""`make others OTHERS=folder`: runs every program of a folder, unchanged, with Sundog as its `ray`.

For programs written for Ray by others, which are not part of this tree. Each runs in a process
group of its own, in an empty folder, under a time limit; what is left of the group is killed behind
it. None sees a session of anybody else: it neither joins one nor ends one. Prints a table; what
each program said is kept in build/others. Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKS, FAILS, LATE, LACKS = "works", "fails", "too slow", "not installed"
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '[\w.]+'$")
WIDTH = 110  # of a reason in the table
SAID_BYTES = 1 << 16  # of the end of what a program said, where a reason is looked for
OF_WORKER = re.compile(r"\(.+ pid=\d+.*?\) ")  # begins what a task or an actor printed
ADDRESSES = ("SUNDOG_ADDRESS", "RAY_ADDRESS")
COMMAND = """#!{python}
from ray._command import main

raise SystemExit(main())
"""


@dataclass
class Ran:
    """What came of one program."""

    name: str
    result: str
    seconds: float
    reason: str  # the last line of its own if it did not work


def environment(commands: Path) -> dict[str, str]:
    """Ours, with the package and the command `ray` of this tree."""
    commands.mkdir(parents=True, exist_ok=True)
    command = commands / "ray"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    paths = [str(ROOT / "compat/ray"), str(ROOT / "python"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PATH": os.pathsep.join([str(commands), os.environ.get("PATH", os.defpath)]),
    }


def judge(status: int | None, said: str, limit: float) -> tuple[str, str]:
    """Result and reason of an exit status (None: out of time) and what was said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not OF_WORKER.match(line)), "")
    if status is None:
        return LATE, f"not done after {limit:g} s; said last: {last}"
    if status == 0:
        return WORKS, ""
    if MISSING_MODULE.search(last):
        return LACKS, last
    how = f"signal {-status}: " if status < 0 else "" if status == 1 else f"exit code {status}: "
    return FAILS, how + last


def alone(environ: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment in which no session is found but those that are started in it."""
    runtime, home = folder / "run", folder / "home"
    runtime.mkdir(mode=0o700)
    home.mkdir(mode=0o700)
    known = {name: value for name, value in environ.items() if name not in ADDRESSES}
    return {**known, "XDG_RUNTIME_DIR": str(runtime), "SUNDOG_HOME": str(home)}


def wait(process: subprocess.Popen[bytes], limit: float) -> int | None:
    """The exit status; None if it did not end within the limit, and was asked to."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # the daemon takes the workers with it
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
        return None


def run(program: Path, name: str, limit: float, log: Path, environ: dict[str, str]) -> Ran:
    """Runs one program to its end or to the limit, in seconds."""
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (
        # In /tmp, for the path of a socket is short; a daemon may still be writing its last line.
        tempfile.TemporaryDirectory(
            prefix="others-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder,
        log.open("w+b") as output,
    ):
        work = Path(folder) / "work"
        work.mkdir()
        process = subprocess.Popen(
            [sys.executable, str(program)],
            cwd=work,
            env=alone(environ, Path(folder)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = wait(process, limit)
            seconds = time.monotonic() - start
        finally:  # also when somebody has had enough and types Ctrl-C
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing is left of it
            process.wait()
        output.seek(max(0, output.seek(0, os.SEEK_END) - SAID_BYTES))
        said = output.read().decode(errors="replace")
    result, reason = judge(status, said, limit)
    return Ran(name, result, seconds, reason)


def programs_of(folder: Path, only: list[str]) -> list[Path]:
    """Programs below the folder, not in hidden folders, sorted; `only` are parts of names."""
    found = [
        path
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__init__.py"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return [path for path in found if not only or any(word in path.name for word in only)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help="programs; folders in it are looked into")
    parser.add_argument("--seconds", type=float, default=60, help="time limit of each program")
    parser.add_argument("--only", default="", help="parts of names, with commas between them")
    given = parser.parse_args()
    folder = Path(given.folder).resolve()
    if not given.folder or folder == ROOT or folder in ROOT.parents:
        parser.error("OTHERS=folder says where the programs lie, and it is not this tree")
    if not folder.is_dir():
        parser.error(f"{given.folder} is not a folder: OTHERS=folder says where the programs lie")
    programs = programs_of(folder, [word for word in given.only.split(",") if word])
    if not programs:
        parser.error(f"no program (*.py) in {given.folder}")
    logs = ROOT / "build/others"
    environ = environment(logs / "bin")
    width = max(len(str(path.relative_to(folder))) for path in programs)
    results = []
    for path in programs:
        name = str(path.relative_to(folder))
        ran = run(path, name, given.seconds, (logs / name).with_suffix(".log"), environ)
        results.append(ran.result)
        reason = ran.reason if len(ran.reason) <= WIDTH else ran.reason[: WIDTH - 1] + "…"
        print(
            f"{name:{width}}  {ran.result:13} {ran.seconds:6.1f} s  {reason}".rstrip(), flush=True
        )
    counts = [f"{results.count(kind)} {kind}" for kind in (WORKS, FAILS, LATE, LACKS)]
    print(
        f"\n{len(results)} programs: {', '.join(counts)}. What they said: {logs.relative_to(ROOT)}"
    )
    return int(any(result in (FAILS, LATE) for result in results))


if __name__ == "__main__":
    sys.exit(main())
