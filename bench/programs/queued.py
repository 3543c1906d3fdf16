"""A million queued tasks: submitted while a first task holds the only CPU, then all run."""

import os
import tempfile
import time
from pathlib import Path

from bench import processes
from bench.programs.contestant import init, report, sundog

TASKS = int(os.environ.get("SUNDOG_BENCH_QUEUED", "1000000"))


@sundog.remote
def hold_until_written(fifo: str) -> bytes:
    return Path(fifo).read_bytes()


@sundog.remote
def nothing() -> None:
    return None


def memory() -> float:
    return processes.pss_bytes(processes.session_pids()) / 1e6


def main() -> None:
    init(num_cpus=1)
    sundog.get([nothing.remote() for _ in range(100)])
    before = memory()
    with tempfile.TemporaryDirectory() as directory:
        fifo = os.path.join(directory, "gate")
        os.mkfifo(fifo)
        holder = hold_until_written.remote(fifo)
        start = time.perf_counter()
        refs = [nothing.remote() for _ in range(TASKS)]
        submitted = time.perf_counter() - start
        grown = memory() - before
        start = time.perf_counter()
        Path(fifo).write_bytes(b"go")
        results = sundog.get(refs)
        drained = time.perf_counter() - start
        assert sundog.get(holder) == b"go" and len(results) == TASKS
    report("1,000,000 queued tasks", submitted + drained, "s")
    report("... submitting alone", submitted, "s")
    report("... memory grown, queued", grown, "MB")


if __name__ == "__main__":
    main()
