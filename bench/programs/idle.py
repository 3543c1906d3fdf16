"""An idle session with four workers: memory of all its processes, and how often they wake."""

import os
import time

from bench import processes
from bench.programs.contestant import init, report, sundog

SETTLE_SECONDS = 5.0
WATCH_SECONDS = 10.0


@sundog.remote
def nap() -> None:
    time.sleep(0.2)


def main() -> None:
    init(num_cpus=4)
    sundog.get([nap.remote() for _ in range(4)])
    time.sleep(SETTLE_SECONDS)
    pids = processes.session_pids()
    cpu_before, before = processes.cpu_seconds_each(), processes.wake_ups(pids)
    time.sleep(WATCH_SECONDS)
    woken = processes.wake_ups(pids) - before
    cpu_after = processes.cpu_seconds_each()
    # Reading /proc is work of this process, and its sleep ends once: neither is the session's.
    del cpu_before[os.getpid()], cpu_after[os.getpid()]
    used = processes.cpu_seconds_between(cpu_before, cpu_after)
    report("idle session, memory", processes.pss_bytes(pids) / 1e6, "MB")
    report("idle session, wake-ups", max(0, woken - 1) / WATCH_SECONDS, "/s")
    report("idle session, CPU (driver left out)", used / WATCH_SECONDS * 1e3, "ms/s")
    report("idle session, processes", len(pids), "")


if __name__ == "__main__":
    main()
