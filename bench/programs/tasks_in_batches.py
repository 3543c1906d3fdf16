"""Tasks in batches: submit all, then get all. Argument: how many a batch."""

import sys

from bench.programs.contestant import cores, init, measured_again, report_rate, sundog


@sundog.remote
def number(i: int) -> int:
    return i


def batch(count: int) -> None:
    results = sundog.get([number.remote(i) for i in range(count)])
    assert results[0] == 0 and results[-1] == count - 1 and len(results) == count


def main() -> None:
    count = int(sys.argv[1])
    init(num_cpus=cores())
    batch(200)
    runs = measured_again(lambda: batch(count), 10 if count <= 1000 else 3)
    report_rate(f"{count:,} tasks, then get", count, runs)


if __name__ == "__main__":
    main()
