"""A trivial function over a million items, results in order: each library's own way to map.

Sundog measures how many items a chunk should have; joblib batches by itself too; `Pool.map` makes
four chunks a process.
"""

from typing import Any

from bench.programs.contestant import cores, init, measured_again, report, sundog

ITEMS = 1_000_000


def double(x: int) -> int:
    return 2 * x


def run(items: range) -> list[int]:
    own: Any = getattr(sundog, "map", None)
    assert own is not None, "this module has no map"
    return list(own(double, items))


def million() -> None:
    results = run(range(ITEMS))
    assert len(results) == ITEMS and results[-1] == 2 * (ITEMS - 1)


def main() -> None:
    init(num_cpus=cores())
    run(range(1000))
    runs = measured_again(million, 3)
    report("map over 1,000,000 items", min(run.seconds for run in runs), "s")


if __name__ == "__main__":
    main()
