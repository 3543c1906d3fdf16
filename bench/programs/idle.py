"""An idle session with four workers: memory of all its processes, and how often they wake."""

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
    before, cpu_before = processes.wake_ups(pids), processes.cpu_seconds_each()
    time.sleep(WATCH_SECONDS)
    woken = processes.wake_ups(pids) - before
    used = processes.cpu_seconds_between(cpu_before, processes.cpu_seconds_each())
    # This process reads /proc between the two counts: its own few switches are not the session's.
    report("idle session, memory", processes.pss_bytes(pids) / 1e6, "MB")
    report("idle session, wake-ups", max(0, woken - 2) / WATCH_SECONDS, "/s")
    report("idle session, CPU", used / WATCH_SECONDS * 1e3, "ms/s")
    report("idle session, processes", len(pids), "")


main()
