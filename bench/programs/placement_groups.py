"""Placement groups of one bundle, a hundred at a time: made, waited for, removed."""

import importlib
import time

from bench.programs.contestant import MODULE, cores, init, report, sundog

GROUPS = 100
SECONDS = 3.0
BUNDLE = {"CPU": 0.01}

util = importlib.import_module(f"{MODULE}.util")


def make_and_remove() -> None:
    groups = [util.placement_group([BUNDLE]) for _ in range(GROUPS)]
    assert all(group.wait(timeout_seconds=30) for group in groups)
    for group in groups:
        util.remove_placement_group(group)


def main() -> None:
    init(num_cpus=cores())
    make_and_remove()
    start = time.perf_counter()
    rounds = 0
    while time.perf_counter() < start + SECONDS:
        make_and_remove()
        rounds += 1
    took = time.perf_counter() - start
    deadline = time.monotonic() + 10
    while sundog.available_resources().get("CPU") != cores() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sundog.available_resources()["CPU"] == cores(), "groups kept CPUs after their removal"
    report("placement groups made and removed", rounds * GROUPS / took, "/s")


if __name__ == "__main__":
    main()
