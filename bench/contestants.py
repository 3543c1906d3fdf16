"""Who is compared: the module each one is, its virtual environment, and how its programs are run.

Used by bench/run.py alone. A contestant's program is a fresh process; nothing of it outlives its
turn.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import processes
from bench.rows import Program

ROOT = Path(__file__).resolve().parent.parent
PROGRAM_SECONDS_MAX = 400
LEFTOVER_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Contestant:
    """One of those that take part.

    name: as in `--only`, and in the results.
    title: as people read it.
    module: what the programs import as the module under test.
    imports: what a user of it imports; the row `import` times that.
    environment: the folder of its virtual environment; empty: ours.
    script: makes the environment when it is missing.
    """

    name: str
    title: str
    module: str
    imports: str
    environment: str = ""
    script: str = ""


PEERS = (".venv-peers", "bench/setup_peers.sh")
# Those that only some rows need, and what makes them.
ENVIRONMENTS = {
    ".venv-torch": "scripts/torch_env.sh",
    ".venv-ray-torch": "bench/setup_ray_torch.sh",
}
CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("sundog", "Sundog", "sundog", "sundog"),
        Contestant("ray", "Ray 2.60.0", "ray", "ray", ".venv-ray", "bench/setup_ray.sh"),
        Contestant("dask", "Dask distributed", "bench.peers.dask", "distributed", *PEERS),
        Contestant(
            "pool",
            "multiprocessing.Pool",
            "bench.peers.process_pool",
            "multiprocessing.pool",
            *PEERS,
        ),
        Contestant(
            "executor",
            "ProcessPoolExecutor",
            "bench.peers.process_executor",
            "concurrent.futures.process",
            *PEERS,
        ),
        Contestant("joblib", "joblib/loky", "bench.peers.joblib_loky", "joblib", *PEERS),
        Contestant("floor", "floor", "", ""),
    )
}


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


def made_by(script: str, folder: str) -> bool:
    """Whether the virtual environment is there; makes it if it is missing."""
    if (ROOT / folder / "bin/python").exists():
        return True
    return subprocess.run([str(ROOT / script)], check=False).returncode == 0


def is_there(contestant: Contestant) -> bool:
    """Whether this contestant can take part; its environment is made now if it is missing."""
    if not contestant.environment or (contestant.name == "ray" and "RAY_PYTHON" in os.environ):
        return True
    return made_by(contestant.script, contestant.environment)


def prepare_environment(folder: str) -> None:
    """Makes a virtual environment that a row needs; raises RuntimeError if that fails."""
    if folder and not made_by(ENVIRONMENTS[folder], folder):
        raise RuntimeError(f"{folder} could not be made")


def command_of(contestant: Contestant, program: Program) -> list[str]:
    """The command line that runs `program` for `contestant`."""
    if program.name.endswith(".c"):
        return [str(compiled_floor(program.name)), *program.arguments]
    folder = contestant.environment or program.environment
    if contestant.name == "ray" and program.ray_environment:
        folder = program.ray_environment
    python = str(ROOT / folder / "bin/python") if folder else sys.executable
    if contestant.name == "ray" and not program.ray_environment:
        python = os.environ.get("RAY_PYTHON", python)
    return [python, "-m", f"bench.programs.{program.name}", *program.arguments]


def environment_of(contestant: Contestant, tag: str) -> dict[str, str]:
    """The program's environment: which module, one thread a BLAS, and the session's tag."""
    environment = dict(os.environ)
    environment[processes.TAG_NAME] = tag
    environment["SUNDOG_BENCH_MODULE"] = contestant.module
    environment["SUNDOG_BENCH_IMPORT"] = contestant.imports
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
    """Waits until no process of the session is left, so that rounds do not disturb each other.

    What is still there after some seconds is killed: it would take part in all later rounds.
    """
    deadline = time.monotonic() + LEFTOVER_SECONDS_MAX
    while left := leftovers(tag):
        if time.monotonic() > deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            return
        time.sleep(0.05)


def run_program(contestant: Contestant, program: Program) -> list[dict[str, Any]]:
    """Runs one program once and returns what it reported; raises RuntimeError if it failed."""
    tag = uuid.uuid4().hex
    command = command_of(contestant, program)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=environment_of(contestant, tag),
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS_MAX,
            check=False,
        )
    finally:
        await_end_of(tag)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        last = "\n".join(result.stderr.splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{last}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    records = []
    for line in result.stdout.splitlines():
        if line.startswith('{"metric"'):
            records.append({**json.loads(line), "program_cpu_seconds": used})
    if not records:
        raise RuntimeError(f"{' '.join(command)} reported nothing")
    return records


def versions() -> dict[str, str]:
    """The contestants' versions, as their packages say, where their environments are."""
    found = {}
    for folder, names in ((".venv-ray", ("ray",)), (".venv-peers", ("distributed", "joblib"))):
        for name in names:
            for path in (ROOT / folder).glob(f"lib/python*/site-packages/{name}-*.dist-info"):
                found[name] = path.name.removesuffix(".dist-info").split("-", 1)[1]
    return found
