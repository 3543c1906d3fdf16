"""Actors made, each until it answered its first call, and the memory of one.

Argument: how many; Ray makes a tenth of a tenth of that, and at least four.
"""

import sys
import time

from bench import processes
from bench.programs.contestant import MODULE, cores, init, report, sundog

RAY_SHARE, RAY_MIN = 100, 4
SETTLE_SECONDS = 1.0


class Nothing:
    """An actor that keeps nothing."""

    def ready(self) -> bool:
        """Whether it was made."""
        return True


Empty = sundog.remote(num_cpus=0)(Nothing)


def main() -> None:
    count = int(sys.argv[1])
    if MODULE == "ray":
        count = max(RAY_MIN, count // RAY_SHARE)
    init(num_cpus=cores())
    first = Empty.remote()
    sundog.get(first.ready.remote())
    time.sleep(SETTLE_SECONDS)
    before = processes.pss_bytes(processes.session_pids())
    begin = time.perf_counter()
    made = [Empty.remote() for _ in range(count)]
    assert all(sundog.get([actor.ready.remote() for actor in made]))
    took = time.perf_counter() - begin
    report("actors created", count / took, "/s")
    time.sleep(SETTLE_SECONDS)
    grown = processes.pss_bytes(processes.session_pids()) - before
    report("memory of one actor", grown / count / 1e6, "MB")
    begin = time.perf_counter()
    assert all(sundog.get([actor.ready.remote() for actor in made]))
    report("... alive at once", count, "")
    report("... a call, one to each", (time.perf_counter() - begin) / count * 1e6, "us")


if __name__ == "__main__":
    main()
